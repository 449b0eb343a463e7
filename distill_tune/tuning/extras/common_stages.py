"""Stages that several runs begin with, found by what their products depend on."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from distill_tune.distill.trial_config import TrialConfig
from distill_tune.training.stages import ComputePlace, Job, SharedStage, stage_key, stage_name

if TYPE_CHECKING:
    from distill_tune.datasets import Dataset

_ORDER: tuple[SharedStage, ...] = ("warmup", "classifier", "triplet")
"""Warm-ups first, because they usually take longest; each after those it starts from."""


def common_jobs(
    configs: Iterable[TrialConfig],
    digest: "Callable[[Dataset], str]",
    place: ComputePlace,
    stages: tuple[SharedStage, ...] = _ORDER,
) -> list[Job]:
    """Return the stages that at least two configurations begin with, seed after seed.

    Args:
        configs: Those of the runs.
        digest: Returns the digest of a configuration's images.
        place: Where the stages are computed.
        stages: Stages that may be shared.
    """
    jobs: dict[str, list[Job]] = {}
    for config in configs:
        for stage in stages if config.joint.has_gan else ("classifier",):
            name = f"{stage_name(stage, config)} seed={config.seed}"
            key = stage_key(stage, config, digest(config.data), place)
            jobs.setdefault(key, []).append(Job(stage, config, name))
    shared = [same[0] for same in jobs.values() if len(same) > 1]
    # Seed after seed, as images are drawn.
    return sorted(shared, key=lambda job: (job.config.seed, _ORDER.index(job.stage)))
