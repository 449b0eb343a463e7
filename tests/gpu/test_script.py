"""The script for a GPU itself: steps that pass, fail, die or last, and a run of it on a CPU."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gpu.place import CPU, Place
from tests.gpu.runner import Check, run_checks, write
from tests.readme_commands import ROOT


def passing(place: Place) -> None:
    """It passes."""
    place.note(found=1)
    place.note(times={"a": 0.5})


def failing(place: Place) -> None:
    """It fails."""
    place.note(before=True)
    assert place.is_gpu, "two\nlines"


def dying(_: Place) -> None:
    """It dies."""
    os._exit(7)


def lasting(place: Place) -> None:
    """It lasts.

    All else waits.
    """
    place.note(begun=True)
    # A process that it starts ends with it.
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], check=False)


def test_each_step_has_its_outcome_and_the_next_one_runs(tmp_path: Path) -> None:
    checks = [Check(one, 60, is_for_cpus=True) for one in (failing, dying, passing)]
    outcomes = run_checks([*checks, Check(lasting, 60)], CPU, 60)
    assert [one.status for one in outcomes] == ["failed", "failed", "passed", "skipped"]
    assert outcomes[0].facts == {"before": True}
    assert "test_script.py:" in outcomes[0].detail
    assert "AssertionError two lines" in outcomes[0].detail
    assert outcomes[1].detail == "its process ended with 7"
    assert outcomes[2].facts == {"found": 1, "times": {"a": 0.5}}
    write(outcomes, tmp_path, CPU)
    assert json.loads((tmp_path / "gpu.json").read_text("utf-8"))["steps"][2]["status"] == "passed"
    text = (tmp_path / "gpu.md").read_text("utf-8")
    assert "| passing: It passes. | passed |" in text
    assert "| lasting: It lasts. All else waits. | skipped |" in text
    assert "found: 1; times: a 0.5 |" in text


def test_it_stops_in_time_with_what_it_has() -> None:
    began = time.monotonic()
    checks = [Check(one, 60, is_for_cpus=True) for one in (lasting, passing)]
    outcomes = run_checks(checks, CPU, 3)
    assert time.monotonic() - began < 20
    assert [one.status for one in outcomes] == ["no time", "no time"]
    assert outcomes[0].facts == {"begun": True}


def test_a_step_that_takes_far_longer_than_it_should_has_failed() -> None:
    (outcome,) = run_checks([Check(lasting, 0.03, is_for_cpus=True)], CPU, 60)
    assert outcome.status == "failed"
    assert outcome.detail.startswith("stopped after")


def script(tmp_path: Path, *options: str) -> dict[str, str]:
    """Run the script on a CPU; return each step's outcome."""
    command = [sys.executable, "-m", "tests.gpu", "--device", "cpu", "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = json.loads((tmp_path / "gpu.json").read_text("utf-8"))["steps"]
    assert done.returncode == 0, [one for one in found if one["status"] == "failed"]
    return {one["name"]: one["status"] for one in found}


@pytest.mark.slow
def test_a_small_run_on_a_cpu_passes(tmp_path: Path) -> None:
    steps = ("machine", "checkpoint", "eigenvalues", "waits")
    found = script(tmp_path, "--minutes", "4", "--steps", ",".join(steps))
    assert found == dict.fromkeys(steps, "passed") | {"waits": "skipped"}


@pytest.mark.storm
def test_all_that_applies_on_a_cpu_passes(tmp_path: Path) -> None:
    found = script(tmp_path, "--minutes", "10")
    of_gpus = {"waits", "memory", "searches", "compilation"}
    assert {name for name, status in found.items() if status == "skipped"} == of_gpus
    assert set(found.values()) == {"passed", "skipped"}
