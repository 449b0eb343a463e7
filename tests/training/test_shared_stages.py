"""Products of shared stages: computed once, found by every study, believed only if sound."""

import io
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from distill_tune.distill.trial import Report, Trial
from distill_tune.interfaces import ImageData, Metrics
from distill_tune.records.checksums import add_checksum
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.training.checkpoints.stage_runs import delete_stage_checkpoints
from distill_tune.training.shared_stages import (
    StageResult,
    adopt_stages,
    checkpoints_of,
    compute_stage,
)
from distill_tune.training.stage_store import StageStore, common_root
from distill_tune.training.stages import (
    PREDECESSORS,
    STAGES,
    ComputePlace,
    Job,
    SharedStage,
    shared_jobs,
)
from tests.commands import STUDY

CPU = torch.device("cpu")
BACKBONE = "squeezenet1_1"


@pytest.fixture(scope="module")
def study() -> Study:
    return parse(Study, read_yaml_text(STUDY, "tiny.yaml"))


@pytest.fixture(scope="module")
def images(study: Study) -> ImageData:
    return study.data.load()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "one"


@pytest.fixture
def store(root: Path, images: ImageData) -> StageStore:
    return StageStore(str(root), images.digest, ComputePlace("cpu", 1))


def job(study: Study, stage: SharedStage) -> Job:
    return Job(stage, study.trial_config(BACKBONE, {}), stage)


def compute(study: Study, store: StageStore, images: ImageData, stage: SharedStage) -> StageResult:
    *_, result = compute_stage(job(study, stage), images, store, CPU)
    assert isinstance(result, StageResult)
    return result


def file_of(store: StageStore, study: Study, stage: SharedStage) -> Path:
    return Path(store.path(stage, job(study, stage).config))


def test_a_stage_is_computed_and_then_found(
    study: Study, store: StageStore, images: ImageData
) -> None:
    for stage, count in zip(STAGES, (2, 10, 2), strict=True):
        *reports, result = compute_stage(job(study, stage), images, store, CPU)
        assert isinstance(result, StageResult)
        assert (result.name, result.cached) == (stage, False)
        assert 0 < result.cost_s <= result.seconds
        assert len(reports) == count
        saved = store.read(stage, job(study, stage).config, CPU)
        assert saved is not None
        assert set(saved) == {"product", "reports", "seconds", "grid"}
        assert saved["seconds"] == result.cost_s


def test_a_warmup_tells_its_curve_and_leaves_a_picture(
    study: Study, store: StageStore, images: ImageData, root: Path
) -> None:
    *said, result = compute_stage(job(study, "warmup"), images, store, CPU)
    assert isinstance(result, StageResult)
    reports = [one[1] for one in said if not isinstance(one, StageResult)]
    assert [point.step for point in result.curve] == [report.step for report in reports]
    assert result.curve[-1].agreement == result.metrics["synthetic/agreement"]
    assert result.curve[-1].diversity == result.metrics["synthetic/pixel_diversity"]
    assert (result.steps, result.max_steps) == (10, None)
    grid = root / f"stages/warmup-{result.key}.png"
    # Ten classes, eight images of 48 pixels of each, two pixels between them.
    assert struct.unpack(">II", grid.read_bytes()[16:24]) == (398, 498)
    classifier = compute(study, store, images, "classifier")
    assert (classifier.steps, classifier.curve) == (2, ())
    assert [path.suffix for path in sorted((root / "stages").iterdir())] == [".pt", ".png", ".pt"]


def test_a_warmup_without_a_given_length_tells_its_limit(
    study: Study, store: StageStore, images: ImageData
) -> None:
    config = study.trial_config(BACKBONE, {"gan.warmup_steps": "auto", "gan.max_warmup_steps": 60})
    *_, result = compute_stage(Job("warmup", config, "warmup"), images, store, CPU)
    assert isinstance(result, StageResult)
    assert (result.steps, result.max_steps) == (60, 60)
    assert [point.step for point in result.curve] == [50, 60]


