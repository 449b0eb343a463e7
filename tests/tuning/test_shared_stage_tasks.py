"""The driver's record of shared stages: their curve, what becomes of an unfit generator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from unittest.mock import MagicMock

import pytest

from distill_tune.cluster.resources import Slots
from distill_tune.cluster.task_pool import Ended
from distill_tune.distill.trial import Report
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.training.shared_stages import StageResult
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import ComputePlace, Job, SharedStage
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.run_options import StageOptions
from distill_tune.tuning.shared_stage_tasks import _stage, _StageQueue, run_stages
from tests.commands import STUDY, of_kind, read_events

PNG = b"\x89PNG\r\n\x1a\n picture"


class Quiet:
    """Takes how far stages are, for nobody."""

    def stage(self, name: str, progress: Report | str) -> None:
        """Take it."""


class Driver:
    """A driver of shared stages, and the folder of its study."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.study = parse(Study, read_yaml_text(STUDY, "tiny.yaml"))
        self.store = StageStore(str(root), "digest", ComputePlace("cpu", 1))

    def queue(self) -> _StageQueue:
        """Return the queue of a new session."""
        journal = Journal(StudyDirectory(str(self.root)), lambda *_: None)
        return _StageQueue(self.store, journal, Quiet())

    def job(self, stage: SharedStage, *, is_auto: bool = False) -> Job:
        limit = {"gan.warmup_steps": "auto", "gan.max_warmup_steps": 400} if is_auto else {}
        name = stage if stage == "warmup" else f"{stage}/squeezenet1_1"
        return Job(stage, self.study.trial_config("squeezenet1_1", limit), name)

    def write(self, job: Job, *agreements: float) -> None:
        """Store what a stage with these measurements leaves."""
        reports = [
            Report(
                job.stage,
                50 * count,
                50 * len(agreements),
                {"synthetic/agreement": value, "synthetic/pixel_diversity": 1 - value / 2},
                2.0,
            )
            for count, value in enumerate(agreements, start=1)
        ]
        self.store.write(job.stage, job.config, reports, {}, PNG)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return of_kind(read_events(self.root), kind)

    def warnings(self) -> list[str]:
        return [str(event["text"]) for event in self.events("warning")]


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path / "runs/one")


def test_a_stage_says_that_it_has_started_long_before_its_first_report(driver: Driver) -> None:
    driver.root.mkdir(parents=True)
    (driver.root / "study.yaml").touch()
    placed: Any = None  # Images are taken afterwards.
    told = _stage(driver.job("warmup"), placed, driver.store, {"CPU": 1}, 0.05)
    assert next(told) == ("warmup", "started")


def test_a_stage_that_is_found_ready_tells_its_whole_curve(driver: Driver) -> None:
    job = driver.job("warmup", is_auto=True)
    driver.write(job, 0.25, 0.75, 0.9375)
    grid = Path(driver.store.path("warmup", job.config)).with_suffix(".png")
    assert grid.read_bytes() == PNG
    grid.unlink()
    assert driver.queue().is_ready(job)
    (event,) = driver.events("stage")
    assert event["curve"] == [
        {"step": 50, "agreement": 0.25, "diversity": 0.875},
        {"step": 100, "agreement": 0.75, "diversity": 0.625},
        {"step": 150, "agreement": 0.9375, "diversity": 0.53125},
    ]
    assert (event["steps"], event["max_steps"], event["cost_s"]) == (150, 400, 6.0)
    assert event["metrics"]["synthetic/agreement"] == 0.9375
    assert event["cached"]
    assert grid.read_bytes() == PNG, "it is a part of the product"
    assert driver.warnings() == []
    (record,) = StudyDirectory(str(driver.root)).state().stages
    assert [point.agreement for point in record.curve] == [0.25, 0.75, 0.9375]


def test_a_product_of_another_study_brings_its_curve_and_its_picture(driver: Driver) -> None:
    job = driver.job("warmup")
    driver.write(job, 0.5, 0.96)
    driver.store.publish(job.stage, job.config)
    other = Driver(driver.root.parent / "two")
    begun = other.root / f"checkpoints/warmup-{other.store.key('warmup', job.config)}"
    (begun / "checkpoint_000001").mkdir(parents=True)
    assert other.queue().is_ready(job)
    assert not begun.exists(), "nothing goes on from there"
    (event,) = other.events("stage")
    assert [row["agreement"] for row in event["curve"]] == [0.5, 0.96]
    (grid,) = other.root.glob("stages/*.png")
    assert grid.read_bytes() == PNG


def test_an_unfit_generator_is_named_once_over_all_sessions(driver: Driver) -> None:
    job = driver.job("warmup")
    driver.write(job, 0.2, 0.41)
    for _ in range(3):
        assert driver.queue().is_ready(job)
    assert len(driver.events("stage")) == 3
    (text,) = driver.warnings()
    assert text.startswith("the generator is not fit after warmup: agreement 0.41 is below 0.6, ")


