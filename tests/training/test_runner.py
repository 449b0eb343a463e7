"""A trial's life without Ray: from its newest sound checkpoint, or else from its start."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distill_tune.distill.backbones import Backbone
from distill_tune.distill.trial import Report, Trial
from distill_tune.errors import DivergedError, StudyError
from distill_tune.interfaces import ImageData
from distill_tune.training.checkpoints.content import (
    num_bytes,
    read_checkpoint,
    write_checkpoint,
)
from distill_tune.training.checkpoints.folders import newest_first
from distill_tune.training.checkpoints.runs import RunCheckpoints
from distill_tune.training.memory import named_failures
from distill_tune.training.run_spec import RunSpec
from distill_tune.training.runner import Runner
from distill_tune.training.shared_stages import compute_stage
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import STAGES, ComputePlace, Job
from distill_tune.training.tensorboard.trial_summaries import TrialSummaries
from tests.distill import tiny

NAME = "tiny-0000"
NUM_REPORTS = 12
"""Of a whole trial: 3 of the classifier, 4 of the warm-up, 3 of the triplet stage, 2 epochs."""
Told = tuple[str, int, dict[str, float]]


@pytest.fixture(autouse=True)
def _tiny_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backbone, "build", tiny.build)


@pytest.fixture
def spec(tmp_path: Path, digits: ImageData) -> RunSpec:
    return RunSpec(
        name=NAME,
        root=str(tmp_path / "study"),
        config=tiny.config(),
        images=digits,
        device=tiny.CPU,
        identity={"proposal": {"margin": 0.5}},
    )


def runner(spec: RunSpec, summaries: TrialSummaries | None = None) -> Runner[int]:
    return Runner(spec, lambda saved: int(saved["number"]), summaries)


def told(report: Report) -> Told:
    return report.stage, report.step, report.metrics


def run(running: Runner[int], count: int | None = None) -> list[Told]:
    """Run to the end, or so many reports; offer a checkpoint at every one."""
    found, checkpoints = [], RunCheckpoints(running, 1.0)
    for report in running.reports():
        found.append(told(report))
        checkpoints.offer((running.restored or 0) + len(found), {"number": len(found)})
        if len(found) == count:
            break
    return found


def folders(spec: RunSpec) -> list[Path]:
    return [Path(spec.root, folder) for folder in newest_first(spec.root, NAME)]


def share_stages(spec: RunSpec) -> list[str]:
    store = StageStore(spec.root, spec.images.digest, ComputePlace.here(tiny.CPU))
    for stage in STAGES:
        list(compute_stage(Job(stage, spec.config, stage), spec.images, store, tiny.CPU))
    return [store.key(stage, spec.config) for stage in STAGES]


def test_stopped_anywhere_it_ends_as_if_it_never_was(spec: RunSpec, tmp_path: Path) -> None:
    whole = runner(replace(spec, root=str(tmp_path / "whole")))
    expected = run(whole)
    stages = [stage for stage, _, _ in expected]
    assert list(dict.fromkeys(stages)) == ["classifier", "warmup", "triplet", "joint"]
    for count in (2, stages.index("triplet"), stages.index("joint"), len(stages) - 1):
        one = replace(spec, root=str(tmp_path / f"stopped after {count}"))
        assert run(runner(one), count) == expected[:count]
        again = runner(one)
        assert again.restored == count
        assert again.take_warnings() == []
        assert run(again) == expected[count:]
        assert tiny.differences(again.trial.state_dict(), whole.trial.state_dict()) == []


def cut(folder: Path) -> None:
    file = folder / "trial.pt"
    file.write_bytes(file.read_bytes()[:-1000])


def unfinished(folder: Path) -> None:
    (folder / "trial.json").unlink()


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Return what changes a checkpoint's content and seals it again."""

    def damage(folder: Path) -> None:
        content = read_checkpoint(folder, tiny.CPU)
        change(content)
        write_checkpoint(folder, content)

    return damage


def other_optimizer(content: dict[str, Any]) -> None:
    """Let loading fail by a ValueError of torch's, with the classifier's weights in place."""
    state = content["trial"]
    for weights in state["classifier"].values():
        weights.zero_()
    state["optimizer"]["param_groups"] *= 2


