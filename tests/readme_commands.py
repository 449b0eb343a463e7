"""The commands that the READMEs show in blocks, line by line."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
READMES = (
    *("README.md", "search_spaces/README.md", "distill_tune/README.md"),
    *("distill_tune/cluster/README.md", "distill_tune/confirmation/README.md"),
    *("distill_tune/model/README.md", "distill_tune/tuning/README.md", "tests/README.md"),
)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = {"", "bash", "sh", "console"}


def shown(name: str) -> list[str]:
    """Return the lines of a README's blocks that are commands, without what is said beside them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = [body for language, body in _FENCED.findall(text) if language in _SHELL]
    rest = _FENCED.sub("", text)
    indented = [line[4:] for line in rest.splitlines() if line.startswith("    ")]
    lines = [line for body in blocks for line in body.splitlines()] + indented
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = [re.sub(r"\s+# .*", "", line).removeprefix("$ ").strip() for line in joined.split("\n")]
    return [line for line in found if _is_command(line)]


def _is_command(line: str) -> bool:
    first = line.split(" ", 1)[0]
    return first in {"distill-tune", "ray", "python", "python3", "pytest", "pip", "tensorboard"}
