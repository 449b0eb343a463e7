"""Made-up images and machines."""

import numpy as np

from distill_tune.datasets.image_pool import Pool, Pools
from distill_tune.tuning.draft.case import Case, Machine, Wish
from distill_tune.tuning.draft.images import ImageFacts

LAPTOP = Machine(cores=2, gpus=0, memory=8 * 10**9)
SERVER = Machine(cores=64, gpus=0, memory=256 * 10**9)
GPUS = Machine(cores=32, gpus=4, memory=256 * 10**9)

NOTHING = Wish()


def pool(*counts: int) -> Pool:
    """Return a pool with this many images of each class, of a single pixel."""
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    classes = tuple(f"class {number}" for number in range(len(counts)))
    return Pool(np.zeros((len(labels), 1, 1, 1), dtype=np.uint8), labels, classes)


def facts(*counts: int, side: int = 32, **others: object) -> ImageFacts:
    """Return the facts about a folder with this many images of each class."""
    fields = {"kind": "folder", "root": "/somewhere/images"}
    known: dict[str, object] = {"fields": fields, "sides": (side, side, side), **others}
    classes = tuple(f"class {number}" for number in range(len(counts)))
    pools = Pools(pool(1, 1), None)
    return ImageFacts(classes=classes, counts=counts, pools=pools, **known)  # type: ignore[arg-type]


def case(
    found: ImageFacts, machine: Machine = LAPTOP, wish: Wish = NOTHING, size: int = 32
) -> Case:
    """Return a case, by default of images of 32 pixels on a laptop."""
    return Case(found, machine, wish, size)