def test_of_several_unfit_generators_one_warning_says_what_to_change(driver: Driver) -> None:
    first, second = driver.job("warmup"), driver.job("warmup", is_auto=True)
    driver.write(first, 0.41)
    driver.write(second, 0.31)
    for _ in range(2):
        queue = driver.queue()
        assert queue.is_ready(first)
        assert queue.is_ready(second._replace(name="warmup steps=auto"))
    long, short = driver.warnings()
    assert "joint.selection" in long
    assert short == (
        "the generator is not fit after warmup steps=auto: agreement 0.31 is below 0.6"
    )


@pytest.mark.parametrize(("before", "told"), [(0.5, "warmup"), (0.95, "triplet")])
def test_a_triplet_stage_is_named_only_where_it_spoilt_the_generator(
    driver: Driver, before: float, told: str
) -> None:
    queue = driver.queue()
    for stage, agreement in (("warmup", before), ("triplet", 0.4)):
        job = driver.job(stage)  # type: ignore[arg-type]
        driver.write(job, agreement)
        assert queue.is_ready(job)
    (text,) = driver.warnings()
    assert text.startswith(f"the generator is not fit after {told}")


def test_what_was_computed_now_is_told_alike(driver: Driver) -> None:
    job = driver.job("warmup", is_auto=True)
    report = Report(
        "warmup", 400, 400, {"synthetic/agreement": 0.55, "synthetic/pixel_diversity": 0.5}, 3.0
    )
    tell: Callable[[StageResult, Job], None] = driver.queue()._tell
    tell(StageResult.computed(job, "key", [report], 5.0, 3.0), job)
    (event,) = driver.events("stage")
    assert (event["cached"], event["steps"], event["seconds"]) == (False, 400, 5.0)
    assert event["curve"] == [{"step": 400, "agreement": 0.55, "diversity": 0.5}]
    (text,) = driver.warnings()
    assert "gan.max_warmup_steps" in text


def test_no_more_stages_run_than_trials_may_and_the_others_stay_free(driver: Driver) -> None:
    first, second = driver.job("warmup"), driver.job("classifier")
    queue = driver.queue()
    queue.add([first, second])
    started = list(queue.startable(lambda: not queue.computing))
    assert [work.job for work in started] == [first]
    assert [work.job for work in queue.waiting] == [second]
    assert driver.store.claim(second.stage, second.config).take(), "nobody has claimed it"
    queue.release()


def test_a_stage_waits_for_those_that_it_starts_from(driver: Driver) -> None:
    queue = driver.queue()
    queue.add([driver.job(stage) for stage in ("warmup", "classifier", "triplet")])
    first, second = queue.startable(lambda: True)
    assert (first.job.stage, second.job.stage) == ("warmup", "classifier")
    assert not list(queue.startable(lambda: True))
    queue.take(Ended(first))
    assert not list(queue.startable(lambda: True))
    queue.take(Ended(second))
    (third,) = queue.startable(lambda: True)
    assert third.job.stage == "triplet"
    queue.release()


def test_asking_what_can_start_computes_no_keys(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = driver.queue()
    queue.add([driver.job("triplet"), driver.job("warmup"), driver.job("classifier")])
    monkeypatch.setattr(StageStore, "key", None)
    assert not list(queue.startable(lambda: False))


def test_the_end_of_the_time_is_the_end_of_stages_that_are_not_ready(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this thread, whichever it is, and without a signal."""
    started: list[str] = []
    time_left = iter([True, True, False])

    class EndlessTasks:
        """A pool whose tasks never end."""

        has_room = True

        def __class_getitem__(cls, _: object) -> "type[EndlessTasks]":
            return cls

        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            started.append("cancelled")

        def start(self, work: Any, *_: object) -> None:
            started.append(work.job.name)

        def listen(self) -> list[object]:
            return []

    module = "distill_tune.tuning.shared_stage_tasks"
    monkeypatch.setattr(f"{module}.TaskPool", EndlessTasks)
    monkeypatch.setattr(f"{module}.NodeWatch", lambda *_: None)
    monkeypatch.setattr(f"{module}._workers_of_trials", lambda _: MagicMock())
    journal = Journal(StudyDirectory(str(driver.root)), lambda *_: None)
    images: Any = MagicMock()
    images.digest.return_value = "digest"
    jobs = [driver.job("warmup"), driver.job("triplet")]
    slots = Slots({"CPU": 1}, 1)
    options = StageOptions(checkpoint_share=0.05, is_time_over=lambda: not next(time_left))
    run_stages(jobs, images, journal, Quiet(), slots, options)
    assert started == ["warmup", "cancelled"]
    claim = driver.store.claim("warmup", jobs[0].config)
    assert claim.take(), "another study may compute it"
    claim.release()
