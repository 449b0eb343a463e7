"""Last words of a lost Ray process, from its log."""

import re
from contextlib import suppress
from pathlib import Path

from distill_tune.cluster.ray_private import own_node
from distill_tune.errors import one_line

_PID = re.compile(r"\bpid[:=]\s*(\d+)")
_LONGEST = 300


def last_words(error: object, detail: str) -> str:
    """Return why a process was lost, in a line, with its last words if it ran on this machine.

    Args:
        error: Ray's error.
        detail: The line of the error that says what happened.
    """
    found = _PID.search(str(error))
    own = _last_line(_logs(), found[1]) if found else ""
    return f"{detail} (the last output of its process: {own})" if own else detail


def _logs() -> Path | None:
    """Return the folder of Ray's logs on this machine; None if there is none."""
    node = own_node()
    return None if node is None else Path(node.get_logs_dir_path())


def _last_line(logs: Path | None, pid: str) -> str:
    if logs is None:
        return ""
    for ending in ("err", "out"):
        for path in logs.glob(f"worker-*-{pid}.{ending}"):
            lines: list[str] = []
            with suppress(OSError):
                lines = path.read_text(errors="replace").splitlines()
            # Ray marks its logs with lines such as ":job_id:01000000".
            content = [line.strip() for line in lines if line.strip() and not line.startswith(":")]
            if content:
                return one_line(content[-1])[:_LONGEST]
    return ""
