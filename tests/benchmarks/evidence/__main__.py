"""``python -m tests.benchmarks.evidence [STUDY_DIR ...]``: keep confirmations, write the tables."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tests.benchmarks.evidence import FOLDER, load, readme_table, replaced, results_tables
from tests.benchmarks.results import RESULTS, machine

_ROOT = Path(__file__).parents[3]
_SPACES = "search_spaces/evidence"


def main(
    study_dirs: Annotated[
        list[Path] | None, typer.Argument(metavar="[STUDY_DIR]...", help="Confirmed studies.")
    ] = None,
    *,
    commit: Annotated[str, typer.Option(help="Commit that ran; default: that of HEAD.")] = "",
    beside: Annotated[str, typer.Option(help="A sentence on what else the machine did.")] = "",
) -> None:
    """Keep what ``confirm`` found for each study, and write the tables of README and RESULTS."""
    for study_dir in study_dirs or []:
        name = study_dir.name.removeprefix("evidence-")
        source = {"commit": commit or _head(), "load": beside}
        text = json.dumps(_kept(study_dir, name, source), indent=1)
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    kept = load()
    for path, part in ((_ROOT / "README.md", readme_table), (RESULTS, results_tables)):
        text = path.read_text(encoding="utf-8")
        path.write_text(replaced(text, "evidence", part(kept)), encoding="utf-8")


def _kept(study_dir: Path, name: str, source: dict[str, str]) -> dict[str, Any]:
    space = _ROOT / _SPACES / f"{name}.yaml"
    found = study_dir / "confirm" / "confirmation.json"
    return {
        "setting": name,
        "title": _title(space),
        "source": {
            "commands": [
                f"distill-tune search --space {_SPACES}/{name}.yaml",
                f"distill-tune confirm runs/{study_dir.name}",
            ],
            **source,
            "machine": machine(),
            "date": datetime.now(UTC).date().isoformat(),
        },
        "confirmation": json.loads(found.read_text(encoding="utf-8")),
    }


def _title(space: Path) -> str:
    lines = []
    for line in space.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#")
        if not line.startswith("# ") or text.startswith("    "):
            break
        lines.append(text.strip())
    return " ".join(lines)


def _head() -> str:
    command = [shutil.which("git") or "git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    typer.run(main)
