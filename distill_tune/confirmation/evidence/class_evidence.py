"""Test recall of each class with and without the GAN, and the GAN's images of it."""

from typing import Any, NamedTuple

from distill_tune.confirmation.evidence.findings import BackboneEvidence, Confirmation

_MOST_CLASSES, _SHOWN = 20, 10
_HEAD = ["class", "n train", "n test", "control", "method", "gain", "agreement", "diversity"]


class ClassEvidence(NamedTuple):
    """Results of a class, means over the completed runs; None where unknown.

    Attributes:
        name: Name of the class.
        num_train: Training images in the search.
        num_test: Test images.
        control: Test recall of the strictest baseline, ``equal_steps`` if it was run.
        method: Test recall of the method.
        agreement: Share of the method's synthetic images of the class that the judge recognises.
        diversity: Their diversity relative to training images.
        gain: Recall of the method minus that of the control, over the seeds that both have.
    """

    name: str
    num_train: int | None
    num_test: int | None
    control: float | None
    method: float | None
    agreement: float | None
    diversity: float | None
    gain: float | None


def class_evidence(found: Confirmation, one: BackboneEvidence) -> tuple[ClassEvidence, ...]:
    """Return the results of a backbone's classes, in their order; empty if none is known."""
    method, control = one.method, one.baseline
    if method is None or not method.recalls:
        return ()
    columns = (
        found.train_counts,
        method.class_counts,
        control.recalls if control else (),
        method.recalls,
        method.class_agreements,
        method.class_diversities,
        control.class_gains if control else (),
    )
    return tuple(
        ClassEvidence(name, *(_at(column, place) for column in columns))
        for place, name in enumerate(found.classes)
    )


def _at(values: tuple[Any, ...], place: int) -> Any:
    return values[place] if place < len(values) else None


def class_title(found: Confirmation, one: BackboneEvidence) -> str:
    """Return the title of the table of a backbone's classes."""
    arms = {"control": one.baseline, "method": one.method}
    titles = [f"{word}: {arm.title}" for word, arm in arms.items() if arm is not None]
    which = "each class"
    if len(found.classes) > _MOST_CLASSES:
        which = f"the {_SHOWN} of {len(found.classes)} classes that are recognised worst"
    return f"{one.backbone}: test recall of {which} in %, mean over runs ({'; '.join(titles)})"


def class_rows(found: Confirmation, one: BackboneEvidence) -> list[list[str]]:
    """Return the results of a backbone's classes as text, the head first; empty if unknown.

    Of more than 20 classes, the ten with the lowest recall of control and method together are
    left, so that the choice favours neither.
    """
    rows = class_evidence(found, one)
    if not rows:
        return []
    if len(rows) > _MOST_CLASSES:
        rows = tuple(sorted(rows, key=_recognised)[:_SHOWN])
    return [_HEAD, *(_row(row) for row in rows)]


def _recognised(row: ClassEvidence) -> float:
    known = [value for value in (row.control, row.method) if value is not None]
    return sum(known) / len(known) if known else 1.0


def _row(row: ClassEvidence) -> list[str]:
    counts = ["" if count is None else str(count) for count in (row.num_train, row.num_test)]
    recalls = ["" if value is None else f"{100 * value:.1f}" for value in (row.control, row.method)]
    gain = "" if row.gain is None else f"{100 * row.gain:+.1f}"
    of_gan = ["" if value is None else f"{value:.2f}" for value in (row.agreement, row.diversity)]
    return [row.name, *counts, *recalls, gain, *of_gan]


def class_json(found: Confirmation, one: BackboneEvidence) -> list[dict[str, Any]]:
    """Return the results of all classes of a backbone as JSON-compatible data."""
    return [row._asdict() for row in class_evidence(found, one)]