def without_seconds(reports: Iterable[Report]) -> list[tuple[str, int, Metrics]]:
    return [(report.stage, report.step, report.metrics) for report in reports]


@pytest.fixture(scope="module")
def alone(study: Study, images: ImageData) -> list[tuple[str, int, Metrics]]:
    """Return the reports of a trial that computes every stage itself."""
    return without_seconds(Trial(job(study, "classifier").config, images, CPU).run())


@pytest.mark.parametrize("shared", [STAGES[:1], STAGES[1:2], STAGES[:2], STAGES])
def test_a_trial_with_the_products_of_others_goes_on_as_if_they_were_its_own(
    study: Study,
    store: StageStore,
    images: ImageData,
    alone: list[tuple[str, int, Metrics]],
    shared: tuple[SharedStage, ...],
) -> None:
    results = [compute(study, store, images, stage) for stage in shared]
    adopting = Trial(job(study, "classifier").config, images, CPU)
    adopted = adopt_stages(adopting, store)
    assert (adopted.keys, adopted.warnings) == ([result.key for result in results], [])
    then = without_seconds((*adopted.reports, *adopting.run()))
    assert sorted(then, key=alone.index) == alone


def test_the_next_trial_of_a_process_does_not_read_the_products_again(
    study: Study,
    store: StageStore,
    images: ImageData,
    alone: list[tuple[str, int, Metrics]],
) -> None:
    for stage in STAGES:
        compute(study, store, images, stage)
    config = job(study, "classifier").config
    first = Trial(config, images, CPU)
    adopt_stages(first, store)
    for _ in first.run():
        pass
    for stage in STAGES:
        file_of(store, study, stage).unlink()
    then = Trial(config, images, CPU, first.reusable)
    adopted = adopt_stages(then, store)
    assert (len(adopted.keys), adopted.warnings) == (len(STAGES), [])
    found = without_seconds((*adopted.reports, *then.run()))
    assert sorted(found, key=alone.index) == alone


def test_a_stage_without_what_it_begins_with_is_not_computed(
    study: Study, store: StageStore, images: ImageData
) -> None:
    compute(study, store, images, "classifier")
    with pytest.raises(ValueError, match=r"warmup-.*\.pt: missing"):
        compute(study, store, images, "triplet")


