"""Labels in an ``.npz`` file: numbers or names, and the ``classes`` beside them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill_tune.datasets.pool import Labels
from distill_tune.errors import InputError, Text

_SHOWN = 5


def usable_labels(labels: NDArray[Any], key: str) -> NDArray[Any]:
    """Return labels as ``[n]`` integers or text.

    Raises:
        InputError: They are neither.
    """
    if labels.dtype.kind not in "buiSU":
        advice = f": {key}.astype(int)" if labels.dtype.kind == "f" else ""
        raise InputError(
            "data.root",
            got=Text(f"{key} of type {labels.dtype}"),
            expected=f"integers or text{advice}",
        )
    return _decoded(labels.reshape(-1))


def usable_names(names: NDArray[Any]) -> NDArray[Any]:
    """Return the array ``classes`` as integers or text.

    Raises:
        InputError: It is no list of different names.
    """
    if names.ndim != 1 or names.dtype.kind not in "iuSU" or len(set(names.tolist())) != len(names):
        raise InputError(
            "data.root",
            got=Text(f"classes of type {names.dtype} and shape {names.shape}"),
            expected="a list of different names in classes",
        )
    return _decoded(names)


def _decoded(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "backslashreplace")
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def classes_of(
    labels: NDArray[Any], names: NDArray[Any] | None, key: str, every: Sequence[NDArray[Any]]
) -> tuple[Labels, tuple[str, ...]]:
    """Return labels as positions in the names of the classes, and these names.

    Args:
        labels: ``[n]``, of one part.
        names: The array ``classes``; None: the labels are the names.
        key: Of the labels.
        every: The labels of all parts: they tell whether numbers in ``classes`` are labels.

    Raises:
        InputError: A label is no class, or could be one of two.
    """
    if names is None:
        found, numbers = np.unique(labels, return_inverse=True)
        return numbers.astype(np.int64), tuple(str(name) for name in found)
    classes = tuple(str(name) for name in names)
    if labels.dtype.kind == "U" or _are_values(names, every):
        positions = {name: number for number, name in enumerate(classes)}
        numbers = np.array([positions.get(str(label), -1) for label in labels], dtype=np.int64)
    else:
        numbers = np.where(labels < len(classes), labels.astype(np.int64), -1)
    if (numbers < 0).any():
        raise _unknown(labels, numbers, classes, key)
    return numbers, classes


def _are_values(names: NDArray[Any], every: Sequence[NDArray[Any]]) -> bool:
    """Tell whether numbers in ``classes`` are what labels are, and not names of positions.

    Raises:
        InputError: They are numbers written as text, and could be either.
    """
    labels = {str(label) for some in every for label in np.unique(some)}
    listed = [str(name) for name in names]
    if not labels <= set(listed):
        return False
    is_position = all(label.isdecimal() and int(label) < len(listed) for label in labels)
    is_same = is_position and all(listed[int(label)] == label for label in labels)
    if names.dtype.kind == "U" and is_position and not is_same:
        raise InputError(
            "data.root",
            got=Text(f"classes {', '.join(map(repr, listed[:_SHOWN]))} and labels that are both"),
            expected="numbers in classes, if they are the labels themselves; without classes the "
            "labels are the names",
        )
    return True


def _unknown(
    labels: NDArray[Any], numbers: Labels, classes: tuple[str, ...], key: str
) -> InputError:
    unknown = ", ".join(str(label) for label in np.unique(labels[numbers < 0])[:_SHOWN])
    return InputError(
        "data.root",
        got=Text(f"labels in {key} that classes does not have: {unknown}"),
        expected=f"names in classes, or positions in it: 0..{len(classes) - 1}",
    )
