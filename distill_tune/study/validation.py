"""Conversion of YAML to checked objects and back, with errors that name the place.

An error reads ``file:line:column: where: got X, expected Y``. A validator says what it expected:
``raise ValueError("expected ...")``, or ``raise ValueError(InputError(...))`` with ``where``
relative to its model.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from distill_tune.errors import InputError, InputErrors, Text
from distill_tune.study.validation_messages import discriminator, translated
from distill_tune.study.yaml.document import Document, find_all, get_path, locate_error, set_path
from distill_tune.study.yaml.files import read_json, read_yaml, read_yaml_text
from distill_tune.study.yaml.text import (
    MAX_LEVELS,
    Place,
    describe,
    dotted,
    read_value,
    scalar_text,
    to_yaml,
)

__all__ = [
    "Document",
    "Place",
    "describe",
    "dotted",
    "get_path",
    "locate_error",
    "parse",
    "read_json",
    "read_value",
    "read_yaml",
    "read_yaml_text",
    "scalar_text",
    "set_path",
    "to_yaml",
]

M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], document: Document) -> M:
    """Check a document against a strict model; lists count as tuples and text as paths.

    Raises:
        InputError: There is one error.
        InputErrors: There are several; they are in the order of the file.
    """
    _refuse_excess(document)
    fixes: dict[Place, Callable[[Any], object] | None] = {}
    while True:
        try:
            return model.model_validate(_fixed(document.value, fixes))
        except InputError as error:
            raise _found(error, document) from None
        except ValidationError as failure:
            errors = failure.errors(include_url=False)
        new = {path: fix for error in errors for path, fix in _fixes(error, document)}
        if new.keys() <= fixes.keys():
            found = _complaints(model, errors, document)
            raise found[0] if len(found) == 1 else InputErrors(found)
        fixes |= new


def _refuse_excess(document: Document) -> None:
    """Refuse excessive depth and huge integers: no field needs them, and other code may fail."""
    places: list[tuple[Place, Any]] = [((), document.value)]
    while places:
        path, value = places.pop()
        if isinstance(value, int) and abs(value) > sys.maxsize:
            expected = f"a whole number of at most {sys.maxsize:g}"
            raise InputError(
                dotted(path), got=value, expected=expected, location=document.locate(path)
            )
        if len(path) > MAX_LEVELS:
            met, expected = Text(f"more than {MAX_LEVELS} levels"), "fewer"
            raise InputError(
                dotted(path[:1]), got=met, expected=expected, location=document.locate(path)
            )
        inner: Iterable[tuple[str | int, Any]] = ()
        if isinstance(value, Mapping):
            inner = value.items()
        elif isinstance(value, list):
            inner = enumerate(value)
        places += [((*path, key), item) for key, item in inner]


def _fixed(value: Any, fixes: Mapping[Place, Any], path: Place = ()) -> Any:
    """Return a copy with some values converted; a fix of None drops the key."""
    if isinstance(value, dict):
        kept = [key for key in value if fixes.get((*path, key), "") is not None]
        value = {key: _fixed(value[key], fixes, (*path, key)) for key in kept}
    elif isinstance(value, list):
        value = [_fixed(item, fixes, (*path, index)) for index, item in enumerate(value)]
    return fixes[path](value) if path in fixes else value


def _fixes(
    error: ErrorDetails, document: Document
) -> Iterator[tuple[Place, Callable[[Any], object] | None]]:
    """Yield what strict validation does not accept from YAML, with its converter (None: drop)."""
    path = _place(document.value, error)
    given = get_path(document.value, path)
    if error["type"] == "tuple_type" and isinstance(given, list):
        yield path, tuple
    elif error["type"] == "is_instance_of" and isinstance(given, str):
        if error["ctx"]["class"] == "Path":
            yield path, Path
    elif error["type"] == "extra_forbidden" and document.is_left_over(path):
        yield path, None


def _place(value: Any, error: ErrorDetails) -> Place:
    """Return an error's place in the raw data: pydantic's place without the tags of unions."""
    names_a_key = error["type"] in ("missing", "extra_forbidden")
    path: Place = ()
    for part in error["loc"][: -1 if names_a_key else None]:
        inner = get_path(value, (part,), default=_place)
        if inner is not _place:
            value, path = inner, (*path, part)
    path += error["loc"][-1:] if names_a_key else ()
    return (*path, *discriminator(error))


def _complaints(
    model: type[BaseModel], errors: Sequence[ErrorDetails], document: Document
) -> list[InputError]:
    together: dict[Place, list[ErrorDetails]] = {}
    for error in errors:
        path = _place(document.value, error)
        if not _is_consequence(error, get_path(document.value, path)):
            together.setdefault(path, []).append(error)
    found = [
        complaint
        for path, same in together.items()
        for complaint in _own(path, same[0], document) or [translated(model, path, same, document)]
    ]
    return sorted(found, key=_line)


def _is_consequence(error: ErrorDetails, given: object) -> bool:
    """Return whether a list is too short only because pydantic does not count its invalid items."""
    if error["type"] != "too_short" or not isinstance(given, list):
        return False
    return bool(len(given) >= error["ctx"]["min_length"])


def _line(error: InputError) -> Place:
    place = re.search(r":(\d+):(\d+)$", error.location)
    return tuple(int(number) for number in place.groups()) if place else ()


def _own(path: Place, error: ErrorDetails, document: Document) -> list[InputError]:
    """Return the input errors that one of our validators put into its ValueError."""
    cause = error.get("ctx", {}).get("error")
    for inner in (cause, *getattr(cause, "args", ())):
        if isinstance(inner, InputError | InputErrors):
            own = inner.errors if isinstance(inner, InputErrors) else (inner,)
            return [locate_error(_below(path, one), document) for one in own]
    return []


def _found(error: InputError, document: Document) -> InputError:
    """Locate an InputError that a validator raised directly, which pydantic cannot locate."""
    where, places = error.where, list(find_all(document.value, error.where))
    if len(places) == 1:
        where = dotted(places[0])
    return locate_error(_moved(error, where), document)


def _below(path: Place, error: InputError) -> InputError:
    """Return the error with ``where`` as a full path; it may be full already, or relative."""
    here, where = dotted(path), error.where
    if not path or f"{where}.".startswith(f"{here}."):
        return error
    ends_so = not where or f".{here}".endswith(f".{where}")
    where = here if ends_so else f"{here}.{where}"
    return _moved(error, where)


def _moved(error: InputError, where: str) -> InputError:
    return InputError(where, got=error.got, expected=error.expected, choices=error.choices)
