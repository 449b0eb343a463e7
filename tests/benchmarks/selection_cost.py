"""What ``joint.selection`` costs: a joint step with it, over one without."""

import time

import torch

from distill_tune.distill.hardness import label
from distill_tune.distill.joint_stage import JointStage, enter
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Trial
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml
from distill_tune.training.stages import SharedStage
from tests.benchmarks.joint_parts import REPEATS, SPACE, wait
from tests.benchmarks.results import Result, spread

SELECTIONS = ("none", "agree", "hard")
_STAGES: tuple[SharedStage, ...] = ("classifier", "warmup")


def compare(device: torch.device, runs: int) -> list[Result]:
    """Return the ratios of the shipped space, its generator trained as its warm-up trains it."""
    study = parse(Study, read_yaml(SPACE))
    images = study.data.load()
    first = Trial(study.trial_config("resnet50", {}), images, device)
    for stage in _STAGES:
        for _ in first.run_stage(stage):
            pass
    products = {stage: first.product(stage) for stage in _STAGES}
    stages: dict[str, JointStage] = {}
    for selection in SELECTIONS:
        changes = {"joint.selection": selection, "joint.ramp_epochs": 0}
        trial = Trial(study.trial_config("resnet50", changes), images, device)
        for stage in _STAGES:
            trial.adopt(stage, products[stage])
        trial.state.sets = label(trial.state.snapshot, trial.data, trial.config, 0)
        enter(trial.state, trial.config)
        stages[selection] = JointStage(trial.trainer, Reference.measure(trial.trainer))
        stages[selection]._train(0)
    pairs = [{name: _seconds(stage, device) for name, stage in stages.items()} for _ in range(runs)]
    kept = {name: stages[name]._train(0)["synthetic/kept_share"] for name in SELECTIONS[1:]}
    newest = first.state.gan.newest
    agreement = "" if newest is None else f" (agreement {newest.agreement:.2f})"
    candidates = study.trial_config("resnet50", {}).joint.candidates
    return [
        Result(
            f"joint-step/selection-{name}",
            f"seconds of a joint step with selection {name} / with none",
            [pair[name] / pair["none"] for pair in pairs],
            1.5,
            "at most",
            {
                f"an epoch with {one}, ms": spread([1e3 * pair[one] for pair in pairs], 0)
                for one in ("none", name)
            }
            | {"share of the images asked for that was kept": f"{kept[name]:.2f}"},
            notes=[
                (
                    f"{candidates} candidates for one image, synthetic_ratio 1, the generator as "
                    f"the space's warm-up leaves it{agreement}; each side is the least of "
                    f"{REPEATS} epochs, on {device.type}."
                )
            ],
        )
        for name in SELECTIONS[1:]
    ]


def _seconds(stage: JointStage, device: torch.device) -> float:
    times = []
    for _ in range(REPEATS):
        wait(device)
        started = time.perf_counter()
        stage._train(0)
        wait(device)
        times.append(time.perf_counter() - started)
    return min(times)
