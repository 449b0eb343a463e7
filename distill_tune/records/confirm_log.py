"""The events of a confirmation in a study's log, and the runs that they record."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from distill_tune.interfaces import INFEASIBLE
from distill_tune.records.running import CONFIRM_STARTED
from distill_tune.records.trials import Event

STARTED, ENDED = CONFIRM_STARTED, "confirm_ended"
PLANNED = "confirm_planned"
CHOSEN, READING, RUN = "confirm_chosen", "test_read", "confirm_run"
SYNTHETIC = "synthetic"
SELECTION, EVIDENCE, FIGURES = "selection", "evidence", "figures"


@dataclass(frozen=True)
class RunRecord:
    """One training of one arm's configuration with one fresh seed.

    Attributes:
        name: Name, such as ``confirm-resnet50-baseline-1f2e3d-seed1000``.
        phase: ``selection`` picks one of the search's best configurations, on seeds of its own;
            ``evidence`` compares the arms; ``figures`` shows what the other runs do not.
        trial: Number of the trial whose configuration is confirmed.
        key: Digest of the arm's configuration without the seed.
        value: Best value of the search's metric over the epochs; None if the run failed.
        test: Metric -> value on the test split; empty if the run failed, and for ``selection``.
        seconds: Stage -> seconds; a shared stage counts in full.
        reading: For ``evidence``: how often the model has then been read on the test split, had the
            run not failed: 1, 2, ...; 0 for ``selection``.
        order: Position of its arm in tables.
        curves: Metric -> its value after each epoch of stage 3.
        is_concerned: Whether any searched dimension affects its arm.
        subset_seed: Seed that drew its training and validation images; None: those of the search.
        images: Digest of these images.
        chance: Metric -> its value for always naming the largest class of the test split; empty if
            the test split was not read.
        agreement: Newest agreement of its generator; None without a GAN, if nothing was measured,
            and in logs of older versions.
        control: For a combination of the method with an addition: name of the arm that has only the
            addition; otherwise empty.
        cpus: Cores that it had; 0 in logs of older versions.
        recalls: Recall of every class on the test split, None for a class without test images;
            empty if the test split was not read, and in logs of older versions.
        class_counts: Test images of every class; empty like ``recalls``.
        test_images: Digest of the test images; empty like ``recalls``.
        class_agreements: Share of synthetic images of every class that the judge recognises as
            such; empty without a GAN, if the run failed, and in logs of older versions.
        class_diversities: Their diversity relative to training images, None for a class with less
            than two; empty like ``class_agreements``.
        extra_images: What it was trained on beside real images, as in ``joint.extra_images``; in
            logs of older versions, synthetic images are assumed.
    """

    name: str
    phase: str
    backbone: str
    arm: str
    title: str
    role: str
    trial: int
    key: str
    seed: int
    is_tuned: bool
    status: str
    reason: str
    detail: str
    value: float | None
    test: dict[str, float]
    seconds: dict[str, float]
    gpus: float
    reading: int
    order: int
    curves: dict[str, list[float]]
    is_concerned: bool = True
    subset_seed: int | None = None
    images: str = ""
    chance: dict[str, float] = field(default_factory=dict)
    agreement: float | None = None
    control: str = ""
    cpus: float = 0
    recalls: list[float | None] = field(default_factory=list)
    class_counts: list[int] = field(default_factory=list)
    class_agreements: list[float] = field(default_factory=list)
    class_diversities: list[float | None] = field(default_factory=list)
    extra_images: str = SYNTHETIC
    test_images: str = ""

    @property
    def is_redrawn(self) -> bool:
        """Whether its images differ from those of the search."""
        return self.subset_seed is not None

    @property
    def has_failed(self) -> bool:
        """Whether its training failed for reasons that lie in the arm and the seed."""
        return self.status == "failed" and self.reason in INFEASIBLE

    @property
    def is_lost(self) -> bool:
        """Whether its training was lost to the machine and is repeated."""
        return self.status == "failed" and self.reason not in INFEASIBLE


class ConfirmRequest(NamedTuple):
    """The newest request for a confirmation, as far as no run shows it.

    Attributes:
        rival: Name of the arm that the verdict is about; None: the one with the highest mean.
        is_late: Whether test results were known when the rival was last changed.
        wants_redraw: Whether every seed should draw its images anew.
        overlap: Share of training images that two seeds have in common; None if all seeds have the
            same images: no redraw was requested, or the data set has fixed splits.
        tuned: Names of the arms that had their own search; their runs may be of before it, if it
            found the values that they had.
        seeds: Seeds on which arms are compared.
        arms: Names of the arms; empty if the log does not tell them.
        command: Its command line; empty if the log does not tell it.
        keys: Backbone -> name of an arm -> digest of its configuration, as in ``RunRecord``; empty
            in logs of older versions and before a configuration is chosen.
    """

    rival: str | None = None
    is_late: bool = False
    wants_redraw: bool = False
    overlap: float | None = None
    tuned: frozenset[str] = frozenset()
    seeds: tuple[int, ...] = ()
    arms: tuple[str, ...] = ()
    command: str = ""
    keys: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    @property
    def when(self) -> str:
        """When the rival was named, in words."""
        return "when results were known" if self.is_late else "beforehand"


def newest_request(events: Iterable[Event]) -> ConfirmRequest:
    """Return what the newest confirmation session in a log was asked for."""
    found, has_results = ConfirmRequest(), False
    for event in events:
        if event.get("event") == STARTED:
            plan = event.get("plan", {})
            rival = plan.get("rival")
            is_late = found.is_late if rival == found.rival else has_results
            redraw = bool(plan.get("redraw", False))
            tuned = frozenset(map(str, event.get("tuned", ())))
            found = ConfirmRequest(rival, is_late, redraw, event.get("overlap"), tuned)
            arms = tuple(map(str, plan.get("arms", ())))
            seeds = tuple(map(int, event.get("seeds", ())))
            command = str(event.get("command", ""))
            found = found._replace(seeds=seeds, arms=arms, command=command)
        if event.get("event") == PLANNED:
            found = found._replace(keys=event["keys"])
        has_results |= event.get("event") == READING
    return found


def run_records(events: Iterable[Event]) -> list[RunRecord]:
    """Return the finished runs of a log, oldest first, without damaged ones.

    For a run that failed and was repeated, return its last result, at its new place.
    """
    records: dict[tuple[str, int], RunRecord] = {}
    for event in events:
        if event.get("event") == RUN:
            try:
                found = _record(event)
            except (KeyError, TypeError, ValueError):
                continue
            records.pop((found.name, found.reading), None)
            records[found.name, found.reading] = found
    return list(records.values())


def next_reading(events: Iterable[Event], *, is_again: bool) -> int:
    """Return how often the models will have been read on the test split after the next session.

    Args:
        events: The log.
        is_again: Whether a repetition was requested; an interrupted one is resumed.
    """
    last, has_ended = 1, True
    for event in events:
        if event.get("event") in {STARTED, ENDED}:
            last, has_ended = int(event["reading"]), event["event"] == ENDED
    if not is_again:
        return 1
    return last + 1 if has_ended or last == 1 else last


def _record(event: Event) -> RunRecord:
    fields = {
        name: event[name]
        for name, one in RunRecord.__dataclass_fields__.items()
        # Logs of older versions lack fields that have a default.
        if name in event or (one.default is MISSING and one.default_factory is MISSING)
    }
    return RunRecord(**fields | {"seed": int(event["seed"]), "trial": int(event["trial"])})


def runs_csv(records: Iterable[RunRecord]) -> str:
    """Return the runs as CSV, one row per run, for pandas."""
    runs = list(records)
    tests = list(dict.fromkeys(name for run in runs for name in run.test))
    columns = ["name", "phase", "backbone", "arm", "trial", "seed", "subset_seed", "is_tuned"]
    columns += ["status", "reason"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, "value", *(f"test/{name}" for name in tests), "seconds", "reading"])
    for run in runs:
        measured = [run.test.get(name, "") for name in tests]
        value = "" if run.value is None else run.value
        seconds = round(sum(run.seconds.values()), 3)
        cells = ["" if (cell := getattr(run, name)) is None else cell for name in columns]
        writer.writerow([*cells, value, *measured, seconds, run.reading])
    return text.getvalue()
