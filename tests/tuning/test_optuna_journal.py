"""A study in Optuna's dashboard: what the real one says, what is refused."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.cli.running import _write_journal, console
from distill_tune.errors import InputError
from distill_tune.records.directory import JOURNAL_FILE, StudyDirectory
from distill_tune.tuning.sampling.optuna_journal import journal, write_journal
from tests.commands import PATIENCE_S, Event
from tests.refusals import refused

SPACE = {
    "joint.margin": "uniform(0.05, 0.9)",
    "joint.gan_lr": {"type": "loguniform", "min": 1e-6, "max": 2e-4, "or_zero": 0.1},
    "joint.refresh": [1, 2, 5],
}
TERMS = {
    "study": "made-up",
    "data": {"kind": "digits"},
    "backbones": [{"name": "resnet18"}, {"name": "alexnet"}],
    "space": SPACE,
    "search": {"metric": "val/accuracy"},
}


def trial(number: int, backbone: str, values: list[float], **more: Any) -> Iterator[Event]:
    """Yield a trial's events: ``status`` and the like of its end, ``gan_lr`` of its params."""
    params = {"joint.margin": 0.1 * (number + 1), "joint.gan_lr": more.pop("gan_lr", 1e-5)}
    params["joint.refresh"] = 2
    head = {"trial": number, "name": f"{backbone}-{number:04d}", "backbone": backbone}
    at = 1_790_000_000.0 + 100 * number
    yield {"event": "trial_started", "time": at, **head, "params": params}
    for epoch, value in enumerate(values, 1):
        metrics = {"objective": value, "val/loss": float("nan"), "seconds/joint": 2.0}
        metrics |= {"warmup/synthetic/agreement": 0.96} if epoch == 1 else {}
        yield {"event": "epoch", "time": at, "trial": number, "epoch": epoch, "metrics": metrics}
    if more:
        yield {"event": "trial_ended", "time": at + 10, "trial": number, **more}


EVENTS = [
    {"event": "session_started", "time": 1.79e9, "command": "search", "study": TERMS},
    *trial(0, "resnet18", [0.5, 0.7], status="complete"),
    *trial(1, "alexnet", [0.4], status="complete"),
    *trial(2, "resnet18", [0.3], status="pruned", reason="rung 1", gan_lr=0.0),
    *trial(4, "resnet18", [0.2], status="failed", reason="diverged", detail="loss nan"),
    *trial(6, "resnet18", [0.1]),
]


@pytest.fixture
def study(tmp_path: Path) -> StudyDirectory:
    directory = StudyDirectory(str(tmp_path / "made up"))
    for event in EVENTS:
        directory.append(event)
    return directory


