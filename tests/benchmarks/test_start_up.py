"""What the start-up benchmark measures is what its name says."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.records.status import status_info
from tests.benchmarks import start_up
from tests.benchmarks.processes import timed


def test_the_written_study_is_a_finished_one(tmp_path: Path) -> None:
    directory = start_up.write_study(tmp_path / "finished")
    info = status_info(directory)
    assert (info.state, info.counts) == ("finished", {"resnet50": {"complete": 48}})
    shown = CliRunner().invoke(app, ["status", directory.root])
    assert (shown.exit_code, info.warnings) == (0, ())
    assert "resnet50" in shown.stdout


def test_a_command_that_fails_is_no_measurement() -> None:
    assert timed("-c", "print('done')").stdout == "done\n"
    with pytest.raises(RuntimeError, match="broken"):
        timed("-c", "raise SystemExit('broken')")


@pytest.mark.parametrize("arguments", start_up.PARTS.values(), ids=start_up.PARTS)
def test_what_a_part_of_it_imports_is_there(arguments: tuple[str, ...]) -> None:
    assert timed(*arguments).seconds > 0
