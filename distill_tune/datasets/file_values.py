"""What image files hold before they are scaled: the type of their values, and the extremes."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np

from distill_tune.datasets.eight_bits import is_deep
from distill_tune.datasets.image_files import num_workers, opened
from distill_tune.datasets.value_range import (
    KINDS,
    PER_FILE,
    WHITES,
    Extremes,
    Kind,
    found_ranges,
    usable,
)
from distill_tune.interfaces import ValueRanges

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24
"""Where a PNG says how many bits a channel has."""
_EIGHT_BIT_STARTS = (b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")
_FULL_SCALE = frozenset({"PPM"})
"""Formats whose decoder scales more than 8 bits to 0..65535 by what the header says is white."""
_BYTES = Extremes(0, 255)
"""Of 8 bits: their type says it."""
_MUCH_APART = 0.5
"""Difference of two classes' shares of deep files from which on it is told."""


T = TypeVar("T")


class FileValues(NamedTuple):
    """The values of one file.

    Attributes:
        kind: Their type.
        extremes: Of what is deeper than 8 bits; None where no range is recognised.
    """

    kind: Kind
    extremes: Extremes | None = None


def file_ranges(parts: Mapping[str, Sequence[Path]], sealed: str = "test") -> ValueRanges:
    """Return the ranges of values of the image files of all parts together.

    Of a file of 8 bits nothing but its first bytes is read. Of a deeper one the least and the
    greatest value are kept and nothing else. The test part is left alone unless other parts have
    deeper files, whose scale it then shares.

    Args:
        parts: What people call each part, and its files.
        sealed: The part that is left alone.

    Raises:
        InputError: The values could be of several ranges.
    """
    kinds: dict[Kind, dict[str, Extremes]] = {"eight_bit": {}, "integers": {}, "floats": {}}
    for name in sorted(parts, key=lambda name: name == sealed):
        if name == sealed and len(parts) > 1 and not (kinds["integers"] or kinds["floats"]):
            continue
        for one in _in_threads(partial(_values, turn=Lock()), parts[name]):
            if one is None or one.extremes is None:
                continue
            known = kinds[one.kind].get(name)
            kinds[one.kind][name] = known.merged(one.extremes) if known else one.extremes
    return found_ranges(kinds)


def completed(ranges: ValueRanges, name: str, paths: Sequence[Path]) -> ValueRanges:
    """Return ranges with those of the types of values that only the files of one part have."""
    if ranges == PER_FILE or (ranges.integers and ranges.floats):
        return ranges
    own = file_ranges({name: paths})
    missing = [kind for kind in KINDS if getattr(ranges, kind) is None]
    return ranges.model_copy(update={kind: getattr(own, kind) for kind in missing})


def depth_warnings(classes: Mapping[str, Sequence[Path]]) -> tuple[str, ...]:
    """Say where the files of some classes are of another depth than those of others.

    Args:
        classes: Name and files of each class; only headers are read.
    """
    deep: dict[str, float] = {}
    for name, paths in classes.items():
        kinds = [kind for kind in _in_threads(_kind, paths) if kind is not None]
        if kinds:
            deep[name] = sum(kind != "eight_bit" for kind in kinds) / len(kinds)
    if not deep or max(deep.values()) - min(deep.values()) < _MUCH_APART:
        return ()
    most, least = max(deep, key=deep.__getitem__), min(deep, key=deep.__getitem__)
    told = (
        f"{deep[most]:.0%} of the files of class {most!r} have more than 8 bits for each channel, "
        f"{deep[least]:.0%} of those of class {least!r}: a classifier can learn the depth instead "
        "of the picture"
    )
    return (told,)


def _in_threads(work: Callable[[Path], T], paths: Iterable[Path]) -> list[T]:
    with warnings.catch_warnings(), ThreadPoolExecutor(num_workers()) as workers:
        warnings.simplefilter("ignore")  # Of files that are broken: reading them says so.
        return list(workers.map(work, paths))


def _kind(path: Path) -> Kind | None:
    """Return the type of a file's values by its header; None where it has none."""
    try:
        if _is_eight_bit(path):
            return "eight_bit"
        with opened(path) as image:
            return _kind_of_mode(image.mode) if is_deep(image) else "eight_bit"
    except Exception:  # noqa: BLE001 - a broken file may raise anything in a decoder
        return None


def _values(path: Path, turn: Lock) -> FileValues | None:
    """Return what a file holds; None where it cannot be read, which decoding it will tell."""
    try:
        if _is_eight_bit(path):
            return FileValues("eight_bit", _BYTES)
        with opened(path, turn) as image:
            if not is_deep(image):
                return FileValues("eight_bit", _BYTES)
            if image.format in _FULL_SCALE:
                return FileValues(_kind_of_mode(image.mode), Extremes(0, WHITES[-1]))
            return FileValues(_kind_of_mode(image.mode), usable(np.asarray(image)))
    except Exception:  # noqa: BLE001 - as above
        return None


def _kind_of_mode(mode: str) -> Kind:
    return "floats" if mode == "F" else "integers"


def _is_eight_bit(path: Path) -> bool:
    """Tell whether a file's first bytes say that it has at most 8 bits for each channel."""
    if not path.is_file() or not path.stat().st_size:
        raise OSError("not a file that can be read")
    with path.open("rb") as file:
        head = file.read(_PNG_DEPTH + 1)
    if head.startswith(_PNG):
        return len(head) > _PNG_DEPTH and head[_PNG_DEPTH] <= 8
    return head.startswith(_EIGHT_BIT_STARTS)
