"""Results of each class: recall with and without the GAN, and the GAN's images."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from distill_tune.confirmation.evidence.findings import BackboneEvidence
from distill_tune.errors import DistillTuneError
from distill_tune.report.axes import real
from distill_tune.report.study_records import Source
from distill_tune.report.tables import Cell, PageTable
from distill_tune.study.validation import read_yaml_text


class ClassRow(NamedTuple):
    """Results of a class; None where unknown.

    Attributes:
        name: Name of the class.
        num_train: Training images.
        num_val: Validation images.
        recall_stage_one: Validation recall at the end of stage 1, before the GAN.
        recall: Validation recall of the kept weights.
        agreement: Share of synthetic images of the class that are recognised as such.
        diversity: Diversity of synthetic images, relative to training images.
        num_test: Test images.
        test_recall_control: Test recall of the baseline of the confirmation, mean over seeds.
        test_recall: Test recall of the method, mean over seeds.
        test_gain: Test recall of the method minus that of the baseline, over the seeds of both.
    """

    name: str
    num_train: float | None = None
    num_val: float | None = None
    recall_stage_one: float | None = None
    recall: float | None = None
    agreement: float | None = None
    diversity: float | None = None
    num_test: float | None = None
    test_recall_control: float | None = None
    test_recall: float | None = None
    test_gain: float | None = None


_HEADS: Mapping[str, str] = {
    "test_recall_control": "test recall, baseline",
    "test_recall": "test recall, method",
    "test_gain": "gain",
    "num_test": "test images",
    "num_train": "training images",
    "recall_stage_one": "validation recall before the GAN",
    "recall": "validation recall",
    "num_val": "validation images",
    "agreement": "GAN agreement",
    "diversity": "GAN diversity",
}
"""Columns of the table; what a narrow page may cut off comes last."""
_OF_MODEL = ("num_train", "num_val", "recall_stage_one", "recall", "agreement", "diversity")


def class_results(source: Source, backbone: str) -> tuple[ClassRow, ...]:
    """Return the results of a backbone's best model and of its confirmation; empty if unknown."""
    winner = source.best(backbone)
    found = source.confirmation.backbones if source.confirmation else ()
    evidence = next((one for one in found if one.backbone == backbone), None)
    # A confirmation may have chosen another trial than the search: a row is about one of them.
    trial = evidence.trial if evidence is not None else winner.name if winner is not None else ""
    model = _of_model(source, trial)
    classes = source.plan.data.get("classes")
    names = [str(name) for name in classes] if isinstance(classes, list) else list(model)
    rows = [ClassRow(name, *map(model.get(name, {}).get, _OF_MODEL)) for name in names]
    if evidence is not None:
        rows = [_with_test(row, evidence, place) for place, row in enumerate(rows)]
    is_any = any(value is not None for row in rows for value in row[1:])
    return tuple(rows) if is_any else ()


def _of_model(source: Source, trial: str) -> dict[str, dict[str, float | None]]:
    name = f"models/{trial}/model.yaml"
    if not source.directory.has(name):
        return {}
    try:
        found: Any = read_yaml_text(source.directory.read_text(name), name).value
    except DistillTuneError:
        return {}
    rows = found.get("by_class") if isinstance(found, Mapping) else None
    return {
        str(label): {field: real(row.get(field)) for field in _OF_MODEL}
        for label, row in (rows.items() if isinstance(rows, Mapping) else ())
        if isinstance(row, Mapping)
    }


def _with_test(row: ClassRow, evidence: BackboneEvidence, place: int) -> ClassRow:
    method, control = evidence.method, evidence.baseline
    return row._replace(
        num_test=_at(method.class_counts if method else (), place),
        test_recall=_at(method.recalls if method else (), place),
        test_recall_control=_at(control.recalls if control else (), place),
        test_gain=_at(control.class_gains if control else (), place),
    )


def _at(values: tuple[float | None, ...], place: int) -> float | None:
    return values[place] if place < len(values) else None


def class_table(backbone: str, rows: tuple[ClassRow, ...]) -> PageTable:
    """Return the results of the classes as a table, without columns that are unknown."""
    shown = [field for field in _HEADS if any(getattr(row, field) is not None for row in rows)]
    cells = tuple(
        (Cell(row.name, row.name), *(_cell(field, getattr(row, field)) for field in shown))
        for row in rows
    )
    head = ("class", *(_HEADS[field] for field in shown))
    is_tested = any(row.test_recall is not None for row in rows)
    seeds = "; on the test split means over seeds" if is_tested else ""
    title = f"{backbone}: recall of each class in %{seeds}"
    return PageTable(title, head, cells, is_sortable=True)


def _cell(field: str, value: float | None) -> Cell:
    if value is None:
        return Cell("", "", "number")
    return Cell(_text(field, value), repr(value), "number")


def _text(field: str, value: float) -> str:
    if field.startswith("num_"):
        return f"{value:.0f}"
    if field in {"agreement", "diversity"}:
        return f"{value:.2f}"
    return f"{100 * value:+.1f}" if field == "test_gain" else f"{100 * value:.1f}"
