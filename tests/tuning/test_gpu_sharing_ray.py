"""Searches through real Ray on GPUs that it is told of and that are not there."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import ray
from ray.util import placement_group, remove_placement_group

import distill_tune
from distill_tune.cluster.environment import prepare
from distill_tune.cluster.resources import slots
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.gpu_use import share
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.interrupts import Drain
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.tuner import TuneOptions, settle, tune_trials
from tests.commands import STUDY, Event, assert_nothing_is_doubled, epochs_reported, of_kind
from tests.tuning.fake_gpu import FakeGpuTrial, MeetingTrial

TEXT = (
    STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    .replace("num_trials: 6", "num_trials: 4, min_epochs: 3")
    .replace("joint: {epochs: 4", "joint: {epochs: 3")
) + "resources: {gpus: fit}\n"
STUDY_ON_GPUS = parse(Study, read_yaml_text(TEXT, "tiny.yaml"))


@pytest.fixture(scope="module")
def _one_gpu() -> Iterator[None]:
    """Start Ray with a GPU that is not there, and with cores for all that is asked of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(distill_tune.__file__).parents[1]))
        patch.setenv("OMP_NUM_THREADS", "1")
        # Another Ray than the one that tests share.
        ray.shutdown()
        prepare(None)
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        ray.init(
            address="local",
            num_cpus=4,
            num_gpus=1,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        try:
            yield
        finally:
            ray.shutdown()


class Search:
    """A study below a folder, and sessions on it in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.study = folder, STUDY_ON_GPUS
        self.images = self.study.data.load()
        self.journal = self.session()

    def session(self) -> Journal:
        """Begin a session."""
        (self.folder / "study.yaml").touch()
        self.journal = Journal(StudyDirectory(str(self.folder)), lambda *_: None)
        self.journal.emit("session_started", command="search", study={})
        return self.journal

    def run(self, trainable: type[FakeGpuTrial] = FakeGpuTrial) -> None:
        settle(self.study, self.journal)
        with suppress(KeyboardInterrupt):
            held = slots(self.study.resources)
            options = TuneOptions(trainable=trainable)
            tune_trials(self.study, self.images, self.journal, held, options)
        self.journal.write_tables()

    def shares(self) -> dict[tuple[int, int], float]:
        """Return the share of a GPU with which each epoch of each trial was computed."""
        epochs = of_kind(self.journal.directory.events(), "epoch")
        return {(event["trial"], event["epoch"]): event["metrics"]["gpu"] for event in epochs}

    def sessions(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "ray").iterdir() if path.is_dir())


def assert_whole(search: Search) -> None:
    """Check that every trial is over, and that each of its epochs was reported once."""
    state = search.journal.state
    assert {trial.status for trial in state.trials.values()} == {"complete"}
    every = [(trial, epoch) for trial in range(4) for epoch in range(1, 4)]
    assert sorted(epochs_reported(search.journal.directory.events())) == every
    assert_nothing_is_doubled(search.folder)


@pytest.mark.storm
@pytest.mark.usefixtures("_one_gpu")
def test_where_asked_a_search_goes_on_with_as_many_trials_as_fit(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.run(MeetingTrial)
    assert_whole(search)
    (told,) = of_kind(search.journal.directory.events(), "packing")
    assert (told["memory_bytes"], told["utilisation"]) == (2 * 2**30, pytest.approx(0.3))
    # It ends the epoch in which it learns of it.
    shares = search.shares()
    assert [shares.pop((0, epoch)) for epoch in (1, 2)] == [1, 1]
    assert set(shares.values()) == {0.5}
    assert search.sessions() == ["session-0001", "session-0001-1"]
    assert most_at_once(search.journal.directory.events()) == 2


def most_at_once(events: list[Event]) -> int:
    """Return how many trials ran at a time at most."""
    running: set[int] = set()
    most = 0
    for event in events:
        if event["event"] == "trial_started":
            running.add(event["trial"])
        if event["event"] == "trial_ended":
            running.discard(event["trial"])
        most = max(most, len(running))
    return most


@pytest.mark.storm
@pytest.mark.usefixtures("_one_gpu")
def test_an_interrupt_as_more_are_to_go_on_ends_the_session_and_a_resume_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Drain, "begin", interrupting)
        search.run()
    assert search.sessions() == ["session-0001"]
    assert list(search.shares()) == [(0, 1), (0, 2)]

    search.session()
    search.run()
    assert_whole(search)
    assert search.sessions() == ["session-0001", "session-0002"]
    assert len(of_kind(search.journal.directory.events(), "packing")) == 1
    shares = search.shares()
    assert [shares.pop((0, epoch)) for epoch in (1, 2)] == [1, 1]
    assert set(shares.values()) == {0.5}


@pytest.mark.slow
@pytest.mark.usefixtures("_one_gpu")
def test_ray_lets_so_many_share_a_gpu_and_no_more() -> None:
    """Else trials wait for a share that never comes, or fewer run than could."""
    groups = [placement_group([{"GPU": share(7)}]) for _ in range(8)]
    assert all(group.wait(60) for group in groups[:7])
    assert groups[7].wait(1) is False
    for group in groups:
        remove_placement_group(group)


BEGIN = Drain.begin


def interrupting(drain: Drain) -> None:
    """Begin, and let Ctrl-C come at that moment."""
    is_first = not drain.is_begun
    BEGIN(drain)
    if is_first:
        os.kill(os.getpid(), signal.SIGINT)