DAMAGES = {
    "cut": (cut, "trial.pt: got {'bytes': "),
    "unfinished": (unfinished, "trial.json"),
    "foreign": (
        changed(lambda content: content.update(proposal={"margin": 0.6})),
        "got a checkpoint of another configuration",
    ),
    "no notes": (changed(lambda content: content.pop("number")), "something else ('number')"),
    "half": (changed(other_optimizer), "something else (loaded state dict has a different"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_checkpoint_that_is_not_sound_is_named_and_passed_over(spec: RunSpec, kind: str) -> None:
    damage, words = DAMAGES[kind]
    expected = run(runner(spec), 4)
    newest, older = folders(spec)
    damage(newest)
    running = runner(spec)
    (warning,) = running.take_warnings()
    assert warning.startswith(f"damaged checkpoint passed over: {newest}")
    assert words in warning
    assert running.restored == 3
    assert run(running, 1) == expected[3:4]

    shutil.rmtree(spec.root + f"/checkpoints/{NAME}/checkpoint_000004", ignore_errors=True)
    damage(older)
    afresh = runner(spec)
    assert afresh.take_warnings()[1:] == ["no checkpoint is sound; the training starts over"]
    assert afresh.restored is None
    fresh = tiny.trial(spec.images)
    assert tiny.differences(afresh.trial.state_dict(), fresh.state_dict()) == []
    assert run(afresh, 4) == expected


def test_what_its_caller_refuses_is_not_passed_over(spec: RunSpec) -> None:
    def refuse(saved: dict[str, Any]) -> int:
        raise StudyError(f"begun otherwise: {saved['number']}")

    run(runner(spec), 1)
    with pytest.raises(StudyError, match="begun otherwise: 1"):
        Runner(spec, refuse)


def test_a_restored_trial_adopts_nothing_and_one_without_a_sound_checkpoint_does(
    spec: RunSpec, tmp_path: Path
) -> None:
    run(runner(spec), 2)
    keys = share_stages(spec)
    sharing = replace(spec, is_sharing=True)
    assert runner(sharing).take_adopted() == []
    for folder in folders(spec):
        cut(folder)
    summaries = TrialSummaries(spec.root, NAME)
    running = runner(sharing, summaries)
    assert len(running.take_warnings()) == 3
    assert [report.stage for report in running.adopted.reports].count("warmup") == 4
    assert running.fitness.metrics["warmup/steps"] == 4
    assert running.take_adopted() == keys
    assert running.take_adopted() == []
    assert [stage for stage, _, _ in run(running)] == ["joint", "joint"]
    running.close()
    found = EventAccumulator(str(tmp_path / f"study/tensorboard/{NAME}"), {"scalars": 0})
    found.Reload()
    for tag, count in (("classifier/val/accuracy", 3), ("joint/val/accuracy", 2)):
        assert len(found.Scalars(tag)) == count
    # A picture of its own warm-up; that of a shared one is the stage's.
    assert found.Tags()["images"] == []


def test_what_the_study_holds_is_not_in_a_checkpoint_and_is_read_with_it(spec: RunSpec) -> None:
    expected = run(runner(spec))
    (alone, _) = [(path / "trial.pt").stat().st_size for path in folders(spec)]
    shutil.rmtree(spec.root)
    share_stages(spec)
    sharing = replace(spec, is_sharing=True)
    assert run(runner(sharing), 1) == expected[-2:-1]
    (checkpoint,) = folders(spec)
    state = read_checkpoint(checkpoint, tiny.CPU)["trial"]
    assert (state["reference"], state["snapshot"]) == (None, None)
    weights = num_bytes(state["classifier"])
    assert (checkpoint / "trial.pt").stat().st_size < alone - 0.9 * weights
    # What it took over once, it also leaves out when it has gone on.
    assert run(runner(sharing)) == expected[-1:]
    assert read_checkpoint(folders(spec)[0], tiny.CPU)["trial"]["reference"] is None
    assert runner(replace(spec, is_sharing=False)).restored == 1


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"damaged")])
def test_a_checkpoint_whose_shared_stage_is_damaged_is_passed_over(
    spec: RunSpec, damage: Callable[[Path], object]
) -> None:
    share_stages(spec)
    run(runner(replace(spec, is_sharing=True)), 1)
    (stage,) = Path(spec.root).glob("stages/classifier-*.pt")
    damage(stage)
    again = runner(spec)
    assert again.restored is None
    first, second = again.take_warnings()
    assert first.startswith(f"damaged checkpoint passed over: {folders(spec)[0]}")
    assert stage.stem in first
    assert second == "no checkpoint is sound; the training starts over"


