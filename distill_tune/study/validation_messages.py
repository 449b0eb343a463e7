"""Plain versions of pydantic's errors: the value given, and what was expected."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from distill_tune.errors import InputError, Text, closest, show
from distill_tune.study.yaml.document import A_MAPPING, ANCHORS, Document
from distill_tune.study.yaml.text import Place, describe, dotted, read_scalar, scalar_text

# pydantic's error types, and what was expected; the error's context fills the braces.
_EXPECTED: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(("int_type", "int_from_float"), "a whole number")
    | dict.fromkeys(("list_type", "tuple_type"), "a list")
    | dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), A_MAPPING)
    | {
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "text",
        "string_unicode": "text without lone surrogates",
        "is_instance_of": "a {class}",
        "none_required": "null",
        "finite_number": "a finite number",
        "greater_than": "a number > {gt:g}",
        "greater_than_equal": "a number >= {ge:g}",
        "less_than": "a number < {lt:g}",
        "less_than_equal": "a number <= {le:g}",
        "multiple_of": "a multiple of {multiple_of:g}",
        "too_short": "a list of at least {min_length}",
        "too_long": "a list of at most {max_length}",
        "string_too_short": "text of at least {min_length} characters",
        "string_too_long": "text of at most {max_length} characters",
        "string_pattern_mismatch": "text that matches {pattern}",
    }
)


def translated(
    model: type[BaseModel], path: Place, errors: Sequence[ErrorDetails], document: Document
) -> InputError:
    """Return one plain error for one or (in a union) several pydantic errors at one place."""
    error = errors[0]
    if error["type"] == "extra_forbidden":
        names = sorted(_fields(model, error["loc"][:-1]))
        expected = f"one of the keys {', '.join(names)}" if names else "no keys"
        if len(path) == 1 and document.holds_anchors(path):
            expected += f" (or a name that begins with {ANCHORS}, for what only holds anchors)"
        return InputError(
            dotted(path[:-1]),
            got=path[-1],
            expected=expected,
            choices=names,
            location=document.locate(path, key=True),
        )
    parts = [_expected(model, one) for one in errors]
    choices = [name for _, names in parts for name in names]
    return InputError(
        dotted(path),
        got=_got(error, choices),
        expected=" or ".join(dict.fromkeys(text for text, _ in parts)),
        choices=choices,
        location=document.locate(path),
    )


def _got(error: ErrorDetails, choices: Sequence[str]) -> object:
    kind, value = error["type"], error["input"]
    if kind in ("missing", "union_tag_not_found"):
        return Text("nothing")
    if kind == "union_tag_invalid":
        return error["ctx"]["tag"]
    of_type = kind.endswith(("_type", "is_instance_of"))
    if isinstance(value, str) and (choices or not of_type):
        return value
    if of_type or isinstance(value, Mapping | list | tuple):
        return describe(value)
    return Text(scalar_text(value))


def _expected(model: type[BaseModel], error: ErrorDetails) -> tuple[str, Sequence[str]]:
    """Return what was expected, and the names from which a similar one is suggested."""
    kind, context, loc = error["type"], error.get("ctx", {}), error["loc"]
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        listing: str = context.get("expected") or context["expected_tags"]
        return _one_of(listing.replace("'", "").replace(" or ", ", ").split(", "))
    if kind == "union_tag_not_found":
        return _one_of(_tags(model, (*loc, *discriminator(error))))
    if kind == "model_attributes_type" and (tags := _tags(model, (*loc, "kind"))):
        tag = closest(error["input"], tags) or tags[0]
        return f"a mapping, such as {{kind: {tag}}}", ()
    if kind == "missing":
        return _absent(model, loc), ()
    if kind in ("list_type", "tuple_type") and isinstance(error["input"], str):
        return f"a list, such as [{error['input']}]", ()
    message = _EXPECTED[kind].format(**context) if kind in _EXPECTED else error["msg"]
    for start in ("Value error, ", "Assertion failed, ", "Input should be ", "expected "):
        message = message.removeprefix(start)
    return message, ()


def _absent(model: type[BaseModel], loc: Place) -> str:
    """Return the purpose of a missing key, from the docstring of its field."""
    *above, last = loc
    if isinstance(last, int):
        return f"a list of at least {last + 1}"
    info = _fields(model, tuple(above)).get(last)
    description = (info.description if info else None) or ""
    sentence = " ".join(description.split()).split(". ")[0].rstrip(".")
    return f"this key ({sentence})" if sentence else "this key"


def _one_of(names: Sequence[str]) -> tuple[str, Sequence[str]]:
    return f"one of {', '.join(names)}" if len(names) > 1 else show(read_scalar(names[0])), names


def _tags(model: type[BaseModel], loc: Place) -> list[str]:
    """Return the values of the discriminator at ``loc`` in all the kinds allowed there."""
    models = _models_at(model, loc[:-1])
    fields = [one.model_fields[str(loc[-1])] for one in models if loc[-1] in one.model_fields]
    return sorted({str(tag) for one in fields for tag in get_args(one.annotation)})


def _fields(model: type[BaseModel], loc: Place) -> dict[str, FieldInfo]:
    return {k: info for one in _models_at(model, loc) for k, info in one.model_fields.items()}


def _models_at(model: type[BaseModel], loc: Place) -> list[type[BaseModel]]:
    """Return the models allowed at pydantic's ``loc``, which contains the tags of unions."""
    models = [model]
    for part in loc:
        infos = [one.model_fields[str(part)] for one in models if part in one.model_fields]
        tagged = [
            one
            for one in models
            if any(part in get_args(info.annotation) for info in one.model_fields.values())
        ]
        if infos:
            models = [one for info in infos for one in _models(info.annotation)]
        elif tagged:
            models = tagged
    return models


def _models(annotation: object) -> list[type[BaseModel]]:
    """Return the models in a field's annotation."""
    if inner := get_args(annotation):
        return [model for one in inner for model in _models(one)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return []


def discriminator(error: ErrorDetails) -> Place:
    """Return the last path part of an invalid or missing ``kind``, which pydantic leaves out."""
    if error["type"] not in ("union_tag_invalid", "union_tag_not_found"):
        return ()
    # A discriminator function is not named after a key.
    named: str = error["ctx"]["discriminator"]
    return (named.strip("'") if "'" in named else "kind",)
