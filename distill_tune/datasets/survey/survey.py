"""The survey itself: the splits of a data set as a search would draw them, and their images."""

from collections import Counter
from typing import NamedTuple

from distill_tune.datasets.folder import Folder
from distill_tune.datasets.folder_tree.origin import passed_over
from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.image_pool import Pool, Pools
from distill_tune.datasets.images.duplicates import is_of_shared
from distill_tune.datasets.images.image_files import sizes_and_modes
from distill_tune.datasets.images.printable import counted
from distill_tune.datasets.npz_file.headers import MIN_SIDE
from distill_tune.datasets.source import ImageSource
from distill_tune.datasets.survey.copies import Copy, copies
from distill_tune.errors import InputError
from distill_tune.interfaces import Say, ValueRanges, silent

_MOST_OPENED = 20_000
"""Files whose headers are read to learn sizes and modes."""
_SCALED_UP = "a search takes them scaled up, but there is nothing to see in them"


class Survey(NamedTuple):
    """Findings about the images of a data set.

    Attributes:
        name: Display name of the data.
        classes: Names of the classes.
        counts: Split to the number of images of each class.
        sizes: Width and height in pixels to the number of training images that have it.
        modes: Mode of the files, such as ``RGB`` or ``L``, to the number of training images.
        value_ranges: Values that become black and white, over all parts.
        unreadable: Files left out because they could not be read, each ``path: reason``.
        copies: Images that occur more than once.
        warnings: Other warnings, such as images of a single colour.
        error: Why no search could use these images; None if one could.
        train: The training images.
    """

    name: str
    classes: tuple[str, ...]
    counts: dict[Part, list[int]]
    sizes: dict[tuple[int, int], int]
    modes: dict[str, int]
    value_ranges: ValueRanges
    unreadable: tuple[str, ...]
    copies: tuple[Copy, ...]
    warnings: tuple[str, ...]
    error: InputError | None
    train: Pool

    def __repr__(self) -> str:
        parts = ", ".join(f"{sum(counts)} {part}" for part, counts in self.counts.items())
        found = f"unreadable {len(self.unreadable)}, copies {len(self.copies)}, "
        found += f"warnings {len(self.warnings)}"
        refusal = "" if self.error is None else f"; {self.error}"
        return f"<images of {self.name}: {parts}; {len(self.classes)} classes; {found}{refusal}>"


def survey(source: ImageSource, say: Say = silent) -> Survey:
    """Read all images of a data set and return what there is to know about them.

    Test images are read too, to find copies of them among the others.

    Args:
        source: The data set.
        say: Called with what is being done.

    Raises:
        InputError: There are no readable images.
    """
    warnings, read = source.check_parts(), source.read_pools()
    warnings += passed_over(read.train.passed + (read.val.passed if read.val else ()))
    error: InputError | None = None
    try:
        # Copies are listed below, with those of a separate test part.
        warnings += source.load(read).warnings
    except InputError as refused:
        error = refused
        warnings += read.train.warnings
    say("reading the test images")
    pools = _split(source, read, is_drawn=error is None)
    say("reading sizes and modes")
    train = pools["train"]
    files = sizes_and_modes(source.some_files(_MOST_OPENED)) if isinstance(source, Folder) else []
    side, mode = train.images.shape[-1], "L" if train.images.shape[1] == 1 else "RGB"
    seen = files or [((side, side), mode)] * len(train.labels)
    if small := sum(min(size) < MIN_SIDE for size, _ in seen):
        warnings += (f"{counted(small, 'training image')} below {MIN_SIDE} pixels: {_SCALED_UP}",)
    return Survey(
        name=source.name,
        classes=train.classes,
        counts={part: pool.counts() for part, pool in pools.items()},
        sizes=dict(Counter(size for size, _ in seen).most_common()),
        modes=dict(Counter(mode for _, mode in seen).most_common()),
        # Only a test part may have files of a type that no other part has.
        value_ranges=pools.get("test", train).value_ranges,
        unreadable=tuple(dict.fromkeys(line for pool in pools.values() for line in pool.skipped)),
        copies=copies(pools, say),
        # Images in two splits are among the copies.
        warnings=tuple(text for text in warnings if not is_of_shared(text)),
        error=error,
        train=train,
    )


def _split(source: ImageSource, pools: Pools, *, is_drawn: bool) -> dict[Part, Pool]:
    """Return the images of each split that has any; those of a part as a whole if not drawn."""
    found: dict[Part, Pool] = {"train": pools.train}
    if is_drawn:
        pool, draw, _ = source.drawn(pools.train)
        found = {
            "train": pool.take(draw.train),
            "val": pool.take(draw.val),
            "test": pool.take(draw.test),
        }
    if pools.val is not None:
        found["val"] = pools.val
    if "test" in source.parts():
        found["test"] = source.own_part("test", pools.train)
    return {part: pool for part, pool in found.items() if len(pool.labels)}
