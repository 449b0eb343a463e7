"""What checkpoints take of a trial's time: Ray's whole way, from the report to the stored copy."""

import time
from pathlib import Path
from typing import Any

from ray import tune

from distill_tune.cluster.resources import cluster
from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml
from distill_tune.tuning.trainable import DistillTrial
from tests.benchmarks.overhead import SHORT, SPACE
from tests.benchmarks.results import Result, spread

EPOCHS = 24
NOTE = (
    f"ResNet-50 and the GAN of search_spaces/resnet.yaml, one trial of {EPOCHS} epochs; a "
    "checkpoint is written, copied into the storage and registered while the trial waits, from its "
    "report until Ray has it."
)


class Watch(tune.Callback):
    """Notes when a trial was there, and for how long it stood to be saved."""

    def __init__(self) -> None:
        self.saved_s = list[float]()
        self.started = self.ended = self._told = 0.0

    def on_trial_start(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        self.started = time.monotonic()

    def on_trial_result(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        self._told = time.monotonic()

    def on_trial_save(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        self.saved_s.append(time.monotonic() - self._told)

    def on_trial_complete(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        self.ended = time.monotonic()

    @property
    def share(self) -> float:
        """Of the trial's time that was spent on its checkpoints."""
        return sum(self.saved_s) / (self.ended - self.started)


def searched(folder: Path) -> tuple[Watch, int]:
    """Train one trial in a plain Tuner; return when it was saved, and a checkpoint's bytes."""
    document, watch = read_yaml(SPACE), Watch()
    for path, value in (
        SHORT | {"trial.joint.epochs": EPOCHS, "search.min_epochs": EPOCHS}
    ).items():
        document.set(f"{path}={value}")
    study = parse(Study, document)
    images = PlacedImages.of(study.data.load())
    trial = tune.with_parameters(DistillTrial, study=study, images=images)
    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        param_space={"backbone": study.backbones[0].name},
        tune_config=tune.TuneConfig(metric="objective", mode="max"),
        run_config=tune.RunConfig(
            name="one",
            storage_path=str(folder),
            callbacks=[watch],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2, checkpoint_at_end=False),
            verbose=0,
        ),
    )
    tuner.fit()
    sizes = [path.stat().st_size for path in folder.rglob("trial.pt")]
    return watch, max(sizes, default=0)


def run(runs: int, scratch: Path) -> list[Result]:
    """Measure on a CPU, with the default of ``search.checkpoint_share``."""
    with cluster(None):
        found = [searched(scratch / str(number)) for number in range(runs)]
    saved = [seconds for watch, _ in found for seconds in watch.saved_s]
    return [
        Result(
            "checkpoints",
            "seconds of saving / of the trial",
            [watch.share for watch, _ in found],
            0.05,
            "at most",
            {
                "checkpoint, MB": spread([size / 1e6 for _, size in found]),
                "saving it, s": spread(saved) if saved else "none",
                "checkpoints of a trial": spread([len(watch.saved_s) for watch, _ in found]),
                "trial, s": spread([watch.ended - watch.started for watch, _ in found]),
            },
            notes=[NOTE],
        )
    ]
