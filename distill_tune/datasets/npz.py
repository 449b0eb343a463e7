"""The kind ``npz``: one NumPy file with arrays of images and labels."""

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from distill_tune.datasets.arrays import channels_first, fit, to_bytes
from distill_tune.datasets.part_names import Part
from distill_tune.datasets.paths import Root, absolute, not_found
from distill_tune.datasets.pool import Labels, Pool
from distill_tune.datasets.source import ImageSource
from distill_tune.errors import InputError, Text

PART_KEYS: dict[Part, tuple[str, str]] = {
    "train": ("x_train", "y_train"),
    "val": ("x_val", "y_val"),
    "test": ("x_test", "y_test"),
}
POOL_KEYS = (("x", "y"), ("images", "labels"))
READ_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,  # A few bytes may claim any number of images.
    RuntimeError,  # zipfile's, for one with a password or packed in an unknown way.
    SyntaxError,  # NumPy's headers are Python's literals.
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
EXPECTED_KEYS = "x_train and y_train (also _val, _test), x and y, or images and labels"


class Npz(ImageSource):
    """Arrays in one ``.npz`` file.

    Keys: ``x_train``, ``y_train`` and where they are ``x_val``, ``y_val``, ``x_test``, ``y_test``;
    or ``x``, ``y``; or ``images``, ``labels``. Images ``[n, h, w]``, ``[n, h, w, c]`` or
    ``[n, c, h, w]`` in 0..255 or 0..1; labels integers or text. ``classes`` may name the classes
    0, 1, ... in their order.
    """

    kind: Literal["npz"]
    """Which data set."""
    root: Root
    """The file."""
    flip: bool = False
    """Whether a mirrored image keeps its meaning; off, since arrays do not say what they show."""

    @property
    def name(self) -> str:
        return Path(self.root).stem

    def parts(self) -> frozenset[Part]:
        with self._open() as arrays:
            return frozenset(_part_keys(arrays.files))

    def read(self, part: Part) -> Pool:
        with self._open() as arrays:
            key, label_key = _part_keys(arrays.files)[part]
            images, labels = _array(arrays, key), _array(arrays, label_key)
            names = _array(arrays, "classes") if "classes" in arrays.files else None
        if images.ndim == 0 or labels.shape not in ((len(images),), (len(images), 1)):
            raise InputError(
                "data.root",
                got=Text(f"{key} of shape {images.shape} and {label_key} of {labels.shape}"),
                expected="one label for each image",
            )
        pixels = to_bytes(channels_first(images, key), key)
        numbers, classes = _classes(labels.reshape(-1), names, label_key)
        return Pool(fit(pixels, self.image_size), numbers, classes)

    def _open(self) -> "np.lib.npyio.NpzFile":
        path = absolute(self.root)
        try:
            if not path.is_file():
                raise not_found(self.root, path.parent.glob("*.npz"), expected="an .npz file")
            arrays = np.load(path, allow_pickle=False)
        except READ_ERRORS as error:
            raise _unreadable(f"{path} ({error})") from None
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise _unreadable(f"{path}, which holds a single array")
        return arrays


def _unreadable(got: str) -> InputError:
    return InputError("data.root", got=Text(got), expected="an .npz file as numpy.savez writes it")


def _part_keys(found: list[str]) -> dict[Part, tuple[str, str]]:
    """Return the keys of images and labels for the parts that are there."""
    keys = {part: pair for part, pair in PART_KEYS.items() if set(pair) & set(found)}
    if "train" not in keys:
        pools = [pair for pair in POOL_KEYS if set(pair) <= set(found)]
        keys = {"train": pools[0]} if pools and not keys else {}
    missing = [key for pair in keys.values() for key in pair if key not in found]
    if missing or not keys:
        listed = ", ".join(sorted(found)) or "nothing"
        got = f"the keys {listed}" + (f" without {', '.join(missing)}" if missing else "")
        raise InputError("data.root", got=Text(got), expected=EXPECTED_KEYS)
    return keys


def _array(arrays: "np.lib.npyio.NpzFile", key: str) -> NDArray[Any]:
    try:
        return np.asarray(arrays[key])
    except READ_ERRORS as error:
        raise _unreadable(f"{key}, which cannot be read ({error})") from None


def _classes(
    labels: NDArray[Any], names: NDArray[Any] | None, key: str
) -> tuple[Labels, tuple[str, ...]]:
    """Return labels as positions in the names of the classes, and these names."""
    if labels.dtype.kind not in "buiSU":
        raise InputError(
            "data.root",
            got=Text(f"{key} of type {labels.dtype}"),
            expected="integers or text",
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "backslashreplace")
    if labels.dtype.kind == "b":
        labels = labels.astype(np.int64)
    if names is None:
        found, numbers = np.unique(labels, return_inverse=True)
        return numbers.astype(np.int64), tuple(str(name) for name in found)
    if names.ndim != 1 or names.dtype.kind not in "iuSU" or len(set(names.tolist())) != len(names):
        raise InputError(
            "data.root",
            got=Text(f"classes of type {names.dtype} and shape {names.shape}"),
            expected="a list of different names in classes",
        )
    if names.dtype.kind == "S":
        names = np.char.decode(names, "utf-8", "backslashreplace")
    return _positions(labels, tuple(str(name) for name in names), key), tuple(map(str, names))


def _positions(labels: NDArray[Any], classes: tuple[str, ...], key: str) -> Labels:
    """Return labels, which are numbers or names of ``classes``, as positions in it."""
    numbers = labels
    if labels.dtype.kind == "U":
        position = {name: number for number, name in enumerate(classes)}
        numbers = np.array([position.get(str(label), -1) for label in labels], dtype=np.int64)
    wrong = (numbers < 0) | (numbers >= len(classes))
    if wrong.any():
        unknown = ", ".join(str(label) for label in np.unique(labels[wrong])[:5])
        raise InputError(
            "data.root",
            got=Text(f"labels in {key} that classes does not have: {unknown}"),
            expected=f"names in classes or numbers in 0..{len(classes) - 1}",
        )
    return numbers.astype(np.int64)
