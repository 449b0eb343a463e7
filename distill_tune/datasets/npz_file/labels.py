"""Labels in an ``.npz`` file: numbers or names, and the ``classes`` beside them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill_tune.datasets.image_pool import Labels
from distill_tune.datasets.images.printable import printable
from distill_tune.errors import InputError, Text, abridged

_SHOWN = 5


def usable_labels(labels: NDArray[Any], key: str) -> NDArray[Any]:
    """Return labels as ``[n]`` integers or text.

    Raises:
        InputError: The labels are neither.
    """
    if labels.dtype.kind not in "buiSU":
        is_float = labels.dtype.kind == "f"
        if is_float and np.isnan(labels).any():
            raise InputError(
                "data.root",
                got=Text(f"{key} with {int(np.isnan(labels).sum())} labels that are NaN"),
                expected="a label for each image: leave the others out",
            )
        is_whole = is_float and bool((labels == np.trunc(labels)).all())
        advice = f": {key}.astype(int)" if is_whole else ""
        raise InputError(
            "data.root",
            got=Text(f"{key} of type {labels.dtype}"),
            expected=f"integers or text{advice}",
        )
    return _decoded(labels.reshape(-1))


def usable_names(names: NDArray[Any]) -> NDArray[Any]:
    """Return the array ``classes`` as integers or text.

    Raises:
        InputError: The array is not a list of distinct names.
    """
    if names.ndim != 1 or names.dtype.kind not in "iuSU":
        raise InputError(
            "data.root",
            got=Text(f"classes of type {names.dtype} and shape {names.shape}"),
            expected="a list of different names in classes",
        )
    found = _decoded(names)
    double = [str(name) for name, count in Counter(found.tolist()).items() if count > 1]
    if double:
        raise InputError(
            "data.root",
            got=Text(
                f"classes that hold {abridged([repr(name) for name in double], _SHOWN)} twice"
            ),
            expected="a list of different names in classes",
        )
    return found


def _decoded(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "backslashreplace")
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def classes_of(
    labels: NDArray[Any], names: NDArray[Any] | None, key: str, every: Sequence[NDArray[Any]]
) -> tuple[Labels, tuple[str, ...]]:
    """Return labels as positions in the class names, and these names.

    Args:
        labels: ``[n]``, of one part.
        names: The array ``classes``; None: the labels are the names.
        key: Key of the labels.
        every: Labels of all parts, which decide whether numbers in ``classes`` are labels.

    Raises:
        InputError: A label is not a class, or could be one of two classes.
    """
    if names is None:
        found, numbers = np.unique(labels, return_inverse=True)
        return numbers.astype(np.int64), _shown(found)
    classes = _shown(names)
    if labels.dtype.kind == "U" or _are_values(names, every):
        positions = {_plain(name): number for number, name in enumerate(classes)}
        positions |= {name: number for number, name in enumerate(classes)}
        texts = [str(label) for label in labels]
        at = [positions.get(text, positions.get(_plain(text), -1)) for text in texts]
        numbers = np.array(at, dtype=np.int64)
    else:
        numbers = np.where(labels < len(classes), labels.astype(np.int64), -1)
    if (numbers < 0).any():
        raise _unknown(labels, numbers, classes, key)
    return numbers, classes


def _shown(names: NDArray[Any]) -> tuple[str, ...]:
    """Return names as text that can be written anywhere, as those of folders are.

    Raises:
        InputError: Two of them look the same.
    """
    shown = tuple(printable(str(name)) for name in names)
    if len(set(shown)) < len(shown):
        (double, _), *_ = Counter(shown).most_common(1)
        got = Text(f"two classes that are both written {double!r}")
        raise InputError("data.root", got=got, expected="names that differ when they are written")
    return shown


def _are_values(names: NDArray[Any], every: Sequence[NDArray[Any]]) -> bool:
    """Return whether ``classes`` lists the label values rather than names by position.

    Raises:
        InputError: The names are numbers written as text, and could be either.
    """
    labels = {str(label) for some in every for label in np.unique(some)}
    listed = [_plain(str(name)) for name in names]
    if not labels <= set(listed):
        return False
    is_position = all(label.isdecimal() and int(label) < len(listed) for label in labels)
    is_same = is_position and all(listed[int(label)] == label for label in labels)
    if names.dtype.kind == "U" and is_position and not is_same:
        raise InputError(
            "data.root",
            got=Text(f"classes {_some(names)} and labels that are both"),
            expected="numbers in classes, if they are the labels themselves; without classes the "
            "labels are the names",
        )
    return True


def _plain(text: str) -> str:
    """Return a whole number such as ``01`` or ``1.0`` in its usual form; other text as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() else text


def _some(names: NDArray[Any]) -> str:
    return ", ".join(repr(str(name)) for name in names[:_SHOWN])


def without_a_label(labels: NDArray[Any], key: str) -> tuple[str, ...]:
    """Return a warning that -1 counts as a class, where it may mean that there is no label."""
    if labels.dtype.kind != "i":
        return ()
    found = np.unique(labels)
    if not (len(found) > 2 and found[0] == -1 and found[1] == 0):
        return ()
    num = int((labels == -1).sum())
    warning = (
        f"the label -1 in {key}, of {num} images, is a class like the others; if it means that "
        "there is no label, leave these images out"
    )
    return (warning,)


def _unknown(
    labels: NDArray[Any], numbers: Labels, classes: tuple[str, ...], key: str
) -> InputError:
    unknown = ", ".join(str(label) for label in np.unique(labels[numbers < 0])[:_SHOWN])
    return InputError(
        "data.root",
        got=Text(f"labels in {key} that classes does not have: {unknown}"),
        expected=f"names in classes, or positions in it: 0..{len(classes) - 1}",
    )
