"""The grammar of a search space, and ``apply(configuration, params)``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from distill_tune.errors import DistillTuneError, InputError, InputErrors, Text
from distill_tune.study.dimensions import (
    FIXED,
    Choice,
    Dimension,
    LogRandInt,
    LogUniform,
    RandInt,
    Range,
    Uniform,
)
from distill_tune.study.validation import describe, read_value, set_path

__all__ = [
    "Choice",
    "Dimension",
    "LogRandInt",
    "LogUniform",
    "RandInt",
    "Range",
    "SearchSpace",
    "Uniform",
    "apply",
    "parse_dimension",
    "sound_dimensions",
]

KINDS: Final = ("uniform", "loguniform", "randint", "lograndint", "choice")
_SAME_KIND: Final = MappingProxyType(
    {"float": "uniform", "int": "randint", "categorical": "choice"}
)
_SAME_KEY: Final = MappingProxyType(
    {"distribution": "type"}
    | dict.fromkeys(("low", "lower"), "min")
    | dict.fromkeys(("high", "upper"), "max")
    | dict.fromkeys(("choices", "categories"), "values")
)
_FORMS: Final = "a range such as uniform(0.1, 0.5), or a list such as [a, b]"


def parse_dimension(where: str, raw: object) -> Dimension:
    """Read one dimension: short form, list, or mapping; messages call it ``where``.

    Raises:
        InputError: The value has none of these forms, or does not form a range.
    """
    names: Mapping[str, str] = {"values": ""}
    if isinstance(raw, str):
        given = _read_call(where, raw)
    elif isinstance(raw, Mapping):
        names = _canonical_keys(where, raw)
        given = _read_mapping(where, raw, names)
    elif isinstance(raw, list | tuple):
        given = {"type": "choice", "values": raw}
    else:
        raise InputError(where, got=describe(raw), expected=f"{_FORMS} ({FIXED})")
    try:
        if given["type"] == "choice":
            return Choice(tuple(given["values"]))
        return Range(given["type"], given["min"], given["max"], given.get("or_zero"))
    except InputError as error:
        if isinstance(raw, str):
            raise InputError(where, got=raw, expected=error.expected) from None
        field, _, index = error.where.partition(".")
        place = ".".join(part for part in (where, names.get(field, field), index) if part)
        raise InputError(place, got=error.got, expected=error.expected) from None


def sound_dimensions(space: object) -> dict[str, Dimension]:
    """Return the valid dimensions of a recorded space by dotted path; invalid ones are left out."""
    found: dict[str, Dimension] = {}
    for path, raw in space.items() if isinstance(space, Mapping) else ():
        try:
            found[str(path)] = parse_dimension(str(path), raw)
        except DistillTuneError:
            continue
    return found


def _read_call(where: str, raw: str) -> dict[str, Any]:
    call = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", raw, re.DOTALL)
    if not call:
        cut = "(" in raw and ")" not in raw
        expected = "a closing ')'; inside {...} the text needs quotes" if cut else _FORMS
        raise InputError(where, got=raw, expected=expected)
    kind = _read_kind(where, call[1])
    try:
        values = read_value(f"[{call[2]}]")
    except InputError as error:
        raise InputError(where, got=raw, expected=f"values in ( ), not {error.got}") from None
    if kind == "choice":
        return {"type": kind, "values": values}
    if len(values) != 2:
        more = "; or_zero needs the form {type: ..., min: ..., max: ..., or_zero: ...}"
        expected = f"two bounds, {kind}(min, max)" + (more if len(values) > 2 else "")
        raise InputError(where, got=raw, expected=expected)
    return {"type": kind, "min": values[0], "max": values[1]}


def _read_kind(where: str, raw: object) -> str:
    name = str(raw).strip().lower()
    name = _SAME_KIND.get(name, name)
    if name not in KINDS:
        got = raw if isinstance(raw, str) else describe(raw)
        raise InputError(where, got=got, expected=f"one of {', '.join(KINDS)}", choices=KINDS)
    return name


def _canonical_keys(where: str, raw: Mapping[str, object]) -> dict[str, str]:
    """Return the canonical keys (``min``, ``max``, ...) with their spelling in ``raw``."""
    names: dict[str, str] = {}
    for key in raw:
        name = _SAME_KEY.get(key, key)
        if name in names:
            met = Text(f"both {names[name]} and {key}")
            raise InputError(f"{where}.{key}", got=met, expected=f"one, as they mean {name}")
        names[name] = key
    if "type" not in names:
        expected = "a type in it, as in {type: uniform, min: 0, max: 1}"
        if not {"min", "max", "values"} & names.keys():
            whole = f"{where.removeprefix('space.')}.{next(iter(raw), 'x')}"
            expected = f"a range or a list (a path is one key with dots: {whole})"
        raise InputError(where, got=describe(raw), expected=expected)
    return names


def _read_mapping(where: str, raw: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    kind = _read_kind(f"{where}.{names['type']}", raw[names["type"]])
    needed = ["values"] if kind == "choice" else ["max", "min"]
    optional = ["or_zero"] if kind == "loguniform" else []
    known = sorted([*needed, *optional, "type"])
    for name, key in names.items():
        # Range itself refuses or_zero for other kinds, and says why.
        if name not in known and (name != "or_zero" or kind == "choice"):
            expected = f"one of the keys {', '.join(known)}"
            raise InputError(f"{where}.{key}", got=key, expected=expected, choices=known)
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(where, got=describe(raw), expected=f"{' and '.join(missing)} in it too")
    if kind == "choice" and not isinstance(raw[names["values"]], list | tuple):
        values = raw[names["values"]]
        raise InputError(f"{where}.{names['values']}", got=describe(values), expected="a list")
    return {name: raw[key] for name, key in names.items()} | {"type": kind}


@dataclass(frozen=True)
class SearchSpace:
    """A search space: dotted paths of a trial's configuration, each with its dimension.

    A field of this type in a pydantic model reads the mapping under ``space:``.
    """

    dimensions: Mapping[str, Dimension]

    @classmethod
    def parse(cls, raw: object) -> "SearchSpace":
        """Read the mapping under ``space:``; null is an empty space.

        Raises:
            InputError: One dimension is invalid; ``where`` is ``space.<path>``.
            InputErrors: Several dimensions are invalid.
        """
        if not isinstance(raw, Mapping | None):
            expected = "a mapping (lines of 'joint.margin: uniform(0.1, 0.5)')"
            raise InputError("space", got=describe(raw), expected=expected)
        errors: list[InputError] = []
        dimensions: dict[str, Dimension] = {}
        for path, value in (raw or {}).items():
            # The rest of a short form that was cut at its comma inside {...}: already reported.
            if errors and value is None and path.endswith(")"):
                continue
            try:
                _check_path(path, raw or {})
                dimensions[path] = parse_dimension(f"space.{path}", value)
            except InputError as error:
                errors.append(error)
        if errors:
            raise errors[0] if len(errors) == 1 else InputErrors(errors)
        return cls(dimensions)

    def plain(self) -> dict[str, object]:
        """Return plain data for YAML, which :meth:`parse` reads back."""
        return {path: dimension.plain() for path, dimension in self.dimensions.items()}

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(cls.plain)
        )

    @classmethod
    def _validate(cls, raw: object) -> "SearchSpace":
        if isinstance(raw, SearchSpace):
            return raw
        try:
            return cls.parse(raw)
        except (InputError, InputErrors) as error:
            raise ValueError(error) from None


def _check_path(path: str, space: Mapping[str, object]) -> None:
    parts = path.split(".")
    if not all(part == part.strip() != "" for part in parts):
        expected = "a dotted path such as joint.margin"
        raise InputError(f"space.{path}", got=path, expected=expected)
    taken = [name for name in space if path.startswith(f"{name}.")]
    if taken:
        met = Text(f"a path below {taken[0]}")
        raise InputError(f"space.{path}", got=met, expected=f"{taken[0]} or this, not both")


def apply(base: Mapping[str, Any], params: Mapping[str, object]) -> dict[str, Any]:
    """Return a deep copy of nested plain data in which each dotted path has its value.

    Missing mappings on the way are created; tuples become lists.

    Raises:
        InputError: A path leads through a scalar; ``where`` is ``space.<path>``.
    """
    config = {key: _copy(value) for key, value in base.items()}
    for path, value in params.items():
        try:
            set_path(config, path.split("."), value)
        except InputError as error:
            raise InputError(f"space.{path}", got=error.got, expected=error.expected) from None
    return config


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list | tuple) else value
