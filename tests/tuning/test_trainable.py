"""The trainable alone, as Ray calls it: damaged checkpoints, and ends that have a name."""

import gc
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distill_tune.cluster import study_folder_check
from distill_tune.cluster.gpu_memory import GpuMeter
from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.distill.trial import Trial
from distill_tune.errors import StudyError
from distill_tune.interfaces import ImageData
from distill_tune.model import load_classifier
from distill_tune.records.directory import STUDY_FILE
from distill_tune.study.rungs import rung_epochs
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml, read_yaml_text
from distill_tune.training.checkpoints.content import write_checkpoint
from distill_tune.training.memory import is_out_of_memory
from distill_tune.training.shared_stages import compute_stage
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import STAGES, ComputePlace, Job
from distill_tune.tuning import trainable
from distill_tune.tuning.trainable import DistillTrial
from tests.commands import ONE_AT_A_TIME

CONFIG = {"backbone": "shufflenet_v2_x0_5", "number": 0, "params": {"joint.margin": 0.5}}
NAME = "shufflenet_v2_x0_5-0000"
TEXT = ONE_AT_A_TIME.replace("min_epochs: 8", "min_epochs: 2").replace("{epochs: 9", "{epochs: 4")


class Alone:
    """A study and its trainable without Ray."""

    def __init__(self, root: Path, study: Study, images: ImageData) -> None:
        self.root = root
        (root / STUDY_FILE).touch()

        class Trainable(DistillTrial):
            def setup(  # type: ignore[override]
                self, config: dict[str, Any], **_parameters: Any
            ) -> None:
                placed = PlacedImages.of(images)
                super().setup(config, study=study, images=placed, root=str(root))

        self.trainable = Trainable

    def begin(self, **config: Any) -> DistillTrial:
        return self.trainable(CONFIG | config)

    def save(self, trial: DistillTrial, number: int) -> Path:
        """Save a trial where Ray does; return the folder."""
        folder = self.root / f"ray/session-0001/{NAME}/checkpoint_{number:06d}"
        folder.mkdir(parents=True)
        trial.save_checkpoint(str(folder))
        return folder

    def newest(self) -> Path:
        """Return the newer of the two checkpoints."""
        return self.root / f"ray/session-0001/{NAME}/checkpoint_000001"


@pytest.fixture(scope="module")
def study() -> Study:
    return parse(Study, read_yaml_text(TEXT, "tiny.yaml"))


@pytest.fixture(scope="module")
def images(study: Study) -> ImageData:
    return study.data.load()


@pytest.fixture
def alone(tmp_path: Path, study: Study, images: ImageData) -> Alone:
    return Alone(tmp_path, study, images)


@pytest.fixture(scope="module")
def saved(
    tmp_path_factory: pytest.TempPathFactory, study: Study, images: ImageData
) -> tuple[Path, list[dict[str, Any]]]:
    """Return a study with the checkpoints of two epochs, and what three epochs reported."""
    alone = Alone(tmp_path_factory.mktemp("saved"), study, images)
    trial = alone.begin()
    results = []
    for number in range(3):
        results.append(trial.step())
        if number < 2:
            alone.save(trial, number)
    # Not closed, as after a kill.
    return alone.root, results


@pytest.fixture
def again(
    tmp_path: Path, saved: tuple[Path, list[dict[str, Any]]], study: Study, images: ImageData
) -> Alone:
    """Return a copy of that study."""
    shutil.copytree(saved[0], tmp_path / "copy")
    return Alone(tmp_path / "copy", study, images)


