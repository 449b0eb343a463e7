"""The kind ``npz``: one NumPy file with arrays of images and labels."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.folder_tree.paths import Root, absolute, not_found
from distill_tune.datasets.image_pool import Bytes, Labels, Pool, absent_classes, unknown_names
from distill_tune.datasets.images.arrays import channels_first, fit, to_bytes
from distill_tune.datasets.images.value_range import (
    PER_FILE,
    Extremes,
    Kind,
    array_levels,
    found_ranges,
    given_ranges,
    kind_of,
)
from distill_tune.datasets.images.value_range_field import ValueRange
from distill_tune.datasets.npz_file.headers import (
    READ_ERRORS,
    array_extremes,
    header,
    images_shape,
    num_dimensions,
    reason,
    unreadable,
)
from distill_tune.datasets.npz_file.keys import EXPECTED_KEYS, looks_used, part_keys
from distill_tune.datasets.npz_file.labels import (
    classes_of,
    usable_labels,
    usable_names,
    without_a_label,
)
from distill_tune.datasets.source import ImageSource
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import ValueRanges

_IMAGE_DIMENSIONS = 3


class Npz(ImageSource):
    """Arrays in one ``.npz`` file.

    Keys: ``x_train``, ``y_train`` and optionally ``x_val``, ``y_val``, ``x_test``, ``y_test``; or
    ``train_images``, ``train_labels`` and so on; or ``x``, ``y``; or ``images``, ``labels``; in
    upper or lower case, with ``valid`` or ``validation`` for ``val``. Images are ``[n, h, w]``,
    ``[n, h, w, c]`` or ``[n, c, h, w]`` with one range of values; labels are integers or text.
    ``classes`` may name the classes 0, 1, ... in order, or list the labels.
    """

    kind: Literal["npz"]
    """The kind of data set."""
    root: Root
    """The file."""
    flip: bool = False
    """True if a mirrored image keeps its meaning; off, because arrays may show anything."""
    value_range: ValueRange = "auto"
    """Values that become black and white, such as [0, 4095]; auto: detected over all parts."""

    @property
    def name(self) -> str:
        return Path(self.root).stem

    def parts(self) -> frozenset[Part]:
        with self._open() as arrays:
            return frozenset(part_keys(arrays.files))

    def value_ranges(self) -> ValueRanges:
        if self.value_range == "per_file":
            return PER_FILE
        if self.value_range != "auto":
            return given_ranges(self.value_range)
        kinds: dict[Kind, dict[str, Extremes]] = {}
        for part, (key, _) in self._keys().items():
            kind = kind_of(header(self._path, key).dtype)
            # 8-bit arrays are read only until 0..1 can be told from 0..255. A damaged test part is
            # reported when it is used.
            with suppress(InputError) if part == "test" and kind == "eight_bit" else nullcontext():
                found = array_extremes(self._path, key)
                kinds.setdefault(kind, {}).update({key: found} if found else {})
        return found_ranges(kinds)

    def check_parts(self) -> tuple[str, ...]:
        keys = self._keys()
        shapes = {part: self._shape(*pair) for part, pair in keys.items()}
        with self._open() as arrays:
            labels = {part: self._labels(arrays, part) for part in keys}
            classes = {part: own[1] for part, own in labels.items()}
            unused = set(arrays.files) - {key for pair in keys.values() for key in pair}
            unlabelled = without_a_label(
                self._own_labels(arrays, keys["train"][1]), keys["train"][1]
            )
        for part, shape in shapes.items():
            self._refuse_size(part, shape, shapes["train"])
            _refuse_unknown(part, classes[part], classes["train"], keys[part])
        return (*self._not_read(unused), *unlabelled, *_absent(labels))

    def _not_read(self, unused: set[str]) -> Iterator[str]:
        """Yield a warning about unused arrays that look like images, labels or class names."""
        named = sorted(
            key
            for key in unused - {"classes"}
            if looks_used(key) or num_dimensions(self._path, key) >= _IMAGE_DIMENSIONS
        )
        if named:
            expected = f"{EXPECTED_KEYS}; the names of the classes in classes"
            yield f"not read: {', '.join(named)} (expected {expected})"

    def shorter_sides(self, most: int) -> list[int]:  # noqa: ARG002 - all are of one size
        """Return the shorter side in pixels of the training images."""
        return [min(self._shape(*self._keys()["train"])[2:])]

    def read(self, part: Part, ranges: ValueRanges | None = None) -> Pool:
        key, label_key = self._keys()[part]
        self._shape(key, label_key)
        ranges = ranges or self.value_ranges()
        with self._open() as arrays:
            images = channels_first(_array(arrays, key), key)
            numbers, classes = self._labels(arrays, part)
        pixels = _pixels(images, key, ranges)
        return Pool(fit(pixels, self.image_size), numbers, classes, value_ranges=ranges)

    @property
    def _path(self) -> Path:
        return absolute(self.root)

    def _keys(self) -> dict[Part, tuple[str, str]]:
        with self._open() as arrays:
            return part_keys(arrays.files)

    def _shape(self, key: str, label_key: str) -> tuple[int, ...]:
        """Return the shape ``[n, c, h, w]`` of a part's images; each must have a label."""
        shape, of_labels = header(self._path, key).shape, header(self._path, label_key).shape
        if not shape or of_labels not in (shape[:1], (*shape[:1], 1)):
            raise InputError(
                "data.root",
                got=Text(f"{key} of shape {shape} and {label_key} of {of_labels}"),
                expected=f"one label for each image{_advice(label_key, shape, of_labels)}",
            )
        return images_shape(self._path, key)

    def _labels(self, arrays: "np.lib.npyio.NpzFile", part: Part) -> tuple[Labels, tuple[str, ...]]:
        """Return the labels of a part as positions in the class names, and these names."""
        keys = part_keys(arrays.files)
        names = None
        if "classes" in arrays.files:
            header(self._path, "classes")
            names = usable_names(_array(arrays, "classes"))
        every = [self._own_labels(arrays, keys[part][1])]
        for _, key in keys.values() if names is not None else ():
            # Faults of other parts are reported when these are read.
            with suppress(InputError):
                every.append(self._own_labels(arrays, key))
        return classes_of(every[0], names, keys[part][1], every)

    def _own_labels(self, arrays: "np.lib.npyio.NpzFile", key: str) -> NDArray[Any]:
        header(self._path, key)
        return usable_labels(_array(arrays, key), key)

    def _refuse_size(self, part: Part, shape: tuple[int, ...], of_train: tuple[int, ...]) -> None:
        if shape[0] == 0:
            raise InputError("data.root", got=Text(f"no image in {part}"), expected="images")
        size, train_size = min(shape[2:]), min(of_train[2:])
        if self.image_size is None and size != train_size:
            raise InputError(
                "data.image_size",
                got=Text(f"{part} images of {size} pixels, train images of {train_size}"),
                expected="a number of pixels, because the parts differ in size",
            )

    def _open(self) -> "np.lib.npyio.NpzFile":
        path = absolute(self.root)
        try:
            if not path.is_file():
                raise not_found(self.root, path.parent.glob("*.npz"), expected="an .npz file")
            arrays = np.load(path, allow_pickle=False)
        except READ_ERRORS as error:
            raise unreadable(f"{path} ({reason(path, error)})") from None
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise unreadable(f"{path}, which holds a single array")
        return arrays


