"""Value types and extremes of image files, before scaling."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, Literal, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from distill_tune.datasets.images.eight_bits import is_deep
from distill_tune.datasets.images.image_files import num_workers, opened
from distill_tune.datasets.images.png_chunks import SIGNATURE
from distill_tune.datasets.images.value_range import (
    KINDS,
    PER_FILE,
    WHITES,
    Extremes,
    Kind,
    found_ranges,
    usable,
)
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import ValueRanges

_PNG_DEPTH = 24
"""Offset of the number of bits per channel in a PNG file."""
_EIGHT_BIT_STARTS = (b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")
_FULL_SCALE = frozenset({"PPM"})
"""Formats whose decoder scales more than 8 bits to 0..65535 by the white in the header; floats
(PFM) are left unchanged."""
_BYTES = Extremes(0, 255)
"""Extremes of 8-bit files, known from their type."""
_MUCH_APART = 0.5
"""Least difference between the shares of deep files in two classes that is reported."""


CUT: Final = "cut"
Depth = Kind | Literal["cut"]
"""Value type of a file; cut: 16-bit colours, of which only 8 bits are read."""
_DISTINGUISHED: Final[tuple[tuple[frozenset[Depth], str], ...]] = (
    (frozenset({"integers", "floats", "cut"}), "have more than 8 bits for each channel"),
    (frozenset({"floats"}), "are floating-point numbers"),
)
_TIFF_BITS = 258

T = TypeVar("T")


class FileValues(NamedTuple):
    """The values of one file.

    Attributes:
        kind: Their type.
        extremes: Extremes of the values, 0..255 for 8 bits; None if no range is recognised.
    """

    kind: Kind
    extremes: Extremes | None = None


def file_ranges(parts: Mapping[str, Sequence[Path]], sealed: str = "test") -> ValueRanges:
    """Return the value ranges of the image files of all parts together.

    Only the first bytes of an 8-bit file are read. Of a deeper file, only the least and the
    greatest value are kept. The test part is skipped unless other parts have deeper files, whose
    scale it then shares.

    Args:
        parts: Display name and files of each part.
        sealed: The part that is skipped.

    Raises:
        InputError: The range of the values is ambiguous.
    """
    kinds: dict[Kind, dict[str, Extremes]] = {"eight_bit": {}, "integers": {}, "floats": {}}
    for name in sorted(parts, key=lambda name: name == sealed):
        if name == sealed and len(parts) > 1 and not (kinds["integers"] or kinds["floats"]):
            continue
        for kind, extremes in _extremes(parts[name]).items():
            kinds[kind][name] = extremes
    return found_ranges(kinds)


def _extremes(paths: Sequence[Path]) -> dict[Kind, Extremes]:
    """Return the common extremes of files, for each value type among them."""
    found: dict[Kind, Extremes] = {}
    for one in _in_threads(partial(_values, turn=Lock()), paths):
        if one is not None and one.extremes is not None:
            known = found.get(one.kind)
            found[one.kind] = known.merged(one.extremes) if known else one.extremes
    return found


def completed(ranges: ValueRanges, name: str, paths: Sequence[Path]) -> ValueRanges:
    """Return ranges completed by the value types that only the files of one part have."""
    if ranges == PER_FILE or (ranges.integers and ranges.floats):
        return ranges
    own = file_ranges({name: paths})
    missing = [kind for kind in KINDS if getattr(ranges, kind) is None]
    return ranges.model_copy(update={kind: getattr(own, kind) for kind in missing})


def require_scale(paths: Sequence[Path], depths: Sequence[Depth], name: str) -> None:
    """Check the range of a part that was skipped, so that its faults are reported now.

    Args:
        paths: Its files.
        depths: Their depths; nothing is done if all have 8 bits.
        name: Display name of the part.

    Raises:
        InputError: The range of the values is ambiguous or not recognised.
    """
    if not {"integers", "floats"} & set(depths):
        return
    found = _extremes(paths)
    if not found:
        raise InputError(
            "data.value_range",
            got=Text(f"{len(depths)} files in {name}, none of them with values from 0 to 65535"),
            expected="[LOW, HIGH], the values of black and white",
        )
    found_ranges({kind: {name: extremes} for kind, extremes in found.items()})


def depth_warnings(
    of_class: Mapping[str, Sequence[Depth]], of_part: Mapping[str, Sequence[Depth]]
) -> tuple[str, ...]:
    """Return warnings about classes or parts whose files differ in depth.

    Args:
        of_class: Depths of the files of each class of the training images, by class name.
        of_part: Depths of the files of each part, by part name.
    """
    named = {repr(name): depths for name, depths in of_class.items()}
    differences = [
        *_apart(named, "class ", "a classifier can learn the depth instead of the picture"),
        *_apart(of_part, "", "the parts may differ in more than their content"),
    ]
    num_cut = sum(list(depths).count(CUT) for depths in of_part.values())
    if num_cut:
        differences.append(
            f"{num_cut} files with 16 bits for each of several colours: only the upper 8 bits are "
            "read, and data.value_range does not apply to them"
        )
    return tuple(differences)


def depths_of(paths: Sequence[Path]) -> list[Depth]:
    """Return the depths of files from their headers, without files that have none."""
    return [depth for depth in _in_threads(_depth, paths) if depth is not None]


def _apart(depths: Mapping[str, Sequence[Depth]], noun: str, why: str) -> Iterator[str]:
    for kinds, words in _DISTINGUISHED:
        shares = {
            name: sum(depth in kinds for depth in own) / len(own)
            for name, own in depths.items()
            if own
        }
        if not shares or max(shares.values()) - min(shares.values()) < _MUCH_APART:
            continue
        most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
        yield (
            f"{shares[most]:.0%} of the files of {noun}{most} {words}, {shares[least]:.0%} of "
            f"those of {noun}{least}: {why}"
        )


def _in_threads(work: Callable[[Path], T], paths: Iterable[Path]) -> list[T]:
    with warnings.catch_warnings(), ThreadPoolExecutor(num_workers()) as workers:
        warnings.simplefilter("ignore")  # Broken files; reading them reports it.
        return list(workers.map(work, paths))


def _depth(path: Path) -> Depth | None:
    """Return the value type of a file from its header; None if there is none."""
    try:
        if _is_eight_bit(path):
            return "eight_bit"
        with opened(path) as image:
            if is_deep(image):
                return _kind_of_mode(image.mode)
            return CUT if _has_deep_colours(image) else "eight_bit"
    except Exception:  # noqa: BLE001 - a broken file may raise anything in a decoder
        return None


def _has_deep_colours(image: Image.Image) -> bool:
    """Return whether an image that is read as 8-bit colours has more bits."""
    if image.format == "PNG":
        return True  # Otherwise its first bytes would have said 8 bits.
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, ())
    return max(bits if isinstance(bits, tuple) else (bits,), default=0) > 8


def _values(path: Path, turn: Lock) -> FileValues | None:
    """Return the values of a file; None if it cannot be read, which decoding reports."""
    try:
        if _is_eight_bit(path):
            return FileValues("eight_bit", _BYTES)
        with opened(path, turn) as image:
            if not is_deep(image):
                return FileValues("eight_bit", _BYTES)
            if image.format in _FULL_SCALE and image.mode != "F":
                return FileValues(_kind_of_mode(image.mode), Extremes(0, WHITES[-1]))
            return FileValues(_kind_of_mode(image.mode), usable(np.asarray(image)))
    except Exception:  # noqa: BLE001 - as above
        return None


def _kind_of_mode(mode: str) -> Kind:
    return "floats" if mode == "F" else "integers"


def _is_eight_bit(path: Path) -> bool:
    """Return whether a file has at most 8 bits per channel according to its first bytes."""
    if not path.is_file() or not path.stat().st_size:
        raise OSError("not a file that can be read")
    with path.open("rb") as file:
        head = file.read(_PNG_DEPTH + 1)
    if head.startswith(SIGNATURE):
        return len(head) > _PNG_DEPTH and head[_PNG_DEPTH] <= 8
    return head.startswith(_EIGHT_BIT_STARTS)