def same(result: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Tell whether two epochs reported the same, but for the clock."""
    kept = [
        {name: value for name, value in one["metrics"].items() if not name.startswith("seconds/")}
        for one in (result, expected)
    ]
    return result["epoch"] == expected["epoch"] and kept[0] == kept[1]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


DAMAGES: list[Callable[[Path], None]] = [cut, empty, flip, Path.unlink]


def test_a_trial_records_how_fit_its_generator_was_whoever_warmed_it_up(
    alone: Alone, study: Study, images: ImageData
) -> None:
    """Computed by itself or taken over: the same numbers, in its first epoch alone."""
    first, second = (result["metrics"] for result in steps(alone.begin(), 2))
    names = {
        f"{stage}/{name}"
        for stage in ("warmup", "triplet")
        for name in ("steps", "synthetic/agreement", "synthetic/pixel_diversity")
    }
    assert names <= set(first)
    assert (first["warmup/steps"], first["triplet/steps"]) == (10, 2)
    assert not names & set(second)
    assert 0 <= second["synthetic/agreement"] <= 1

    config = study.trial_config("shufflenet_v2_x0_5", {"joint.margin": 0.5})
    store = StageStore(str(alone.root), images.digest, ComputePlace.here(torch.device("cpu")))
    for stage in STAGES:
        list(compute_stage(Job(stage, config, stage), images, store, torch.device("cpu")))
    adopting = alone.begin(number=1).step()
    assert len(adopting["stages"]) == 3
    assert {name: adopting["metrics"][name] for name in names} == {n: first[n] for n in names}
    boards = [board(alone, name) for name in (NAME, f"{NAME[:-1]}1")]
    for tag in ("agreement", "pixel_diversity"):
        curves = [[e.value for e in one.Scalars(f"warmup/synthetic/{tag}")] for one in boards]
        assert len(curves[0]) == 10
        assert curves[0] == curves[1]
        assert len(boards[0].Scalars(f"triplet/synthetic/{tag}")) == 1
    assert len(boards[0].Scalars("warmup/judge/val_accuracy")) == 1
    assert len(boards[0].Scalars("joint/synthetic/agreement")) == 2
    # A picture of its own warm-up; that of a shared one is the stage's.
    tags = [one.Tags()["images"] for one in boards]
    assert ["warmup/synthetic" in found for found in tags] == [True, False]
    assert [grid.step for grid in boards[0].Images("warmup/synthetic")] == [10]


def test_a_trial_whose_own_warm_up_left_an_unfit_generator_warns(alone: Alone) -> None:
    """After ten steps no generator follows its classes."""
    trial = alone.begin()
    first, second = steps(trial, 2)
    (warning,) = first["warnings"]
    assert warning.startswith(f"{NAME}: the generator is not fit after warmup: agreement 0.")
    assert second["warnings"] == []


def steps(trial: DistillTrial, count: int) -> list[dict[str, Any]]:
    return [trial.step() for _ in range(count)]


def board(alone: Alone, name: str) -> EventAccumulator:
    found = EventAccumulator(str(alone.root / f"tensorboard/{name}"), {"images": 0, "scalars": 0})
    found.Reload()
    return found


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_its_newest_checkpoint_damaged_a_trial_goes_on_from_the_one_before(
    again: Alone, saved: tuple[Path, list[dict[str, Any]]], damage: Callable[[Path], None]
) -> None:
    newest = again.newest()
    damage(newest / "trial.pt")
    result = again.begin().step()
    (warning,) = result["warnings"]
    assert warning.startswith(f"{NAME}: damaged checkpoint passed over: {newest}")
    assert same(result, saved[1][1])


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_all_of_them_damaged_it_starts_anew_and_says_so(
    again: Alone, saved: tuple[Path, list[dict[str, Any]]], damage: Callable[[Path], None]
) -> None:
    for path in again.root.rglob("trial.pt"):
        damage(path)
    result = again.begin().step()
    assert [text.partition(": /")[0] for text in result["warnings"]] == [
        f"{NAME}: damaged checkpoint passed over",
        f"{NAME}: damaged checkpoint passed over",
        f"{NAME}: no checkpoint is sound; the training starts over",
        # It warms up anew, for ten steps.
        *[text for text in result["warnings"] if "the generator is not fit after warmup" in text],
    ]
    assert len(result["warnings"]) == 4
    assert same(result, saved[1][0])


def test_with_its_newest_checkpoint_missing_it_goes_on_from_the_one_before(
    again: Alone, saved: tuple[Path, list[dict[str, Any]]]
) -> None:
    shutil.rmtree(again.newest())
    result = again.begin().step()
    assert result["warnings"] == []
    assert same(result, saved[1][1])


def test_a_checkpoint_of_another_configuration_is_passed_over(again: Alone) -> None:
    result = again.begin(params={"joint.margin": 0.6}).step()
    assert result["epoch"] == 1
    assert all("another configuration" in text for text in result["warnings"][:2])
    assert result["warnings"][2].endswith("the training starts over")


def test_a_sound_file_with_another_content_is_passed_over(
    again: Alone, saved: tuple[Path, list[dict[str, Any]]]
) -> None:
    newest = again.newest()
    content = torch.load(newest / "trial.pt", weights_only=True)
    del content["trial"]["gan"]["ema"]
    write_checkpoint(newest, content)
    result = again.begin().step()
    (warning,) = result["warnings"]
    assert warning.endswith(f"{newest}: got the state of something else ('ema')")
    assert same(result, saved[1][1])


def test_a_model_is_written_where_a_trial_can_end_and_is_ready_to_use(
    saved: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder = saved[0] / "models" / NAME
    classifier, classes = load_classifier(folder)
    assert len(classes) == 10
    # Of the rung at epoch 2; the end at epoch 4 was not reached.
    assert not classifier.training
    # Of the best weights so far: those of stage 1 are among them.
    best = saved[1][1]["metrics"]["val/best_accuracy"]
    assert best >= max(result["metrics"]["val/accuracy"] for result in saved[1][:2])
    described = read_yaml(folder / "model.yaml").value
    assert described["metrics"] == {"val/accuracy": best}
    assert described["made"]["trial"] == NAME
    assert described["made"]["params"] == CONFIG["params"]


def test_ray_is_asked_for_a_checkpoint_when_one_is_due_and_the_trial_goes_on(
    alone: Alone, study: Study
) -> None:
    trial = alone.begin()
    results = steps(trial, study.max_epochs)
    trial.cleanup()
    assert_grids_of_the_rungs(alone, study)
    due = [result["should_checkpoint"] for result in results]
    assert due == [True] * (study.max_epochs - 1) + [False]
    assert [result["done"] for result in results] == [not one for one in due]
    search = study.search.model_copy(update={"checkpoint_share": 1e-6})
    rare = Alone(alone.root, study.model_copy(update={"search": search}), study.data.load())
    assert rare.begin(number=1).step()["should_checkpoint"] is False


def test_what_is_loaded_goes_on_bit_for_bit_in_whatever_process(
    again: Alone, saved: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Ray says from which: not from the newest, and not from the trial's own either."""
    older = again.newest().with_name("checkpoint_000000")
    trial = again.begin(number=7)
    trial.load_checkpoint(str(older))
    assert same(trial.step(), saved[1][1])
    trial.save_checkpoint(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} >= {"trial.pt", "trial.json"}
    other = again.begin(number=8)
    other.load_checkpoint(str(tmp_path))
    assert same(other.step(), saved[1][2])
    # The same process becomes another trial, and that one again; the first is gone at once, as two
    # would not fit on a GPU.
    held = trial._trial
    assert held is not None
    classifier = weakref.ref(held._runner.trial.state.classifier)
    del held
    gc.disable()
    try:
        assert trial.reset_config(CONFIG | {"number": 9}) is True
        assert classifier() is None
    finally:
        gc.enable()
    trial.load_checkpoint(str(tmp_path))
    assert same(trial.step(), saved[1][2])
    assert trial.reset_config(CONFIG | {"number": 10, "params": {"joint.margin": 0.6}}) is True
    assert trial.step()["epoch"] == 1


def test_a_damaged_one_that_ray_gives_is_passed_over_for_another_of_the_trial(
    again: Alone, saved: tuple[Path, list[dict[str, Any]]]
) -> None:
    cut(again.newest() / "trial.pt")
    trial = again.begin()
    trial.load_checkpoint(str(again.newest()))
    result = trial.step()
    (warning,) = result["warnings"]
    assert warning.startswith(f"{NAME}: damaged checkpoint passed over: {again.newest()}")
    assert same(result, saved[1][1])


def test_memory_that_runs_out_as_it_is_loaded_is_reported_by_the_next_step(
    again: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(Trial, "load_state_dict", fail)
    trial = again.begin()
    trial.load_checkpoint(str(again.newest()))
    assert trial.step()["failure"] == "out_of_memory"


def test_a_checkpoint_of_an_earlier_version_is_found_and_taken(
    again: Alone, saved: tuple[Path, list[dict[str, Any]]]
) -> None:
    """But not one that it wrote after an epoch which no log may have."""
    old = again.root / f"checkpoints/{NAME}"
    old.mkdir(parents=True)
    for folder, epoch in (("checkpoint_000000", 1), ("checkpoint_000001", 2)):
        made = again.newest().with_name(folder).rename(old / f"checkpoint_{epoch:06d}")
        content = torch.load(made / "trial.pt", weights_only=True)
        write_checkpoint(made, content | {"told": {"epoch": 2} if epoch == 2 else {}})
    result = again.begin().step()
    (warning,) = result["warnings"]
    assert warning.startswith(f"{NAME}: damaged checkpoint passed over: {old}/checkpoint_000002: ")
    assert "an earlier version wrote it after an epoch that the log may lack" in warning
    assert same(result, saved[1][1])


def test_without_a_study_it_is_a_trainable_like_any_other(
    study: Study, images: ImageData, tmp_path: Path
) -> None:
    """No folder of a study is written to, and a trial needs no number."""

    class Plain(DistillTrial):
        def setup(  # type: ignore[override]
            self, config: dict[str, Any], **_parameters: Any
        ) -> None:
            super().setup(config, study=study, images=PlacedImages.of(images))

    # As a scheduler may draw it, and as a checkpoint must not hold it.
    config = {"backbone": CONFIG["backbone"], "params": {"joint.margin": np.float64(0.5)}}
    trial, again = (Plain(dict(config)) for _ in range(2))
    assert trial.step()["epoch"] == 1
    trial.save_checkpoint(str(tmp_path))
    second = trial.step()
    again.restore(str(tmp_path))
    assert same(again.step(), second)
    cut(tmp_path / "trial.pt")
    with pytest.raises(ValueError, match=r"trial\.pt: got {'bytes': "):
        again.restore(str(tmp_path))
    trial.cleanup()
    again.cleanup()


def assert_grids_of_the_rungs(alone: Alone, study: Study) -> None:
    rungs = rung_epochs(study.min_epochs, study.max_epochs, study.search.reduction_factor)
    grids = board(alone, NAME).Images("synthetic")
    assert [grid.step for grid in grids] == sorted({1, *rungs, study.max_epochs})


def no_memory() -> Iterator[Any]:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nand more")
    yield


def no_host_memory() -> Iterator[Any]:
    torch.empty(1 << 50)
    yield


@pytest.mark.parametrize("ending", [no_memory, no_host_memory])
def test_a_trial_without_memory_ends_and_says_how_large_it_is(
    alone: Alone, monkeypatch: pytest.MonkeyPatch, ending: Callable[[], Iterator[Any]]
) -> None:
    monkeypatch.setattr(Trial, "run", lambda _: ending())
    result = alone.begin().step()
    assert (result["failure"], result["done"]) == ("out_of_memory", True)
    assert result["detail"].startswith("shufflenet_v2_x0_5 with batches of 30, GAN 10: ")
    assert "\n" not in result["detail"]


def test_the_allocators_own_words_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CUDA error: out of memory\nCUDA kernel errors might be reported later", True),
        ("CUDA driver error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", True),
        ("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED", True),
        ("CUDA error: an illegal memory access was encountered", False),
        ("shapes cannot be multiplied", False),
    ],
)
def test_a_gpus_own_words_for_a_lack_of_memory_are_known(text: str, *, expected: bool) -> None:
    assert is_out_of_memory(RuntimeError(text)) is expected
    wrapped = ValueError("the trial failed")
    wrapped.__cause__ = torch.AcceleratorError(text)
    assert is_out_of_memory(wrapped) is expected


