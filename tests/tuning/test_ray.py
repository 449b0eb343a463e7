"""A real search through Ray: interrupted, killed, and rebuilt from the records both times."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import distill_tune


def search(folder: Path, name: str, *ending: object) -> int:
    """Run one session in a process of its own; return its exit status."""
    script = str(Path(__file__).with_name("tiny_search.py"))
    root = str(Path(distill_tune.__file__).parents[1])
    command = [sys.executable, script, str(folder), name, *map(str, ending or ("SIGKILL", 0))]
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


@pytest.mark.storm
def test_a_search_interrupted_and_killed_ends_as_one_left_alone(
    tmp_path: Path,
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert search(whole, "imitate") == 0
    expected = json.loads((whole / "summary.json").read_text())

    assert search(broken, "first", "SIGINT", 14) == 0
    assert search(broken, "second", "SIGKILL", 15) == -signal.SIGKILL
    assert len((broken / "events.jsonl").read_text().splitlines()) == 14 + 15
    assert search(broken, "third") == 0
    assert json.loads((broken / "summary.json").read_text()) == expected

    status = {number: (status, value) for number, status, value, *_ in expected["trials"]}
    assert list(status) == list(range(12))
    assert status[4] == status[5] == ("failed", None)
    assert {name for name, _ in status.values()} == {"complete", "pruned", "failed"}
    pruned = {number for number, (name, _) in status.items() if name == "pruned"}
    stopped = {
        int(number)
        for rungs in expected["rungs"].values()
        for _, verdicts in rungs
        for number, (_, stop) in verdicts.items()
        if stop
    }
    assert stopped == pruned
    assert [epoch for epoch, _ in expected["rungs"]["resnet50"]] == [1, 2, 4]
    assert "4" in expected["rungs"]["resnet50"][0][1]
    assert "4" not in expected["rungs"]["resnet50"][1][1]
