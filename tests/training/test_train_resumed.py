"""A training that is stopped, in whatever way, ends as one that never was."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import distill_tune
from distill_tune.cli import app
from distill_tune.distill.trial import Report
from distill_tune.errors import DiskFullError, InputError, StudyError
from distill_tune.interfaces import Metrics
from distill_tune.terminal.training_view import TrainingView
from distill_tune.training import train, training_folder
from distill_tune.training.checkpoints.content import read_checkpoint, write_checkpoint
from distill_tune.training.checkpoints.folders import newest_first
from distill_tune.training.runner import Runner
from distill_tune.training.train import train_model
from tests.commands import Run
from tests.training.tiny import FILES, SHORT, Trained, recipe, write_config

OPTIONS = [part for change in SHORT for part in ("--set", change)]
Place = tuple[str, int]


class Stopped(Exception):  # noqa: N818 - no error, but what stands for a death
    """The training dies."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("whole")
    return Trained(recipe(folder), folder / "model")


@pytest.fixture
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a checkpoint be written at every report."""
    monkeypatch.setattr(train, "_CHECKPOINT_SHARE", 1)


def die_at(folder: Path, place: Place, seen: dict[Place, Metrics]) -> list[str]:
    """Train until a report, which nobody hears; return the lines that were said."""
    lines: list[str] = []

    def listen(report: Report) -> None:
        if (report.stage, report.step) == place:
            raise Stopped
        seen[report.stage, report.step] = report.metrics

    with pytest.raises(Stopped):
        train_model(recipe(folder), folder / "model", say=lines.append, listen=listen)
    return lines


def checkpoints(out: Path) -> list[Path]:
    root = training_folder.root(out)
    return [Path(root, folder) for folder in newest_first(root, training_folder.NAME)]


def assert_same(one: Path, other: Path) -> None:
    assert {path.name for path in one.iterdir()} == FILES
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.usefixtures("_always")
def test_one_that_dies_in_every_stage_ends_as_the_one_that_never_did(
    whole: Trained, tmp_path: Path
) -> None:
    seen: dict[Place, Metrics] = {}
    assert die_at(tmp_path, ("warmup", 2), seen) == []
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["unfinished_training"]
    went_on, unfit = die_at(tmp_path, ("triplet", 1), seen)
    assert went_on == "resuming after warmup 1/3"
    assert unfit.startswith("warning: the generator is not fit after warmup: agreement 0.")
    # Said once: what is wrong after the triplet stage was wrong before it.
    assert die_at(tmp_path, ("joint", 2), seen) == ["resuming after warmup 3/3"]
    last = Trained(recipe(tmp_path), tmp_path / "model")
    assert last.lines == ["resuming after joint 1/2"]
    seen |= {(report.stage, report.step): report.metrics for report in last.reports}
    expected = {(report.stage, report.step): report.metrics for report in whole.reports}
    assert seen == expected
    assert_same(last.folder, whole.folder)


@pytest.mark.usefixtures("_always")
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(
    whole: Trained, tmp_path: Path
) -> None:
    die_at(tmp_path, ("triplet", 2), {})
    newest = checkpoints(tmp_path / "model")[0]
    (newest / "trial.pt").write_bytes(b"damaged")
    last = Trained(recipe(tmp_path), tmp_path / "model")
    assert last.lines[0].startswith(f"warning: damaged checkpoint passed over: {newest}")
    assert last.lines[1] == "resuming after warmup 3/3"
    assert_same(last.folder, whole.folder)


@pytest.mark.usefixtures("_always")
def test_one_begun_otherwise_is_refused_with_what_differs(tmp_path: Path) -> None:
    die_at(tmp_path, ("warmup", 1), {})
    out = tmp_path / "model"
    before = sorted(out.rglob("*"))
    changes = ["joint.margin=0.4", "data.seed=1", "backbone=squeezenet1_0"]
    with pytest.raises(StudyError) as caught:
        Trained(recipe(tmp_path, *changes), out)
    head, *lines, last = str(caught.value).splitlines()
    assert head == f"{out}: the training there was started differently:"
    assert [line.partition(":")[0] for line in lines] == [
        "  joint.margin",
        "  data.seed",
        "  backbone.name",
        "  images",
    ]
    assert lines[0] == "  joint.margin: 0.3 -> 0.4"
    assert last == "Undo these changes, or choose another folder."
    assert sorted(out.rglob("*")) == before


@pytest.mark.usefixtures("_always")
def test_a_checkpoint_of_another_content_is_passed_over(whole: Trained, tmp_path: Path) -> None:
    die_at(tmp_path, ("warmup", 2), {})
    newest, older = checkpoints(tmp_path / "model")
    sound = read_checkpoint(newest, torch.device("cpu"))
    del sound["trial"]["gan"]["ema"]
    write_checkpoint(older, sound)
    write_checkpoint(newest, {"trial": 7})
    last = Trained(recipe(tmp_path), tmp_path / "model")
    damaged, anew, unfit = last.lines[:2], last.lines[2], last.lines[3:]
    assert anew == "warning: no checkpoint is sound; the training starts over"
    assert [line.partition(":")[2].strip()[:24] for line in unfit] == ["the generator is not fit"]
    for line, lacking in zip(damaged, ("config", "ema"), strict=True):
        assert line.startswith("warning: damaged checkpoint passed over: ")
        assert line.endswith(f": got the state of something else ('{lacking}')")
    assert_same(last.folder, whole.folder)


@pytest.mark.usefixtures("_always")
def test_a_full_disk_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Runner, "write", fill)
    with pytest.raises(DiskFullError, match=r"model: No space left on device\nMake room, then go"):
        Trained(recipe(tmp_path), tmp_path / "model")


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "model"
    with (
        training_folder.opened(out),
        pytest.raises(StudyError, match="another training is running"),
    ):
        Trained(recipe(tmp_path), out)


def test_an_interrupt_ends_it_at_the_next_report_and_the_same_command_goes_on(
    whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = TrainingView.listen

    def interrupting(self: TrainingView, report: Report) -> None:
        listen(self, report)
        if (report.stage, report.step) == ("warmup", 2):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TrainingView, "listen", interrupting)
    out = tmp_path / "model"
    command = ["train", "--config", str(write_config(tmp_path)), "--out", str(out), *OPTIONS]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 130, first.output
    assert "stopping after this epoch; Ctrl-C again stops at once" in first.stdout.splitlines()
    assert first.stderr.startswith("interrupted; go on with:\n  distill-tune")
    second = CliRunner().invoke(app, command)
    assert second.exit_code == 0, second.output
    assert "resuming after warmup 2/3" in second.stdout.splitlines()
    assert_same(out, whole.folder)


def test_one_that_was_killed_before_it_had_its_lock_is_begun(tmp_path: Path) -> None:
    (tmp_path / "model/unfinished_training").mkdir(parents=True)
    seen: dict[Place, Metrics] = {}
    die_at(tmp_path, ("warmup", 1), seen)
    assert seen


@pytest.mark.parametrize("num_deleted", range(3))
def test_one_that_was_killed_while_it_tidied_up_is_over_and_tidied_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_deleted: int
) -> None:
    out = tmp_path / "model"
    with training_folder.opened(out):
        (out / "unfinished_training/checkpoints").mkdir()
        (out / "unfinished_training/checkpoints/trial.pt").touch()
        (out / "model.yaml").touch()
        left, unlink = [num_deleted], os.unlink

        def die(*where: object, **how: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Stopped
            unlink(*where, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "unlink", die)
        with suppress(Stopped):
            training_folder.clear(out)
        monkeypatch.undo()
    with pytest.raises(InputError, match=r"model, which already exists, expected a new or empty"):
        Trained(recipe(tmp_path), out)
    assert [path.name for path in out.iterdir()] == ["model.yaml"]


def test_what_an_older_version_left_of_its_checkpoints_is_deleted(tmp_path: Path) -> None:
    out = tmp_path / "model"
    (out / "unfinished_training/checkpoints").mkdir(parents=True)
    (out / "model.yaml").touch()
    with pytest.raises(InputError, match="already exists"):
        Trained(recipe(tmp_path), out)
    assert [path.name for path in out.iterdir()] == ["model.yaml"]


@pytest.mark.slow
def test_one_that_was_killed_goes_on_by_the_same_command(whole: Trained, tmp_path: Path) -> None:
    out = tmp_path / "model"
    command = ["train", "--config", str(write_config(tmp_path)), "--out", str(out), *OPTIONS]
    own = tmp_path / "own"
    own.mkdir()
    # A training of seconds may be over before a twentieth of its time is enough for a checkpoint.
    (own / "sitecustomize.py").write_text(
        "import distill_tune.training.train as train\ntrain._CHECKPOINT_SHARE = 1\n"
    )
    first = Run(*command, PYTHONPATH=f"{own}:{Path(distill_tune.__file__).parents[1]}")
    first.wait_until(lambda: bool(checkpoints(out)))
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    second = Run(*command)
    assert second.wait() == 0, second.output
    assert "resuming after " in second.stdout
    assert_same(out, whole.folder)
