"""Plans and imitated trials for the tests of the sampler."""

from typing import Any

from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.space import Choice, Dimension, LogUniform, RandInt, Uniform
from distill_tune.tuning.sampling.proposals import SamplerPlan
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone

SPACE: dict[str, Dimension] = {
    "joint.margin": Uniform(0.05, 0.9),
    "joint.gan_lr": LogUniform(1e-6, 2e-4, or_zero=0.2),
    "joint.refresh": Choice((1, 2, 5)),
    "gan.steps": RandInt(1, 4),
}
MIN_EPOCHS, MAX_EPOCHS = 2, 4


def plan(**more: Any) -> SamplerPlan:
    given: dict[str, Any] = {
        "backbones": ("resnet50", "alexnet"),
        "dimensions": SPACE,
        "num_trials": 24,
    }
    given |= {"min_epochs": MIN_EPOCHS, "max_epochs": MAX_EPOCHS}
    given |= {"seed": 0, "num_startup_trials": 3}
    return SamplerPlan(**(given | more))


def result(epoch: int, objective: float, **more: Any) -> dict[str, Any]:
    return {"training_iteration": epoch, OBJECTIVE: objective, **more}


def run_one(sampler: SamplerPerBackbone, trial_id: str) -> Any:
    """Propose, train and end one trial: every fifth fails, every third is stopped early."""
    proposal = sampler.suggest(trial_id)
    assert isinstance(proposal, dict)
    number, margin = proposal["number"], proposal["params"].get("joint.margin", 0.5)
    last = 2 if number % 3 == 1 else MAX_EPOCHS
    values = [(1 - (margin - 0.6) ** 2) * (1 - 0.5**epoch) for epoch in range(1, last + 1)]
    for epoch, value in enumerate(values[:-1], start=1):
        sampler.on_trial_result(trial_id, result(epoch, value))
    failure = {"failure": "diverged"} if number % 5 == 4 else {}
    sampler.on_trial_complete(trial_id, result(last, values[-1], **failure))
    return proposal


def run(sampler: SamplerPerBackbone, first: int, end: int) -> list[Any]:
    return [run_one(sampler, f"t{number}") for number in range(first, end)]