def _array(arrays: "np.lib.npyio.NpzFile", key: str) -> NDArray[Any]:
    try:
        return np.asarray(arrays[key])
    except READ_ERRORS as error:
        raise unreadable(f"{key}, which cannot be read ({error})") from None


def _advice(key: str, shape: tuple[int, ...], of_labels: tuple[int, ...]) -> str:
    """Return how to make labels of rows with a number for each class; empty if there are none."""
    is_one_hot = len(of_labels) == 2 and of_labels[:1] == shape[:1] and of_labels[1] > 1
    return f": {key}.argmax(1), if a 1 in each row marks the class" if is_one_hot else ""


def _pixels(images: NDArray[Any], key: str, ranges: ValueRanges) -> Bytes:
    """Return images as uint8, the range of their type mapped to 0..255."""
    if len(images) == 0:
        return images.astype(np.uint8)
    pair = getattr(ranges, kind_of(images.dtype))
    if pair is None:
        return to_bytes(images, key)
    return array_levels(images, pair, key, is_given=ranges.is_given)


def _absent(labels: Mapping[Part, tuple[Labels, tuple[str, ...]]]) -> tuple[str, ...]:
    """Return a warning that lists the classes of train without test images, if any."""
    if "test" not in labels:
        return ()
    seen = {part: {names[one] for one in np.unique(own)} for part, (own, names) in labels.items()}
    return absent_classes(seen["train"], seen["test"])


def _refuse_unknown(
    part: Part, names: tuple[str, ...], known: tuple[str, ...], keys: tuple[str, str]
) -> None:
    """Refuse classes that train does not have; give advice for a part without usable labels."""
    try:
        unknown_names(names, known=known, part=part, where="data.root")
    except InputError as error:
        if set(names) & set(known):
            raise
        expected = (
            f"{error.expected}; without {' and '.join(keys)} in the file, {part} images are drawn "
            "from train"
        )
        raise InputError(error.where, got=error.got, expected=expected) from None
