"""Tables of a comparison as rows of text, the head first."""

from typing import NamedTuple

from distill_tune.records.words.metric_names import title
from distill_tune.report.comparison.findings import ComparedBackbone, Comparison

_LONGEST = 60
_MOST_COLUMNS = 3


class TextTable(NamedTuple):
    """A table of texts.

    Attributes:
        title: Caption.
        rows: Rows of cells; the head comes first.
        text: Names of the columns that hold text rather than numbers.
    """

    title: str
    rows: list[list[str]]
    text: tuple[str, ...]


def comparison_tables(found: Comparison, *, is_narrow: bool = False) -> list[TextTable]:
    """Return the tables of the searches, of the confirmations and of the fields that differ.

    Args:
        found: The comparison.
        is_narrow: Fit 80 columns: list the values of a field in one cell if there are many studies.
    """
    tables = [_searches(found)]
    if any(row.confirmed is not None for row in found.backbones):
        tables.append(_confirmations(found))
    if found.differences:
        tables.append(_differences(found, is_narrow=is_narrow))
    return tables


def _searches(found: Comparison) -> TextTable:
    units = {row.unit for row in found.backbones}
    unit = f"{units.pop()}s" if len(units) == 1 else "hours"
    has_seeds = any(row.origin for row in found.backbones)
    seeds = ["seeds"] if has_seeds else []
    head = ["study", "backbone", _best_title(found), *seeds, "of trial", "trials", unit]
    rows = [
        [
            row.study,
            row.backbone,
            _best(row),
            *([str(row.num_seeds)] if has_seeds else []),
            (row.trial or "-") + ("" if row.status in {"complete", ""} else f" ({row.status})"),
            str(row.num_trials),
            f"{row.hours:.3g}" + ("" if unit != "hours" else f" {row.unit}s"),
        ]
        for row in found.backbones
    ]
    return TextTable("searches", [head, *rows], ("study", "backbone", "of trial"))


def _best_title(found: Comparison) -> str:
    """Return the head of the best values, with their metric if it is the same in all studies."""
    metrics = {one.metric for one in found.studies}
    return f"best {title(metrics.pop())}" if len(metrics) == 1 else "best"


def _best(row: ComparedBackbone) -> str:
    if row.value is None:
        return "-"
    spread = "" if row.spread is None else f" ± {row.spread:.4f}"
    return f"{row.value:.4f}{spread}"


def _confirmations(found: Comparison) -> TextTable:
    metrics = {row.confirmed.metric for row in found.backbones if row.confirmed is not None}
    test = metrics.pop() if len(metrics) == 1 else "test"
    head = ["study", "backbone", test, "95 %", "seeds", "GAN distillation"]
    rows = [_confirmed(row) for row in found.backbones if row.confirmed is not None]
    return TextTable("confirmed", [head, *rows], ("study", "backbone", "95 %", "GAN distillation"))


def _confirmed(row: ComparedBackbone) -> list[str]:
    one = row.confirmed
    if one is None:
        return []
    mean = "-" if one.test is None else f"{one.test:.4f}"
    interval = "" if one.low is None else f"{one.low:.4f} to {one.high:.4f}"
    return [row.study, row.backbone, mean, interval, str(one.num_seeds), one.effect_words]


def _differences(found: Comparison, *, is_narrow: bool) -> TextTable:
    names = [one.name for one in found.studies]
    caption = "fields that differ"
    if is_narrow and len(names) > _MOST_COLUMNS:
        rows = [[one.path, _grouped(one.values)] for one in found.differences]
        return TextTable(caption, [["field", "values"], *rows], ("field", "values"))
    rows = [
        [one.path, *(_cut(one.values[name]) or "-" for name in names)] for one in found.differences
    ]
    return TextTable(caption, [["field", *names], *rows], ("field", *names))


def _grouped(values: dict[str, str]) -> str:
    """Return ``12 (a, b); 24 (c)``."""
    studies: dict[str, list[str]] = {}
    for name, value in values.items():
        studies.setdefault(_cut(value) or "-", []).append(name)
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in studies.items())


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 3]}..."
