"""Findings of a confirmation: the evidence of each backbone, with remarks."""

from typing import NamedTuple

from distill_tune.confirmation.evidence.arm_evidence import ArmEvidence
from distill_tune.confirmation.evidence.statistics import Effect


class Progress(NamedTuple):
    """How much of the newest request has a result.

    Attributes:
        seeds_done: Seeds on which every run has one.
        seeds: Seeds of the request.
        runs_done: Runs that are complete, or failed for reasons that lie in arm and seed.
        runs: Runs of the request.
        command: Command line of the request, which goes on with it; empty if unknown.
    """

    seeds_done: int
    seeds: int
    runs_done: int
    runs: int
    command: str = ""

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left to run."""
        return self.runs_done == self.runs

    @property
    def json(self) -> dict[str, int]:
        """The numbers as JSON-compatible data; the command names folders of this machine."""
        return {name: value for name, value in self._asdict().items() if name != "command"}

    @property
    def words(self) -> str:
        """The progress, such as ``3 of 10 seeds, 24 of 70 runs``."""
        return f"{self.seeds_done} of {self.seeds} seeds, {self.runs_done} of {self.runs} runs"


class BackboneEvidence(NamedTuple):
    """Evidence on whether the method helps a backbone.

    Attributes:
        trial: Name of the confirmed trial.
        search_value: Value of the trial in the search.
        confirmed_value: Mean of the same metric over the fresh seeds that did not fail; nan if all
            failed.
        confirmed_spread: Standard deviation over these seeds.
        failed_seeds: How many seeds failed, such as ``2 of 5 failed``; empty if none did.
        arms: Results of the arms, in the order of the tables.
        baseline: The strictest baseline that was run; None without one.
        rival: The arm with the greatest mean, or the one that the study names, among the arms that
            are not a baseline and contain no part of the method. Its p-value is corrected for all
            arms in both cases; the choice biases the gain unless the study names the rival.
        rival_choice: How the rival was chosen, in words.
        verdict: One sentence.
    """

    backbone: str
    trial: str
    search_value: float
    confirmed_value: float
    confirmed_spread: float | None
    failed_seeds: str
    arms: tuple[ArmEvidence, ...]
    baseline: ArmEvidence | None
    rival: ArmEvidence | None
    rival_choice: str
    verdict: str

    @property
    def method(self) -> ArmEvidence | None:
        """The method's own arm."""
        return next((arm for arm in self.arms if arm.role == "method"), None)

    @property
    def effect(self) -> Effect:
        """``helps`` if it helps against both baseline and rival, ``harms`` if against either."""
        effects = {arm.effect for arm in (self.baseline, self.rival) if arm is not None}
        if "harms" in effects:
            return "harms"
        return "helps" if effects == {"helps"} else "no evidence"

    @property
    def effect_words(self) -> str:
        """The effect in a few words, such as ``helps over the baseline only``."""
        named = {"the baseline": self.baseline, "its rival": self.rival}
        effects = {name: arm.effect for name, arm in named.items() if arm is not None}
        if self.effect == "helps":
            return "helps"
        kind = "harms" if self.effect == "harms" else "helps"
        where = [name for name, found in effects.items() if found == kind]
        if kind == "harms":
            return f"harms, against {' and '.join(where)}"
        return f"helps over {where[0]} only" if where else "no evidence of a gain"


class Confirmation(NamedTuple):
    """Results of a confirmation, with remarks on how the numbers came about.

    Attributes:
        metric: Metric of the test split, such as ``accuracy`` or ``-loss``; higher is better.
        num_readings: Number of models that were read on the test split.
        is_redrawn: Whether every seed has its own training and validation images.
        num_comparisons: Number of comparisons whose p-values are corrected together: the method
            with all arms of all backbones.
        chance: Value of a failed seed; None if no run records it.
        progress: How much of the request has a result; None if the log does not tell its arms.
        remarks: In words: second readings, seeds added later, untuned controls, failed seeds.
        classes: Names of the classes, in the order of all results by class; empty if unknown.
        train_counts: Training images of every class in the search; empty if unknown.
    """

    metric: str
    backbones: tuple[BackboneEvidence, ...]
    num_readings: int
    is_redrawn: bool
    num_comparisons: int
    chance: float | None
    progress: Progress | None
    remarks: tuple[str, ...]
    classes: tuple[str, ...] = ()
    train_counts: tuple[int, ...] = ()

    def __repr__(self) -> str:
        verdicts = [f"{one.backbone}: {one.verdict}" for one in self.backbones]
        return f"<confirmation: {'; '.join(verdicts) or 'no result'}>"
