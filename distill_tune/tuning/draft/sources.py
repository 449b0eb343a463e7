"""The data set that ``--data`` names: its kind is recognised from the files that are there."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distill_tune.datasets import DATASETS, Dataset, ImageSource
from distill_tune.datasets.folder_tree.paths import absolute
from distill_tune.errors import InputError, Message, Parameter, closest
from distill_tune.interfaces import Config
from distill_tune.study.validation import Document, parse

SETTABLE = (
    *("data.color", "data.flip", "data.image_size", "data.root", "data.test", "data.train"),
    *("data.val", "data.value_range"),
)
"""Fields that say how to read the images; the others are decided by the draft."""
_DATA, _SET = Parameter("data"), Parameter("assignments")
BACKBONE = Parameter("backbone")
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
_NAMED = sorted(set(DATASETS) - {"folder", "npz"})
_EXPECTED = f"a folder of one folder per class, an .npz file, or one of {', '.join(_NAMED)}"


class DataSection(Config):
    """The section ``data`` of a study on its own."""

    data: Dataset
    """The data set."""


def source_of(data: str, assignments: Sequence[str] = ()) -> tuple[ImageSource, dict[str, Any]]:
    """Return the data set that a path, or the name of a kind, stands for, and its given fields.

    Args:
        data: A folder, an ``.npz`` file, or the name of a kind that needs no path.
        assignments: ``data.field=value`` for fields in ``SETTABLE``.

    Raises:
        InputError: There is no such data set, or an assignment is invalid.
    """
    document = Document(_DATA, {"data": _recognised(data)}, None)
    for assignment in assignments:
        if assignment.partition("=")[0].strip() not in SETTABLE:
            expected = f"one of {', '.join(SETTABLE)}; other fields are those of a study's file"
            raise InputError(_SET, got=assignment, expected=expected)
        document.set(assignment)
    source = parse(DataSection, document).data
    fields = document.value["data"]
    if "root" in fields:
        path = absolute(fields["root"])
        fields["root"] = str(path.resolve() if ".." in path.parts else path)
    return source, fields


@contextmanager
def blamed_on_options(fields: Mapping[str, Any]) -> Iterator[None]:
    """Report errors in data and backbones against the command's options: there is no file yet.

    Args:
        fields: Given fields of ``data``, as :func:`source_of` returns them.
    """
    try:
        yield
    except InputError as error:
        option = {"data": _DATA, "backbones": BACKBONE}.get(error.where.partition(".")[0])
        if option is None or error.location:
            raise
        is_field = error.where in SETTABLE and error.where != "data.root"
        expected, choices = error.expected, error.choices
        where: str = option
        if is_field and error.where.removeprefix("data.") in fields:
            where = Message(_SET, f" {error.where}")
        elif is_field:
            where = Message(option, f" {fields['root']}") if "root" in fields else option
            expected = Message(expected, "; ", _SET, f" {error.where}=VALUE gives it")
        elif any(name in f"{error.got} {error.expected}" for name in SETTABLE):
            expected = Message(expected, "; ", _SET, " data.FIELD=VALUE gives such a field")
        raise InputError(where, got=error.got, expected=expected, choices=choices) from None


def _recognised(data: str) -> dict[str, Any]:
    """Return the kind of a data set and, unless it needs no path, its root."""
    try:
        path = Path(data).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(_DATA, got=data, expected=f"a path that can be read ({error})") from None
    if is_folder:
        return {"kind": "folder", "root": data}
    if is_file and path.suffix.lower() == ".npz":
        return {"kind": "npz", "root": data}
    if is_file and (path.suffix.lower() in _ARCHIVES or zipfile.is_zipfile(path)):
        expected = f"a folder: unpack it first, for example python -m zipfile -e {path.name} images"
        raise InputError(_DATA, got=data, expected=expected)
    if data in _NAMED and not is_file:
        return {"kind": data}
    near = None if is_file else closest(path.name, [one.name for one in path.parent.glob("*")])
    choices = [str(path.with_name(near))] if near else _NAMED
    raise InputError(_DATA, got=data, expected=_EXPECTED, choices=choices)
