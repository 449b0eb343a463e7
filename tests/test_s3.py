"""A study in an object store: a real S3 server on loopback, and its bad days."""

import csv
import io
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import StudyState
from tests.commands import ONE_AT_A_TIME, Run, inside, of_kind, write_space
from tests.s3 import CREDENTIALS, NOWHERE, Gate, gate

SHARE = 0.05
"""Of the requests that fail where some do."""

TEXT = ONE_AT_A_TIME.replace("joint: {epochs: 9", "joint: {epochs: 4").replace(
    "min_epochs: 8", "min_epochs: 2"
)
ENVIRONMENT = NOWHERE | CREDENTIALS


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with gate() as found:
        yield found


def search(folder: Path, server: Gate, **variables: str) -> Run:
    """Begin a search whose study lies in the bucket."""
    command = write_space(folder, TEXT)
    command[-1] = server.uri("runs")
    return Run(*command, **variables)


def directory(server: Gate) -> StudyDirectory:
    return StudyDirectory(server.uri("runs/tiny"))


def assert_all_accounted_for(state: StudyState) -> None:
    assert list(state.trials) == [0, 1, 2]
    assert {trial.status for trial in state.trials.values()} <= {"complete", "pruned"}
    for trial in state.trials.values():
        assert list(trial.history) == list(range(1, len(trial.history) + 1))


def fail_now_and_then(server: Gate, *kinds: str) -> None:
    luck = random.Random(0)  # noqa: S311 - no secret
    server.fault = lambda *_: luck.choice(kinds) if luck.random() < SHARE else ""


@pytest.mark.s3
def test_a_study_lives_in_a_bucket_with_bad_days_from_its_search_to_its_report(
    tmp_path: Path, server: Gate
) -> None:
    fail_now_and_then(server, "503", "slow", "cut")
    done = search(tmp_path, server)
    assert done.wait() == 0, done.output
    assert set(server.faults) == {"503", "slow", "cut"}
    study = directory(server)
    assert_all_accounted_for(study.state())
    table = list(csv.DictReader(io.StringIO(study.read_text("trials.csv"))))
    assert [row["number"] for row in table] == ["0", "1", "2"]
    assert study.has("report.html")
    assert study.has("best/shufflenet_v2_x0_5.yaml")
    assert any("/tensorboard/shufflenet_v2_x0_5-0000/" in r for r in server.requests)
    status = inside("status", study.root, "--json")
    assert json.loads(status.stdout)["state"] == "finished"
    again = inside("resume", study.root)
    assert "finished: 3 of 3 trials" in again.stdout


@pytest.mark.s3
def test_a_driver_that_is_killed_is_resumed_from_elsewhere(tmp_path: Path, server: Gate) -> None:
    killed = search(tmp_path, server)
    study = directory(server)
    killed.wait_until(lambda: any(event["event"] == "trial_ended" for event in study.events()))
    killed.send(signal.SIGKILL)
    killed.wait()
    home = tmp_path / "elsewhere"
    home.mkdir()
    resumed = Run("resume", study.root, HOME=str(home))
    assert resumed.wait() == 0, resumed.output
    assert_all_accounted_for(directory(server).state())


@pytest.mark.s3
@pytest.mark.parametrize("kind", ["503", "slow", "cut"])
def test_what_fails_now_and_then_is_done_again(tmp_path: Path, server: Gate, kind: str) -> None:
    fail_now_and_then(server, kind)
    done = search(tmp_path, server)
    assert done.wait() == 0, done.output
    assert server.faults[kind] >= 3
    server.fault = lambda *_: ""
    assert_all_accounted_for(directory(server).state())


@pytest.mark.s3
def test_a_server_that_goes_away_ends_the_search_with_a_message_and_it_goes_on(
    tmp_path: Path, server: Gate
) -> None:
    stopped = search(tmp_path, server)
    study = directory(server)
    stopped.wait_until(lambda: bool(of_kind(study.events(), "epoch")))
    server.fault = lambda *_: "503"
    assert stopped.wait() not in {0, -signal.SIGKILL}, stopped.output
    assert "Traceback" not in stopped.output
    assert "distill-tune resume" in stopped.stderr
    server.fault = lambda *_: ""
    resumed = Run("resume", study.root)
    assert resumed.wait() == 0, resumed.output
    assert_all_accounted_for(directory(server).state())


@pytest.mark.slow
@pytest.mark.parametrize("way", ["credentials", "bucket"])
def test_what_cannot_work_is_refused_before_anything_starts(
    tmp_path: Path, server: Gate, way: str
) -> None:
    command = write_space(tmp_path, TEXT)
    uri = server.uri("runs")
    command[-1] = uri.replace("studies", "nowhere") if way == "bucket" else uri
    without = dict.fromkeys(CREDENTIALS, "") if way == "credentials" else {}
    refused = Run(*command, **without)
    assert refused.wait() == 2, refused.output
    assert "Traceback" not in refused.output
    assert "starting Ray" not in refused.output
    assert refused.stderr.startswith(f"{command[-1].replace('/runs', '/runs/tiny')}: got ")
    assert "expected a folder that can be written to" in refused.stderr
    why = {"credentials": "ACCESS_DENIED", "bucket": "no bucket 'nowhere'"}
    assert why[way] in refused.stderr