def test_a_damaged_shared_stage_is_named_and_computed_by_the_trial(spec: RunSpec) -> None:
    share_stages(spec)
    (warmup,) = Path(spec.root).glob("stages/warmup-*.pt")
    warmup.write_bytes(b"damaged")
    running = runner(replace(spec, is_sharing=True))
    (warning,) = running.take_warnings()
    assert warning.startswith(f"{warmup}: damaged")
    assert len(running.take_adopted()) == 1
    assert next(running.reports()).stage == "warmup"


def test_an_unfit_generator_is_named_once_though_the_trial_is_stopped(spec: RunSpec) -> None:
    running = runner(spec)
    for report in running.reports():
        RunCheckpoints(running, 1.0).offer(1, {"number": 1})
        if report.stage == "warmup" and report.step == report.num_steps:
            break
    (warning,) = running.take_warnings()
    assert warning.startswith("the generator is not fit after warmup: agreement 0.")
    again = runner(spec)
    list(again.reports())
    assert again.take_warnings() == []


def test_a_run_of_stage_one_ends_with_it_also_when_it_is_restored(spec: RunSpec) -> None:
    one = replace(spec, is_stage_one_only=True)
    assert [stage for stage, _, _ in run(runner(one))] == ["classifier"] * 3
    assert run(runner(one)) == []


def test_its_model_is_written(spec: RunSpec, tmp_path: Path) -> None:
    running = runner(spec)
    run(running)
    names = running.write_model(str(tmp_path / "model"), {"trial": NAME})
    assert {path.name for path in (tmp_path / "model").iterdir()} == set(names)
    assert names[-1] == "model.yaml"


def test_a_given_checkpoint_is_taken_whoever_wrote_it(spec: RunSpec, tmp_path: Path) -> None:
    expected = run(runner(spec), 4)
    other = replace(spec, root="", identity={"proposal": {"margin": 0.6}})
    given = Runner(other, lambda saved: int(saved["number"]), given=folders(spec)[0])
    assert given.restored == 4
    *_, last = [told(report) for report in given.reports()]
    assert last == run(runner(spec))[-1]
    assert expected[-1] != last
    (tmp_path / "again").mkdir()
    given.write(tmp_path / "again", {"number": 12})
    again = Runner(other, lambda saved: int(saved["number"]), given=tmp_path / "again")
    assert again.restored == 12
    assert tiny.differences(again.trial.state_dict(), given.trial.state_dict()) == []


def test_a_damaged_one_is_an_error_without_a_study_and_passed_over_with_one(
    spec: RunSpec,
) -> None:
    run(runner(spec), 4)
    newest = folders(spec)[0]
    cut(newest)
    with pytest.raises(ValueError, match=r"trial\.pt: got {'bytes': "):
        Runner(replace(spec, root=""), lambda saved: int(saved["number"]), given=newest)
    again = Runner(spec, lambda saved: int(saved["number"]), given=newest)
    assert again.restored == 3
    (warning,) = again.take_warnings()
    assert warning.startswith(f"damaged checkpoint passed over: {newest}")


NO_MEMORY = {
    "GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nand more"),
    "host": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9"),
    "Python": MemoryError(),
}


@pytest.mark.parametrize("kind", NO_MEMORY)
def test_memory_that_runs_out_is_named_with_the_sizes_that_need_it(kind: str) -> None:
    with pytest.raises(DivergedError) as caught, named_failures(tiny.config(), gpu_share=0.5):
        raise NO_MEMORY[kind]
    assert caught.value.reason == "out_of_memory"
    sizes = "resnet50 with batches of 80, GAN 20, on 0.5 of a GPU (resources.gpus): "
    assert caught.value.detail.startswith(sizes)
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize("kind", NO_MEMORY)
def test_memory_that_runs_out_while_it_is_restored_is_no_damage(
    spec: RunSpec, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise NO_MEMORY[kind]

    run(runner(spec), 1)
    for place, name in ((torch, "load"), (Trial, "load_state_dict")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, fail)
            with pytest.raises(DivergedError) as caught, named_failures(spec.config):
                runner(spec)
            assert caught.value.detail.startswith("resnet50 with batches of 80, GAN 20: ")


@pytest.mark.parametrize(
    "error", [DivergedError("diverged", "the loss is nan"), RuntimeError("shapes"), StudyError("x")]
)
def test_other_failures_are_left_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, named_failures(tiny.config()):
        raise error
    assert caught.value is error
