"""Files of a report or a comparison, written to a folder or URI."""

import json
from collections.abc import Mapping
from typing import Any

from distill_tune.errors import InputError, Parameter
from distill_tune.records.files.storage import Storage, storage_at


def json_text(content: Mapping[str, Any]) -> str:
    """Return the text of a JSON file; numbers must be finite."""
    return f"{json.dumps(content, indent=1, allow_nan=False)}\n"


def chosen_storage(out: str) -> Storage:
    """Return the storage for files at a place that the user chose.

    Raises:
        InputError: It is not a writable folder.
    """
    if not out:
        raise InputError(Parameter("out"), got=out, expected="a folder or a URI")
    storage = storage_at(out)
    if obstacle := storage.obstacle():
        expected = f"a folder that can be written to ({obstacle})"
        raise InputError(Parameter("out"), got=out, expected=expected)
    return storage


def write_texts(storage: Storage, files: Mapping[str, str]) -> None:
    """Write texts by file name as UTF-8, which cannot encode lone surrogates."""
    for name, text in files.items():
        storage.write(name, text.encode("utf-8", "replace"))
