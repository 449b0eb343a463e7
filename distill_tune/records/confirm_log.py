"""A study's log as far as its confirmation goes: its kinds of events, and the runs they tell of."""

import csv
import io
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field
from typing import NamedTuple

from distill_tune.interfaces import INFEASIBLE
from distill_tune.records.trials import Event

STARTED, ENDED = "confirm_started", "confirm_ended"
CHOSEN, READING, RUN = "confirm_chosen", "test_read", "confirm_run"
SELECTION, EVIDENCE, FIGURES = "selection", "evidence", "figures"


@dataclass(frozen=True)
class RunRecord:
    """One training of one arm's configuration with one fresh seed.

    Attributes:
        name: Such as ``confirm-resnet50-baseline-1f2e3d-seed1000``.
        phase: ``selection`` picks one of the search's best configurations, on seeds of its own;
            ``evidence`` compares the arms; ``figures`` shows what the others do not.
        trial: Number of the trial whose configuration is confirmed.
        key: Digest of the arm's configuration, the seed left out.
        value: The best value of the search's metric over the epochs; None if it failed.
        test: Metric to value on the test split; empty if it failed, and for ``selection``.
        seconds: Stage to seconds, those of a shared stage in full.
        reading: Of ``evidence``, how often its model has then been read on the test split, had it
            not failed: 1, 2, ...; 0 for ``selection``.
        order: Place of its arm in tables.
        curves: Metric to its value after each epoch of stage 3.
        is_concerned: Whether anything that was searched makes a difference to its arm.
        subset_seed: By which its training and validation images were drawn; None: those of the
            search.
        images: Digest of these images.
        chance: Metric to what naming the largest class of the test split gets; empty where that
            was not read.
        agreement: The newest of its generator; None without a GAN, where nothing was measured, and
            in logs of older versions.
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

    @property
    def is_redrawn(self) -> bool:
        """Whether its images are other ones than those of the search."""
        return self.subset_seed is not None

    @property
    def has_failed(self) -> bool:
        """Whether its training failed for reasons that lie in the arm and the seed."""
        return self.status == "failed" and self.reason in INFEASIBLE

    @property
    def is_lost(self) -> bool:
        """Whether its training was lost to the machine: it is repeated."""
        return self.status == "failed" and self.reason not in INFEASIBLE


class Asked(NamedTuple):
    """What a confirmation was asked for last, as far as it is seen in no run.

    Attributes:
        rival: Name of the arm that the verdict is about; None: the one with the greatest mean.
        is_late: Whether test results were known when that was last changed.
        wants_redraw: Whether the images of every seed were to be drawn anew.
        overlap: Share of training images that two seeds then have in common; None where all have
            the same: nobody wants others, or the data set has fixed splits.
    """

    rival: str | None = None
    is_late: bool = False
    wants_redraw: bool = False
    overlap: float | None = None

    @property
    def when(self) -> str:
        """When the rival was named, in words."""
        return "when results were known" if self.is_late else "beforehand"


def asked_for(events: Iterable[Event]) -> Asked:
    """Return what the newest session of a log's confirmation was asked for."""
    found, has_results = Asked(), False
    for event in events:
        if event.get("event") == STARTED:
            plan = event.get("plan", {})
            rival = plan.get("rival")
            is_late = found.is_late if rival == found.rival else has_results
            redraw = bool(plan.get("redraw", False))
            found = Asked(rival, is_late, redraw, event.get("overlap"))
        has_results |= event.get("event") == READING
    return found


def run_records(events: Iterable[Event]) -> list[RunRecord]:
    """Return the finished runs of a log, oldest first; one that is damaged is left out.

    Of a run that failed and was tried again, what became of it in the end.
    """
    records: dict[tuple[str, int], RunRecord] = {}
    for event in events:
        if event.get("event") == RUN:
            try:
                found = _record(event)
            except (KeyError, TypeError, ValueError):
                continue
            records[found.name, found.reading] = found
    return list(records.values())


def next_reading(events: Iterable[Event], *, is_again: bool) -> int:
    """Return how often the models will then have been read on the test split.

    Args:
        events: The log.
        is_again: Whether a repetition is asked for; one that was interrupted goes on.
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
        # Logs of older versions lack what has a default.
        if name in event or (one.default is MISSING and one.default_factory is MISSING)
    }
    return RunRecord(**fields | {"seed": int(event["seed"]), "trial": int(event["trial"])})


def runs_csv(records: Iterable[RunRecord]) -> str:
    """Return every run as a line, for pandas."""
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