def asked(url: str) -> Any:
    """Return the answer of a server that may be starting."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310 - our own, on loopback
                return json.load(answer)
        except URLError:
            assert time.monotonic() < until
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_the_command_that_is_printed_shows_the_study(study: StudyDirectory) -> None:
    result = CliRunner().invoke(app, ["optuna", study.root])
    path = f"{study.root}/{JOURNAL_FILE}"
    command = f"optuna-dashboard '{path}'"
    assert result.stdout == f"written: {path}\n\nnext\n  {command}\n"
    port = free_port()
    variables = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    server = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command} --host 127.0.0.1 --port {port} --server wsgiref"],
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        api = f"http://127.0.0.1:{port}/api/studies"
        studies = {one["study_name"]: one for one in asked(api)["study_summaries"]}
        details = {name: asked(f"{api}/{one['study_id']}") for name, one in studies.items()}
    finally:
        server.kill()
        server.wait()
    assert list(studies) == ["made up-resnet18", "made up-alexnet"]
    assert studies["made up-resnet18"]["directions"] == ["maximize"]
    assert details["made up-resnet18"]["objective_names"] == ["accuracy"]
    trials = details["made up-resnet18"]["trials"]
    assert [one["state"] for one in trials] == ["Complete", "Pruned", "Fail", "Running"]
    assert [one.get("values") for one in trials[:3]] == [[0.7], [0.3], None]
    assert trials[0]["intermediate_values"] == [
        {"step": 1, "value": 0.5},
        {"step": 2, "value": 0.7},
    ]
    assert details["made up-resnet18"]["best_trials"][0]["number"] == 0
    told = [{one["key"]: one["value"] for one in t["user_attrs"]} for t in trials]
    assert [one["number"] for one in told] == ["0", "2", "4", "6"]
    assert (told[2]["reason"], told[2]["detail"]) == ("diverged", "loss nan")
    assert told[3]["state"] == "interrupted"
    assert (told[0]["seconds"], told[0]["epochs"]) == ("4.0", "2")
    assert told[0]["val/loss"] == "nan", "no browser reads a bare NaN"


def opened(path: Path, content: bytes) -> JournalStorage:
    path.write_bytes(content)
    return JournalStorage(JournalFileBackend(str(path)))


def test_params_are_the_decoded_ones_on_scales_that_hold_them(tmp_path: Path) -> None:
    storage = opened(tmp_path / "journal", journal("s", EVENTS, is_running=True))
    with_zero, without = (
        storage.get_all_trials(storage.get_study_id_from_name(f"s-{backbone}"))
        for backbone in ("resnet18", "alexnet")
    )
    assert [one.params["joint.gan_lr"] for one in with_zero] == [1e-5, 0.0, 1e-5, 1e-5]
    scales = [trials[0].distributions["joint.gan_lr"] for trials in (with_zero, without)]
    assert scales == [FloatDistribution(0.0, 2e-4), FloatDistribution(1e-6, 2e-4, log=True)]
    assert with_zero[3].user_attrs["state"] == "running"
    # Of the warm-up its first epoch tells.
    assert [one.user_attrs.get("warmup/synthetic/agreement") for one in with_zero[:2]] == [
        0.96,
        0.96,
    ]
    started, ended = with_zero[0].datetime_start, with_zero[0].datetime_complete
    assert started is not None
    assert ended is not None
    assert started.timestamp() == 1_790_000_000.0
    assert (ended - started).total_seconds() == 10


def test_a_log_with_holes_and_strangers_in_it_still_gives_a_journal(tmp_path: Path) -> None:
    events: list[Event] = [
        {"event": "session_started", "time": 1e300, "command": "", "study": {"space": {"a": 3}}},
        *trial(0, "resnet18", [], status="complete", gan_lr=[1, {"x": float("inf")}]),
        *trial(1, "resnet18", [0.5], status="complete", gan_lr="ten"),
        {"event": "epoch", "time": 1e300, "trial": 9, "epoch": 1, "metrics": {"objective": "inf"}},
        {"event": "trial_ended", "time": 1e300, "trial": 9, "status": "complete"},
    ]
    storage = opened(tmp_path / "journal", journal("s", events, is_running=False))
    found = {
        one.study_name: storage.get_all_trials(one._study_id) for one in storage.get_all_studies()
    }
    states = {name: [one.state.name for one in trials] for name, trials in found.items()}
    assert states == {"s-resnet18": ["FAIL", "COMPLETE"], "s-unknown": ["FAIL"]}
    assert found["s-resnet18"][1].params["joint.gan_lr"] == "ten"


def test_a_study_without_trials_gives_empty_ones(tmp_path: Path) -> None:
    storage = opened(tmp_path / "journal", journal("s", EVENTS[:1], is_running=False))
    assert [one.study_name for one in storage.get_all_studies()] == ["s-resnet18", "s-alexnet"]
    assert opened(tmp_path / "none", journal("s", [], is_running=False)).get_all_studies() == []


def test_it_goes_elsewhere_on_demand_and_leaves_nothing_else(
    study: StudyDirectory, tmp_path: Path
) -> None:
    before = sorted(path.name for path in Path(study.root).iterdir())
    out = tmp_path / "elsewhere" / "my.journal"
    assert write_journal(study, str(out)) == str(out)
    assert write_journal(study, str(out)) == str(out), "once more, over the old one"
    assert [path.name for path in out.parent.iterdir()] == ["my.journal"]
    assert sorted(path.name for path in Path(study.root).iterdir()) == before


def test_the_command_that_is_printed_is_short_for_a_study_below_this_folder(
    study: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(study.root).parent)
    result = CliRunner().invoke(app, ["optuna", study.root])
    assert result.stdout.endswith(f"\n  optuna-dashboard 'made up/{JOURNAL_FILE}'\n")


def test_what_cannot_be_written_or_opened_is_refused(
    study: StudyDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("optuna", "nothing") == "nothing: no study here (no study.yaml)"
    expected = "expected a file on this machine: optuna-dashboard opens no other"
    assert (
        refused("optuna", study.root, "--out", "s3://a/b") == f"--out: got 's3://a/b', {expected}"
    )
    assert refused("optuna", study.root, "--out", "made up") == f"{study.root}: Is a directory"
    remote = StudyDirectory("memory://studies/made-up")
    remote.append(EVENTS[0])
    with pytest.raises(InputError) as caught:
        write_journal(remote)
    assert str(caught.value) == f"out: got nothing, and a study behind a URI, {expected}"


def test_a_search_does_not_fail_for_its_journal(
    study: StudyDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(study.root, JOURNAL_FILE).mkdir()
    _write_journal(study, console(as_json=False))
    said = capsys.readouterr().out
    assert said.startswith("warning: the journal for optuna-dashboard was not written: ")
    assert "Is a directory" in said
