"""Documents read from user files: YAML, and JSON as this package writes it."""

import codecs
import json
from pathlib import Path
from typing import Final

from distill_tune.errors import InputError, Text, closest
from distill_tune.study.yaml.document import A_MAPPING, ANCHORS, Document
from distill_tune.study.yaml.text import describe, load, mark_text

MAX_BYTES: Final = 1 << 22
"""Maximum size of a file. A study takes about two thousand bytes; the description of a model, two
hundred for each class."""


def read_yaml(path: str | Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Only true and false are booleans (``no`` and ``off`` are text). ``1e-5`` is a number, ``010`` is
    ten and ``12:30`` is text. Duplicate keys are refused. ``<<: *base`` merges a mapping. Top-level
    keys that begin with ``x-`` are dropped once their anchors are known.

    Raises:
        InputError: There is no such file, it is not YAML, or its top level is not a mapping.
    """
    source = str(path)
    return read_yaml_text(read_text(source), source)


def read_yaml_text(text: str, source: str) -> Document:
    """Read YAML text; ``source`` stands for its file in messages.

    Raises:
        InputError: As for :func:`read_yaml`.
    """
    node, value = load(text, source)
    if node is None:
        met = Text("nothing but comments" if text.strip() else "an empty file")
        raise InputError(source, got=met, expected=A_MAPPING)
    if not isinstance(value, dict):
        place = mark_text(source, node.start_mark)
        raise InputError("top level", got=describe(value), expected=A_MAPPING, location=place)
    kept = {key: item for key, item in value.items() if not key.startswith(ANCHORS)}
    return Document(source, kept, node)


def read_json(path: Path) -> Document:
    """Read a JSON file whose top level is an object; messages name it without line and column.

    Raises:
        InputError: There is no such file, it is not JSON, or its top level is not an object.
    """
    source = str(path)
    try:
        value = json.loads(read_text(source))
    except (ValueError, RecursionError) as error:
        met = Text(f"invalid JSON ({error})")
        raise InputError(source, got=met, expected="JSON") from None
    if not isinstance(value, dict):
        raise InputError(source, got=describe(value), expected="a JSON object")
    return Document(source, value, None)


def read_text(source: str) -> str:
    """Return a file's text.

    Raises:
        InputError: There is no such file, it is too large, or it is not UTF-8 text.
    """
    data = _read_bytes(source)
    if len(data) > MAX_BYTES:
        met = Text(f"{source!r} (more than {MAX_BYTES} bytes)")
        raise InputError("file", got=met, expected="a smaller one")
    if b"\0" in data:
        raise InputError("file", got=Text(f"{source!r} (binary)"), expected="text in UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode().split("\n")
        place = f"{source}:{len(before)}:{len(before[-1]) + 1}"
        met = Text(f"the byte {data[error.start]:#04x}, which is not UTF-8")
        raise InputError("file", got=met, expected="text in UTF-8", location=place) from None


def _read_bytes(source: str) -> bytes:
    """Return the content of a file, at most one byte more than the maximum size."""
    path = Path(source)
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        names = [other.name for other in path.parent.glob("*")]
        near = closest(path.name, names)
        choices = [str(path.with_name(near))] if near else []
        expected = "a file that exists"
        # The full name, however long, as nothing else identifies the file.
        met = Text(repr(source))
        raise InputError("file", got=met, expected=expected, choices=choices) from None
    except IsADirectoryError:
        raise InputError("file", got=Text(f"the folder {source!r}"), expected="a file") from None
    except OSError as error:
        met = Text(f"{source!r} ({error.strerror})")
        raise InputError("file", got=met, expected="a file that can be read") from None
