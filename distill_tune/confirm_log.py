"""A study's log as far as its confirmation goes: its kinds of events, and the runs they tell of."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from distill_tune.trials import Event

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
    fields = {name: event[name] for name in RunRecord.__dataclass_fields__}
    return RunRecord(**fields | {"seed": int(event["seed"]), "trial": int(event["trial"])})


def runs_csv(records: Iterable[RunRecord]) -> str:
    """Return every run as a line, for pandas."""
    runs = list(records)
    tests = list(dict.fromkeys(name for run in runs for name in run.test))
    columns = ["name", "phase", "backbone", "arm", "trial", "seed", "is_tuned", "status", "reason"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, "value", *(f"test/{name}" for name in tests), "seconds", "reading"])
    for run in runs:
        measured = [run.test.get(name, "") for name in tests]
        value = "" if run.value is None else run.value
        seconds = round(sum(run.seconds.values()), 3)
        cells = [getattr(run, name) for name in columns]
        writer.writerow([*cells, value, *measured, seconds, run.reading])
    return text.getvalue()