def test_the_largest_trial_is_rehearsed_before_the_first_is_measured(
    alone: Alone, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first epoch has a fifth of the ratio, and perhaps the smallest of the space."""
    rehearsed: list[float] = []
    monkeypatch.setattr(GpuMeter, "is_due", property(lambda _: not rehearsed))
    monkeypatch.setattr(
        trainable,
        "run_largest_steps",
        lambda config, *_: rehearsed.append(config.joint.synthetic_ratio),
    )
    trial = alone.begin(params={"joint.margin": 0.5, "joint.synthetic_ratio": 0.25})
    trial.step()
    trial.cleanup()
    assert study.space.dimensions["joint.synthetic_ratio"].high == 2
    assert rehearsed == [2]


def test_a_reset_that_fails_is_raised_by_the_next_step_so_that_ray_tries_again(
    alone: Alone,
) -> None:
    trial = alone.begin()
    (alone.root / "tensorboard").mkdir()
    (alone.root / "tensorboard/shufflenet_v2_x0_5-0001").write_text("in the way")
    assert trial.reset_config(CONFIG | {"number": 1}) is True
    with pytest.raises(OSError, match="shufflenet_v2_x0_5-0001"):
        trial.step()
    trial.cleanup()
    assert trial.reset_config(CONFIG | {"number": 2}) is True
    assert trial.step()["epoch"] == 1


def test_where_the_study_is_not_seen_its_step_waits_and_writes_nothing(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alone.root / STUDY_FILE).unlink()
    monkeypatch.setattr(study_folder_check, "_PATIENCE_S", 0)
    trial = alone.begin()
    with pytest.raises(StudyError, match=f"^[0-9.]+ does not see {alone.root}$"):
        trial.step()
    trial.cleanup()
    assert list(alone.root.iterdir()) == []
    monkeypatch.setattr(study_folder_check, "_PATIENCE_S", 60)
    timer = threading.Timer(1.5, (alone.root / STUDY_FILE).touch)
    timer.start()
    assert trial.reset_config(CONFIG) is True
    assert not (alone.root / STUDY_FILE).exists()
    assert trial.step()["epoch"] == 1
    trial.cleanup()