@pytest.mark.parametrize("damage", [b"", b"\x00", b"{}\n"])
def test_a_damaged_product_is_named_and_computed_anew(
    study: Study, store: StageStore, images: ImageData, damage: bytes
) -> None:
    compute(study, store, images, "warmup")
    path, config = file_of(store, study, "warmup"), job(study, "warmup").config
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + damage + whole[len(whole) // 2 + len(damage) :][1:])
    with pytest.raises(ValueError, match=f"{path}: damaged: got "):
        store.read("warmup", config, CPU)
    trial = Trial(config, images, CPU)
    adopted = adopt_stages(trial, store)
    assert (adopted.reports, adopted.keys, trial.state.gan.step) == ([], [], 0)
    (warning,) = adopted.warnings
    assert warning.startswith(f"{path}: damaged: ")
    assert warning.endswith("; the trial computes its own")
    compute(study, store, images, "warmup")
    assert store.read("warmup", config, CPU) is not None


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.open, (str(self.path), os.O_CREAT)


def test_a_pickle_in_the_place_of_a_product_is_refused_and_not_run(
    study: Study, store: StageStore, images: ImageData, tmp_path: Path
) -> None:
    file = file_of(store, study, "classifier")
    file.parent.mkdir(parents=True)
    buffer = io.BytesIO()
    torch.save({"product": Touch(tmp_path / "ran"), "reports": [], "seconds": 0.0}, buffer)
    file.write_bytes(add_checksum(buffer.getvalue()))
    adopted = adopt_stages(Trial(job(study, "classifier").config, images, CPU), store)
    assert adopted.reports == []
    (warning,) = adopted.warnings
    assert warning.startswith(f"{file}: holds other things than tensors and plain data")
    assert not (tmp_path / "ran").exists()


def test_another_study_takes_over_what_was_computed(
    study: Study, store: StageStore, images: ImageData, root: Path
) -> None:
    config = job(study, "warmup").config
    other = StageStore(str(root.parent / "two"), images.digest, store.place)
    assert not other.adopt("warmup", config)
    compute(study, store, images, "warmup")
    assert not other.adopt("warmup", config)
    store.publish("warmup", config)
    assert other.adopt("warmup", config)
    saved = other.read("warmup", config, CPU)
    assert saved is not None
    other.show("warmup", config, saved)
    pictures = [next(Path(one.root).glob("stages/*.png")).read_bytes() for one in (store, other)]
    assert pictures[0] == pictures[1] != b""
    mine, theirs = file_of(store, study, "warmup"), file_of(other, study, "warmup")
    # Two names of one file: it takes its space once.
    assert mine.stat().st_ino == theirs.stat().st_ino
    mine.unlink()
    assert other.read("warmup", config, CPU) is not None


def test_a_damaged_product_is_not_taken_over(
    study: Study, store: StageStore, images: ImageData, root: Path
) -> None:
    config = job(study, "warmup").config
    compute(study, store, images, "warmup")
    store.publish("warmup", config)
    (common,) = (root.parent / ".stages/stages").glob("*.pt")
    common.write_bytes(common.read_bytes()[:-100])
    other = StageStore(str(root.parent / "two"), images.digest, store.place)
    assert not other.adopt("warmup", config)
    assert not (root.parent / "two").exists()


def test_without_second_names_a_product_is_copied(
    study: Study,
    store: StageStore,
    images: ImageData,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    compute(study, store, images, "warmup")
    store.publish("warmup", job(study, "warmup").config)
    (common,) = (root.parent / ".stages/stages").iterdir()
    assert common.read_bytes() == file_of(store, study, "warmup").read_bytes()


def test_one_study_at_a_time_may_compute_a_stage(study: Study, store: StageStore) -> None:
    config = job(study, "warmup").config
    first, second = (store.claim("warmup", config) for _ in range(2))
    assert first.take()
    assert not second.take()
    assert store.claim("classifier", config).take()
    first.release()
    assert second.take()
    second.release()


@pytest.mark.parametrize(
    ("root", "common"),
    [
        ("/data/runs/resnet", "/data/runs/.stages"),
        ("s3://bucket/runs/resnet", "s3://bucket/runs/.stages"),
        ("s3://bucket/runs/resnet?region=x&a=b", "s3://bucket/runs/.stages?region=x&a=b"),
        ("s3://bucket?region=x", "s3://bucket/.stages?region=x"),
    ],
)
def test_the_common_place_is_beside_the_studies(root: str, common: str) -> None:
    assert common_root(root) == common


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_search_of_an_arm_has_the_common_place_of_its_study(
    tmp_path: Path, scheme: str
) -> None:
    study = tmp_path / "runs/resnet"
    arm = f"{scheme}{study}/arms/equal_steps"
    # A folder called arms that is not within a study is like any other.
    assert common_root(arm) == f"{scheme}{study}/arms/.stages"
    study.mkdir(parents=True)
    (study / "study.yaml").touch()
    assert common_root(arm) == f"{scheme}{tmp_path}/runs/.stages"


def test_the_jobs_of_a_study_are_found_by_its_trials(
    study: Study, store: StageStore, images: ImageData
) -> None:
    """The key that the driver computes for a stage is that which a trial looks for."""
    for shared in shared_jobs(study):
        if shared.config.backbone.name == BACKBONE or shared.stage == "warmup":
            list(compute_stage(shared, images, store, CPU))
    config = study.trial_config(BACKBONE, {"joint.margin": 0.7, "joint.gan_lr": 1e-5})
    adopted = adopt_stages(Trial(config, images, CPU), store)
    assert [report.stage for report in adopted.reports] == ["classifier"] * 2 + [
        *["warmup"] * 10,
        *["triplet"] * 2,
    ]


def is_same(one: Any, other: Any) -> bool:
    """Return whether two products are equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def uninterrupted(
    study: Study, images: ImageData, tmp_path_factory: pytest.TempPathFactory
) -> StageStore:
    """Return a study whose stages were computed without an interruption."""
    root = tmp_path_factory.mktemp("runs") / "whole"
    found = StageStore(str(root), images.digest, ComputePlace("cpu", 1))
    for stage in STAGES:
        compute(study, found, images, stage)
    return found


def interrupted(work: Job, images: ImageData, store: StageStore, count: int) -> list[Report]:
    """Compute a stage with a checkpoint at every report, and end it at one; return the reports."""
    computing = compute_stage(work, images, store, CPU, 1.0)
    reports = [next(computing)[1] for _ in range(count)]
    computing.close()  # type: ignore[attr-defined]
    return reports  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("stage", "count", "num_damaged"),
    [
        ("classifier", 2, 0),
        ("warmup", 5, 0),
        ("warmup", 5, 1),
        ("triplet", 2, 0),
        ("triplet", 2, 1),
    ],
)
def test_an_interrupted_stage_goes_on_and_ends_as_one_left_alone(
    study: Study,
    store: StageStore,
    images: ImageData,
    uninterrupted: StageStore,
    *,
    stage: SharedStage,
    count: int,
    num_damaged: int,
) -> None:
    work = job(study, stage)
    for before in PREDECESSORS[stage]:
        ready = uninterrupted.read(before, work.config, CPU)
        assert ready is not None
        store.write(before, work.config, [], ready["product"])
    first = interrupted(work, images, store, count)
    place = checkpoints_of(work, store)
    folders = sorted(Path(place.root, "checkpoints", place.name).iterdir(), reverse=True)
    # The last two are kept. That of the report at which it ended was not written.
    assert [int(folder.name[-6:]) for folder in folders] == [count - 1, count - 2][: count - 1]
    for folder in folders[:num_damaged]:
        path = folder / "trial.pt"
        path.write_bytes(path.read_bytes()[:-9])
    *said, result = compute_stage(work, images, store, CPU)
    assert isinstance(result, StageResult)
    again = [one[1] for one in said if not isinstance(one, StageResult)]
    # Whoever started it gets the same messages; those from before the checkpoint to the second.
    kept = max(count - 1 - num_damaged, 0) if num_damaged < len(folders) else 0
    assert [one.seconds for one in again[:kept]] == [one.seconds for one in first[:kept]]
    assert kept == count - 1 or again[kept].seconds != first[kept].seconds
    saved, whole = (one.read(stage, work.config, CPU) for one in (store, uninterrupted))
    assert saved is not None
    assert whole is not None
    assert is_same(saved["product"], whole["product"])
    assert is_same(saved["grid"], whole["grid"])
    both = [[Report(*one) for one in found["reports"]] for found in (saved, whole)]
    assert without_seconds(both[0]) == without_seconds(both[1]) == without_seconds(again)
    assert saved["seconds"] == sum(one.seconds for one in again)
    assert not Path(place.root, "checkpoints").exists()


def test_what_stages_left_that_never_ended_is_deleted_and_nothing_else(root: Path) -> None:
    names = ["warmup-0123456789abcdef", "triplet-00000000000000ff", "resnet50-0000", "confirm-a"]
    for name in names:
        (root / "checkpoints" / name).mkdir(parents=True)
    delete_stage_checkpoints(str(root))
    assert sorted(path.name for path in (root / "checkpoints").iterdir()) == sorted(names[2:])
