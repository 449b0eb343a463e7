"""Images beside masks, labels or annotations of them, found by names and colours."""

import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from PIL import Image

from distill_tune.datasets.folder_tree.listing import files_below, files_in
from distill_tune.datasets.folder_tree.part_names import (
    are_numbered,
    is_named_for_descriptions,
    is_named_for_images,
)
from distill_tune.datasets.images.image_files import is_image

_ALIKE = 0.9
"""Least share of equal file names at which folders hold pairs."""
_FEW_COLORS = 16
"""Largest number of colours of a mask; a photograph has more."""
_SUFFIX = re.compile(r"[-_. ]+(mask|seg|segmentation|gt|label|annotation)s?$", re.IGNORECASE)
_PREFIX = re.compile(r"^(mask|seg|segmentation|gt|label|annotation|image|img|photo)s?[-_. ]+")
_SIDE = re.compile(r"[-_. ]+l$")
"""Ending of the names of label images, as in CamVid: ``0016E5_07959_L``."""
_NUM_INSPECTED = 3


def masks_beside_images(folders: Sequence[Path]) -> list[Path]:
    """Return a folder named for images and one named for descriptions that holds masks."""
    named = [path for path in folders if is_named_for_images(path.name)]
    for images in named:
        for other in folders:
            is_other = other not in named and is_named_for_descriptions(other.name)
            if is_other and _holds_masks(other) and not _holds_masks(images):
                return [images, other]
    return []


def described(folders: Sequence[Path]) -> list[Path]:
    """Return a folder of images and one of descriptions whose files have equal names."""
    describing = [path for path in folders if is_named_for_descriptions(path.name)]
    for images in (path for path in folders if path not in describing):
        for other in describing:
            if is_named_for_images(images.name):
                is_pair = _share(_stems(images), _stems(other)) >= 0.5
            else:
                share = _share(_bare_stems(images), _bare_stems(other))
                is_pair = share >= _ALIKE and _holds_masks(other)
            if is_pair:
                return [images, other]
    return []


def paired(folders: Sequence[Path]) -> list[Path]:
    """Return all folders if their files have equal names that are more than numbers."""
    first = _stems(folders[0])
    if len(first) < 4 or are_numbered(first):
        return []  # Such as img_1, img_2: other classes may number their images likewise.
    is_same = all(_share(first, _stems(path)) >= _ALIKE for path in folders[1:])
    return list(folders) if is_same else []


def _stems(folder: Path) -> set[str]:
    return {_SUFFIX.sub("", path.stem.casefold()) for path in files_in(folder)}


def _bare_stems(folder: Path) -> set[str]:
    """Return file names without words for their role: ``image_0`` and ``mask_0`` become ``0``."""
    return {_PREFIX.sub("", _SIDE.sub("", stem)) for stem in _stems(folder)}


def _share(one: set[str], other: set[str]) -> float:
    """Return the share of equal names in the larger of two sets."""
    return len(one & other) / max(len(one), len(other), 1)


def _holds_masks(folder: Path) -> bool:
    """Return whether the first images below a folder have few colours each, as masks do."""
    few: list[bool] = []
    for path in islice((path for path in files_below(folder) if is_image(path)), _NUM_INSPECTED):
        with suppress(Exception), Image.open(path) as image:
            few.append(image.size > (3, 3) and image.getcolors(_FEW_COLORS) is not None)
    return bool(few) and all(few)
