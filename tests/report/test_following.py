"""Following of a study: to trackers in memory, and to a server on this machine."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.confirmation.evidence.summary import confirmation
from distill_tune.errors import FollowError, StudyError
from distill_tune.records.confirm_log import ENDED, STARTED
from distill_tune.records.directory import StudyDirectory
from distill_tune.report.following.follow import Followed, FollowOptions, follow
from tests.confirmation.test_summary import CLEAR, log
from tests.confirmation.test_summary import run as confirmation_run
from tests.report.fake_trackers import FakeMlflow, FakeWandb
from tests.report.made_up import NAME, add, begin, make_study


def send(directory: StudyDirectory, to: str, **options: Any) -> Followed:
    """Follow a study without waiting."""
    waits = {"say": lambda _line: None, "pause": lambda _seconds: None}
    return follow(directory, FollowOptions(to, **{"is_once": True, **waits, **options}))


def end(directory: StudyDirectory, status: str = "finished") -> None:
    directory.append({"event": "session_ended", "status": status})


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    return FakeMlflow.install(monkeypatch)


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    return FakeWandb.install(monkeypatch)


class Inbox:
    """A webhook's server: what it was sent, and the codes of its next answers."""

    def __init__(self, port: int) -> None:
        self.to = f"webhook=http://127.0.0.1:{port}/secret"
        self.bodies: list[dict[str, Any]] = []
        self.codes: list[int] = []

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            code = box.codes.pop(0) if box.codes else 200
            if code == 200:
                assert self.headers["Content-Type"] == "application/json"
                box.bodies.append(json.loads(body))
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    box = Inbox(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield box
    server.shutdown()
    thread.join()
    server.server_close()


def test_mlflow_has_a_run_per_trial_with_its_curve_and_its_end(
    tmp_path: Path, mlflow: FakeMlflow
) -> None:
    directory = make_study(tmp_path / "study", 12)
    done = send(directory, "mlflow")
    trials = directory.state().trials
    assert (done.num_runs, done.num_epochs) == (12, sum(t.epochs for t in trials.values()))
    assert list(mlflow.experiments) == ["study"]
    runs = {run.name: run for run in mlflow.runs.values()}
    for trial in trials.values():
        run = runs[trial.name]
        assert run.params["joint.pairing"] == trial.params["joint.pairing"]
        assert run.params["backbone"] == trial.backbone
        assert run.params["metric"] == "val/accuracy"
        history = {one.step: one.value for one in run.history if one.key == "val/accuracy"}
        assert history == {e: m["val/accuracy"] for e, m in trial.history.items()}
        assert run.info.status == ("FAILED" if trial.status == "failed" else "FINISHED")
        assert run.info.end_time == int(1000 * (trial.ended_at or 0))
        assert run.tags["distill_tune.state"] == trial.status


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_following_twice_sends_nothing_twice(
    tmp_path: Path, mlflow: FakeMlflow, is_forgotten: bool
) -> None:
    directory = make_study(tmp_path / "study", 6)
    send(directory, "mlflow", memory=str(tmp_path / "memory"))
    before = {key: (run.history[:], dict(run.params)) for key, run in mlflow.runs.items()}
    memory = tmp_path / ("another" if is_forgotten else "memory")
    done = send(directory, "mlflow", memory=str(memory))
    assert {key: (run.history, run.params) for key, run in mlflow.runs.items()} == before
    # What it remembers is not even asked for; what it has forgotten, MLflow has.
    assert done.num_runs == (6 if is_forgotten else 0)


def test_a_growing_study_is_sent_piece_by_piece(tmp_path: Path, mlflow: FakeMlflow) -> None:
    directory = begin(tmp_path)
    add(directory, 0, [0.5, 0.6], None)
    assert send(directory, "mlflow").num_epochs == 2
    (run,) = mlflow.runs.values()
    # No search runs.
    assert run.info.status == "KILLED"
    metrics = {"objective": 0.7, "val/accuracy": 0.7}
    with directory.lock():
        directory.append({"event": "epoch", "trial": 0, "epoch": 3, "metrics": metrics})
        assert send(directory, "mlflow").num_epochs == 1
        assert run.info.status == "RUNNING"
    directory.append({"event": "trial_ended", "trial": 0, "status": "complete"})
    done = send(directory, "mlflow")
    assert (done.num_runs, done.num_epochs) == (1, 0)
    assert run.info.status == "FINISHED"
    assert [one.step for one in run.history if one.key == "objective"] == [1, 2, 3]


def test_a_trial_left_open_is_not_running_while_a_confirmation_is(
    tmp_path: Path, mlflow: FakeMlflow
) -> None:
    directory = begin(tmp_path)
    add(directory, 0, [0.5, 0.6], None)
    directory.append({"event": STARTED, "reading": 1})
    with directory.lock():
        assert send(directory, "mlflow").status == "running"
    (run,) = mlflow.runs.values()
    assert run.info.status == "KILLED"


def test_a_live_study_is_followed_until_its_search_ends(tmp_path: Path, mlflow: FakeMlflow) -> None:
    directory = begin(tmp_path)
    lock = directory.lock()
    lock.__enter__()
    number = 0

    def search(_seconds: float) -> None:
        nonlocal number
        add(directory, number, [0.5], "complete")
        number += 1
        if number == 3:
            end(directory)
            lock.__exit__(None, None, None)

    done = send(directory, "mlflow", is_once=False, pause=search)
    assert (done.status, done.num_runs, len(mlflow.runs)) == ("finished", 3, 3)


def test_wandb_has_a_run_per_trial_and_continues_it(tmp_path: Path, wandb: FakeWandb) -> None:
    directory = begin(tmp_path)
    add(directory, 0, [0.5, 0.6], "complete")
    add(directory, 1, [0.4], None)
    send(directory, "wandb=team/cells")
    first = wandb.inits[0]
    assert (first["entity"], first["project"], first["group"]) == ("team", "cells", "study")
    assert first["config"]["joint.pairing"] == "assign"
    assert (first["name"], first["job_type"]) == (f"{NAME}-0000", "trial")
    # Runs of trials may be open at the same time, and a later process continues them.
    assert (first["reinit"], first["resume"]) == ("create_new", "allow")
    directory.append({"event": "epoch", "trial": 1, "epoch": 2, "metrics": {"objective": 0.7}})
    directory.append({"event": "trial_ended", "trial": 1, "status": "failed", "reason": "diverged"})
    send(directory, "wandb=team/cells")
    complete, failed = wandb.runs.values()
    assert [step for step, _ in complete.rows] == [1, 2]
    assert [step for step, _ in failed.rows] == [1, 2]
    assert failed.rows[-1][1] == {"objective": 0.7}
    assert complete.summary == {"state": "complete"}
    assert failed.summary == {"state": "failed", "reason": "diverged"}
    assert (complete.exit_codes, failed.exit_codes) == ([0], [0, 1])


def test_the_runs_of_a_confirmation_are_sent_too(tmp_path: Path, mlflow: FakeMlflow) -> None:
    directory = begin(tmp_path)
    for event in log({NAME: CLEAR}):
        directory.append(event)
    send(directory, "mlflow")
    runs = {run.name: run for run in mlflow.runs.values()}
    run = runs[f"confirm-{NAME}-gan_distillation-seed1001"]
    assert run.tags["distill_tune.kind"] == "confirmation"
    assert (run.params["arm"], run.params["seed"]) == ("gan_distillation", "1001")
    assert run.data.metrics["test/accuracy"] == 0.768


@pytest.mark.parametrize("is_remembered_as_a_row", [False, True])
def test_a_confirmation_run_that_was_lost_is_sent_when_it_was_repeated(
    tmp_path: Path, mlflow: FakeMlflow, wandb: FakeWandb, is_remembered_as_a_row: bool
) -> None:
    directory = begin(tmp_path)
    name = f"confirm-{NAME}-baseline-seed1000"
    lost = {"reason": "worker_lost", "detail": "its node died"}
    directory.append(confirmation_run(NAME, "baseline", 1000, None, **lost))
    for to in ("mlflow", "wandb"):
        assert send(directory, to).num_epochs == 0
    (run,) = mlflow.runs.values()
    assert run.info.status == "FAILED"
    if is_remembered_as_a_row:
        # As an earlier version did.
        for file in (Path(directory.path()) / "follow").glob("*.json"):
            content = json.loads(file.read_text())
            assert content["runs"] == {name: [-1, "failed"]}
            file.write_text(json.dumps(content | {"runs": {name: [0, "failed"]}}))
    directory.append(confirmation_run(NAME, "baseline", 1000, 0.7))
    for _ in range(2):
        for to in ("mlflow", "wandb"):
            send(directory, to)
    assert [(one.step, one.value) for one in run.history if one.key == "test/accuracy"] == [
        (0, 0.7)
    ]
    assert (run.info.status, run.tags["distill_tune.reason"]) == ("FINISHED", "")
    (other,) = wandb.runs.values()
    assert [(step, row["test/accuracy"]) for step, row in other.rows] == [(0, 0.7)]
    assert other.summary == {"state": "complete", "reason": ""}


def test_controls_are_sent_too(tmp_path: Path, mlflow: FakeMlflow) -> None:
    directory = begin(tmp_path)
    name = f"{NAME}-equal_steps"
    head = {"kind": "control", "arm": "equal_steps", "words": "equal steps", "seed": 3}
    head |= {"name": name, "backbone": NAME, "trial": None, "params": {}}
    directory.append({"event": "extra_started", **head})
    metrics = {"objective": 0.5}
    directory.append({"event": "extra_epoch", "name": name, "epoch": 1, "metrics": metrics})
    end = {"name": name, "status": "complete", "reason": "", "detail": ""}
    directory.append({"event": "extra_ended", **end})
    send(directory, "mlflow")
    (run,) = mlflow.runs.values()
    assert (run.name, run.tags["distill_tune.kind"]) == (name, "control")
    assert (run.params["arm"], run.params["seed"]) == ("equal_steps", "3")
    assert [(one.step, one.value) for one in run.history] == [(1, 0.5)]
    assert run.history[0].timestamp == int(1000 * directory.events()[-2]["time"])
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("failures", [2, 99])
def test_a_tracker_that_is_away_is_asked_again(
    tmp_path: Path, mlflow: FakeMlflow, failures: int
) -> None:
    directory = make_study(tmp_path / "study", 2)
    mlflow.failures = failures
    waited: list[float] = []
    if failures == 2:
        assert send(directory, "mlflow", pause=waited.append).num_runs == 2
        assert waited == [1.0, 4.0]
        return
    expected = "mlflow, experiment study: not sent (the server is away); the same command sends"
    with pytest.raises(FollowError) as caught:
        send(directory, "mlflow", pause=waited.append)
    assert str(caught.value).startswith(expected)
    mlflow.failures = 0
    send(directory, "mlflow")
    assert len(mlflow.runs) == 2
    assert all(run.info.status == "FINISHED" for run in mlflow.runs.values())


def test_a_webhook_is_told_of_a_new_best_a_failure_and_the_end(
    tmp_path: Path, inbox: Inbox
) -> None:
    directory = begin(tmp_path)
    add(directory, 0, [0.5], "complete")
    send(directory, inbox.to)
    assert inbox.texts[0] == f"study: new best, {NAME}-0000: accuracy 0.5000"
    # Nobody holds the lock, though the log has no end.
    assert inbox.texts[1].startswith("study: the search was killed")
    add(directory, 1, [0.4], "complete")
    add(directory, 2, [0.4], "failed", reason="diverged", detail="loss nan")
    add(directory, 3, [0.75], "complete")
    end(directory)
    assert send(directory, inbox.to).num_notices == 3
    assert inbox.texts[2:] == [
        f"study: trial {NAME}-0002 failed (diverged): loss nan",
        f"study: new best, {NAME}-0003: accuracy 0.7500 (before: {NAME}-0000 0.5000)",
        f"study: the search finished, 4 trials over, best {NAME}-0003: accuracy 0.7500",
    ]
    body = inbox.bodies[-1]
    assert body["kind"] == "search_ended"
    best = body["fields"]["best"][NAME]
    assert (best["trial"], best["value"], best["num_seeds"]) == (f"{NAME}-0003", 0.75, 1)
    assert body["fields"]["metric"] == "val/accuracy"
    assert body["content"] == body["text"]
    assert send(directory, inbox.to).num_notices == 0
    assert len({body["id"] for body in inbox.bodies}) == len(inbox.bodies) == 5


def test_of_several_new_bests_at_once_only_the_last_is_told(tmp_path: Path, inbox: Inbox) -> None:
    directory = begin(tmp_path)
    for number in range(5):
        add(directory, number, [0.5 + number / 10], "complete")
    end(directory)
    send(directory, inbox.to)
    assert [body["kind"] for body in inbox.bodies] == ["new_best", "search_ended"]
    assert inbox.bodies[0]["fields"]["trial"] == f"{NAME}-0004"
    assert send(directory, inbox.to).num_notices == 0


def test_a_webhook_is_told_what_a_confirmation_found(tmp_path: Path, inbox: Inbox) -> None:
    directory = begin(tmp_path)
    end(directory)
    events = log({NAME: CLEAR})
    for event in [*events, {"event": ENDED, "reading": 1}]:
        directory.append(event)
    send(directory, inbox.to)
    found = confirmation(directory.events())
    assert found is not None
    (one,) = found.backbones
    body = inbox.bodies[-1]
    assert body["text"] == f"study: the confirmation ended; {NAME}: {one.verdict}."
    assert body["fields"]["verdicts"] == {NAME: one.verdict}


def test_a_webhook_that_fails_gets_the_rest_later(tmp_path: Path, inbox: Inbox) -> None:
    directory = begin(tmp_path)
    add(directory, 0, [0.5], "complete")
    end(directory)
    inbox.codes = [503, 429]
    assert send(directory, inbox.to).num_notices == 2
    add(directory, 1, [0.6], "complete")
    inbox.codes = [404]
    with pytest.raises(FollowError, match=r"webhook at 127\.0\.0\.1: got HTTP 404 \(Not Found\)"):
        send(directory, inbox.to)
    assert send(directory, inbox.to).num_notices == 1


def test_a_webhook_that_is_not_there_is_said_and_stops_nothing(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    add(directory, 0, [0.5], "complete")
    with pytest.raises(FollowError, match=r"webhook at 127\.0\.0\.1: not sent") as caught:
        send(directory, "webhook=http://127.0.0.1:9/secret")
    assert "secret" not in str(caught.value)
    said: list[str] = []
    rounds = iter(range(20))
    with directory.lock(), pytest.raises(StopIteration):
        send(
            directory,
            "webhook=http://127.0.0.1:9/secret",
            is_once=False,
            say=said.append,
            pause=lambda _seconds: next(rounds),
        )
    assert said
    assert said[0].endswith("trying again")


@pytest.mark.usefixtures("mlflow")
def test_the_study_is_only_read(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 3)
    before = {p: p.read_bytes() for p in (tmp_path / "study").rglob("*") if p.is_file()}
    send(directory, "mlflow", memory=str(tmp_path / "memory"))
    assert {p: p.read_bytes() for p in (tmp_path / "study").rglob("*") if p.is_file()} == before
    send(directory, "mlflow")
    new = {p.parent.name for p in (tmp_path / "study").rglob("*") if p.is_file()} - {"study"}
    assert new == {"follow"}


def test_one_process_at_a_time_sends_to_a_place(tmp_path: Path, inbox: Inbox) -> None:
    directory = begin(tmp_path)
    with directory.lock():

        def another(_seconds: float) -> None:
            with pytest.raises(StudyError, match="another process sends this study"):
                send(directory, inbox.to)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            send(directory, inbox.to, is_once=False, pause=another)


@pytest.mark.parametrize(
    ("to", "message"),
    [
        (
            "tensorboard",
            "--to: got 'tensorboard', expected wandb, wandb=ENTITY/PROJECT, mlflow, mlflow=URI",
        ),
        ("mlfow", "--to: got 'mlfow', expected wandb, wandb=ENTITY/PROJECT, mlflow, mlflow=URI"),
        ("webhook", "--to: got 'webhook=', expected an address: webhook=https://HOST/PATH"),
        ("webhook=file:///etc", "--to: got 'webhook=file:///etc', expected an address"),
        ("webhook=http://[x", "--to: got 'webhook=http://[x', expected an address"),
        ("webhook=http://host:port/x", "--to: got 'webhook=http://host:port/x', expected an addr"),
        ("webhook=http://host:99999/", "--to: got 'webhook=http://host:99999/', expected an addr"),
        ("mlflow", "mlflow: got none (import of mlflow halted; None in sys.modules), expected it"),
        ("wandb", "wandb: got none (import of wandb halted; None in sys.modules), expected it"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    to: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    directory = begin(tmp_path)
    done = CliRunner().invoke(app, ["follow", directory.root, "--to", to])
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(message)
    if to in {"mlflow", "wandb"}:
        assert f"pip install 'distill-tune[{to}]'" in done.stderr


def test_an_address_that_mlflow_refuses_is_refused(
    tmp_path: Path, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise RuntimeError("Model registry functionality is unavailable;\n got 'foo://bar'")

    monkeypatch.setattr(sys.modules["mlflow"], "MlflowClient", refuse)
    directory = begin(tmp_path)
    done = CliRunner().invoke(app, ["follow", directory.root, "--to", "mlflow=foo://bar"])
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(
        "--to: got 'mlflow=foo://bar', expected a tracking URI that MLflow can open (Model registry"
    )
    assert not mlflow.runs


def test_the_memory_has_a_place(tmp_path: Path, inbox: Inbox) -> None:
    directory = begin(tmp_path)
    done = CliRunner().invoke(app, ["follow", directory.root, "--to", inbox.to, "--memory", ""])
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("--memory: got '', expected a folder or a URI")


def test_the_command_says_what_it_sent(tmp_path: Path, mlflow: FakeMlflow) -> None:
    directory = make_study(tmp_path / "study", 3)
    done = CliRunner().invoke(app, ["follow", directory.root, "--to", "mlflow", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["status"], found["num_runs"]) == ("finished", len(mlflow.runs))
    epochs = found["num_epochs"]
    assert f"sent to mlflow, experiment study: 3 runs, {epochs} epochs, 0 messages" in done.stderr
    damaged = next((tmp_path / "study/follow").glob("*.json"))
    damaged.write_text("{")
    done = CliRunner().invoke(app, ["follow", directory.root, "--to", "mlflow"])
    assert done.exit_code == 2
    assert "delete it to send everything again" in done.stderr
