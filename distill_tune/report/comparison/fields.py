"""Fields in which studies differ, as text."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from distill_tune.report.study_plan import StudyPlan

_NAMES = {"study"}
"""Fields that differ between any two studies and say nothing about them."""


class FieldDifference(NamedTuple):
    """A field in which studies differ.

    Attributes:
        path: Dotted path of the field, such as ``search.num_trials``; ``images`` is the digest of
            the images, ``version`` that of this package.
        values: Name of a study -> its value as text; empty if the study does not have the field.
    """

    path: str
    values: dict[str, str]


def field_differences(plans: Mapping[str, StudyPlan]) -> tuple[FieldDifference, ...]:
    """Return the fields that are not the same in all studies, by name of the study."""
    fields = {name: dict(_fields(plan)) for name, plan in plans.items()}
    paths = dict.fromkeys(path for found in fields.values() for path in found)
    rows = [
        FieldDifference(path, {name: found.get(path, "") for name, found in fields.items()})
        for path in paths
    ]
    differing = tuple(row for row in rows if len(set(row.values.values())) > 1)
    return tuple(row for row in differing if not _is_unset_section(row, differing))


def _is_unset_section(row: FieldDifference, rows: Iterable[FieldDifference]) -> bool:
    """Return whether a row only says that one study has no section whose fields are listed."""
    has_fields = any(other.path.startswith(f"{row.path}.") for other in rows)
    return has_fields and set(row.values.values()) <= {"", "null"}


def _fields(plan: StudyPlan) -> Iterator[tuple[str, str]]:
    study = {name: value for name, value in plan.study.items() if name not in _NAMES}
    dimensions = {path: one.describe() for path, one in plan.dimensions.items()}
    yield from _leaves(study | {"space": dimensions}, "")
    yield "images", _text(plan.data.get("digest"))
    yield "version", _text(plan.version)
    yield from _leaves(plan.environment, "environment.")


def _leaves(value: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, raw in value.items():
        inner = _by_name(raw)
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _text(inner)


def _by_name(value: Any) -> Any:
    """Return a list of mappings that have names, such as ``backbones``, as a mapping by name."""
    is_named = isinstance(value, Sequence) and all(
        isinstance(one, Mapping) and "name" in one for one in value
    )
    if isinstance(value, str) or not value or not is_named:
        return value
    return {str(one["name"]): one for one in value}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)
