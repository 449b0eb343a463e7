"""What a search will take: the facts that are measured, and what follows from them."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

Judge = Callable[[int, str, int, float], bool]
"""Takes a trial's number, its backbone, a rung's epoch and a value; tells whether it stops."""


class StageTimes(NamedTuple):
    """Seconds of one trial's stages, whoever computes them.

    Attributes:
        classifier: Stage 1, with how hard every image is.
        warmup: The GAN's warm-up.
        triplet: Its triplet pre-training, with the hard and easy images.
        joint_start: What comes before the first epoch of stage 3.
        joint: Of each epoch of stage 3.
        joint_end: What comes after the last one.
    """

    classifier: float
    warmup: float
    triplet: float
    joint_start: float
    joint: tuple[float, ...]
    joint_end: float

    def of(self, stages: Iterable[str]) -> float:
        """Return what some of the stages before stage 3 take together."""
        times = {"classifier": self.classifier, "warmup": self.warmup, "triplet": self.triplet}
        return sum(times[stage] for stage in stages)


class Sizes(NamedTuple):
    """Bytes that a trial writes.

    Attributes:
        products: Stage to what is kept of it where trials share it.
        checkpoint: One of them.
        model: A model folder.
        board: TensorBoard's files of a trial that nobody prunes.
    """

    products: Mapping[str, int]
    checkpoint: int
    model: int
    board: int


class Measured(NamedTuple):
    """What was measured of one backbone.

    Attributes:
        times: Of its stages.
        build_s: To make a trial.
        first_s: What everything takes longer in a new process.
        model_s: To write a model.
        sizes: Of what is written.
        gpu_bytes: What it had of a GPU at its peak, and what that has; None on a CPU.
    """

    times: StageTimes
    build_s: float
    first_s: float
    model_s: float
    sizes: Sizes
    gpu_bytes: tuple[int, int] | None = None


class StartUp(NamedTuple):
    """Seconds in which nothing is computed.

    Attributes:
        driver: From the command to a running Ray.
        worker: Until a new process can compute.
        tune: Until Ray Tune asks for the first trial.
        turn: Between a trial and the next one in the same slot.
    """

    driver: float
    worker: float
    tune: float
    turn: float


class SharedWork(NamedTuple):
    """A stage that is computed once for all trials.

    Attributes:
        name: For people, unique.
        stage: Which.
        backbone: Whose times it takes.
        needs: Names of those that come before it.
        is_ready: Whether another study has computed it already.
    """

    name: str
    stage: str
    backbone: str
    needs: frozenset[str] = frozenset()
    is_ready: bool = False


class Work(NamedTuple):
    """What a search has to do.

    Attributes:
        backbones: Trial ``n`` is of ``backbones[n % len(backbones)]``.
        num_trials: In total.
        slots: Trials at a time.
        rungs: Epochs at which trials are compared.
        shared: Stages computed before the trials.
        own: Backbone to the stages that each of its trials computes itself.
        keep_top: Models kept of each backbone.
    """

    backbones: tuple[str, ...]
    num_trials: int
    slots: int
    rungs: tuple[int, ...]
    shared: tuple[SharedWork, ...]
    own: Mapping[str, tuple[str, ...]]
    keep_top: int


class Rung(NamedTuple):
    """What is expected at a rung: how many trials come to it, and the share that goes on."""

    epoch: int
    trials: float
    share: float


class Disk(NamedTuple):
    """Bytes of a study: at its most while it runs, and what is left of it.

    Attributes:
        checkpoints: Of the trials that run, two each; gone in the end.
        models: Of the best trials.
        shared: Products of shared stages.
        board: TensorBoard.
        records: Log, its copy and tables.
    """

    checkpoints: int
    models: int
    shared: int
    board: int
    records: int

    @property
    def left(self) -> int:
        """What the finished study takes."""
        return sum(self) - self.checkpoints


class Estimate(NamedTuple):
    """What a search will take, in seconds and bytes.

    Attributes:
        start: Before anything is computed.
        shared: The shared stages, side by side where that can be.
        trials: All trials, on average over made-up outcomes.
        trials_low: The trials, in one of ten such searches less.
        trials_high: In one of ten more.
        trials_unpruned: If every trial were run to its end.
        epochs: Of stage 3 per trial, on average.
        rungs: What is expected at each.
        disk: What is written.
    """

    start: float
    shared: float
    trials: float
    trials_low: float
    trials_high: float
    trials_unpruned: float
    epochs: float
    rungs: tuple[Rung, ...]
    disk: Disk

    def total(self, trials: float) -> float:
        """Return the time of the whole command, with this one for the trials."""
        return self.start + self.shared + trials
