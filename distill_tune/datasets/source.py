"""The base class of data sets: fields, splits, colour and digest."""

from functools import partial
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from distill_tune.datasets.folder_tree.origin import origin
from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.image_pool import MAX_SIZE, Pool, Pools
from distill_tune.datasets.images.arrays import Color, num_channels
from distill_tune.datasets.images.split_warnings import split_warnings
from distill_tune.datasets.images.value_range import EIGHT_BIT
from distill_tune.datasets.sealed_split import require_unsealed
from distill_tune.datasets.split_images import digest, split_of
from distill_tune.datasets.splits import Draw, Share, SplitSizes, draw, first_of_each
from distill_tune.datasets.train_part.train_counts import TrainCounts
from distill_tune.datasets.train_part.unlabelled import (
    Unlabelled,
    others_of,
    with_unlabelled,
)
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import Config, ImageData, Split, ValueRanges


class ImageSource(Config):
    """A source of images, and how they are split.

    A kind declares its parts (``parts``) and reads one of them (``read``). A part that the source
    does not have is drawn from its train part.
    """

    kind: str
    """The kind of data set."""
    image_size: int | None = Field(default=None, ge=4, le=MAX_SIZE)
    """Height and width in pixels; null keeps the size of the data."""
    train_per_class: TrainCounts = None
    """Training images per class (the low-data regime); null uses all. A number for all classes, a
    mapping from each class to its number, or a long tail such as
    ``{head: 100, tail: 10, shape: exponential}``: from 100 images of the class with most images
    down to 10 of that with fewest; shape ``exponential`` or ``linear``."""
    unlabelled: Unlabelled | None = None
    """Images without labels, which the GAN and ``pseudo_labels`` learn from. ``rest``: what is left
    of the training part; or a folder of images, or ``file.npz:name``, an array in a file. Images
    equal to a validation or test image are left out. null: none."""
    val_per_class: int | None = Field(default=None, ge=1)
    """Validation images per class; null leaves it to the source or to val_fraction."""
    val_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of each class drawn for validation if the source has no validation part."""
    test_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share of each class drawn for testing if the source has no test part."""
    seed: int = Field(default=0, ge=0)
    """Seed of the draw; the same seed gives the same splits everywhere."""
    subset_seed: int | None = Field(default=None, ge=0)
    """Seed of the draw of training and validation images outside the test split; null: ``seed``,
    which always draws the test split. A confirmation sets it for each of its seeds."""
    color: Color = "auto"
    """One channel or three; auto is grey if no image of the train part has colour."""
    flip: bool
    """Whether a mirrored image keeps its meaning (not for digits)."""

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.val_fraction + self.test_fraction >= 1:
            most = f"less than {1 - self.test_fraction:g}"
            expected = f"{most}: test_fraction is {self.test_fraction:g}, and train is the rest"
            raise ValueError(InputError("val_fraction", got=self.val_fraction, expected=expected))
        return self

    @property
    def name(self) -> str:
        """The display name of the data."""
        return self.kind

    def parts(self) -> frozenset[Part]:
        """Return the parts that the source provides, at least ``train``; opens no image."""
        raise NotImplementedError

    def places(self) -> dict[Part, str]:
        """Return the origin of each of ``parts`` in words; empty if it is all of the data."""
        return {part: f"its {part} part" if len(self.parts()) > 1 else "" for part in self.parts()}

    def read(self, part: Part, ranges: ValueRanges | None = None) -> Pool:
        """Return all images of one part without opening those of the others.

        ``ranges`` are the values that become 0 and 255; None: those of ``value_ranges``.

        Raises:
            InputError: The part is missing or unusable.
        """
        raise NotImplementedError

    def value_ranges(self) -> ValueRanges:
        """Return the values that become 0 and 255 in the images of every part.

        Raises:
            InputError: The range is ambiguous.
        """
        return EIGHT_BIT

    def check_parts(self) -> tuple[str, ...]:
        """Check every part, including test, as far as possible without reading images.

        Returns:
            Warnings for the user.

        Raises:
            InputError: A part would turn out to be unusable later.
        """
        return ()

    def redrawn(self, seed: int) -> Self:
        """Return the source with new training and validation draws and the same test split.

        Args:
            seed: Above 0, because 0 gives the current draw.
        """
        return self.model_copy(update={"subset_seed": self._subset_seed + seed})

    def read_pools(self, ranges: ValueRanges | None = None) -> Pools:
        """Return the pools that :meth:`load` draws from; a separate test part is not read.

        ``ranges`` are as in :meth:`read`.

        Raises:
            InputError: As ``load``.
        """
        train, parts = self._train_pool(ranges), self.parts()
        pools = Pools(train, self.own_part("val", train) if "val" in parts else None)
        read_test = partial(self.own_part, "test", train) if "test" in parts else None
        return with_unlabelled(pools, self.unlabelled, read_test)

    def load(self, pools: Pools | None = None) -> ImageData:
        """Return the training and validation images.

        A separate test part is not decoded, and a drawn test split is not built. Images that splits
        share are reported in ``warnings``, found by their digests.

        Args:
            pools: Result of :meth:`read_pools`, to draw again; None: check and read the source.

        Raises:
            InputError: The source is missing, damaged, or too small for the splits.
        """
        is_redrawn = pools is not None
        warnings = () if is_redrawn else self.check_parts()
        pools = pools or self.read_pools()
        drawn = self.drawn(pools.train)
        val = drawn.pool.take(drawn.draw.val)
        if pools.val is not None:
            chosen = first_of_each(pools.val, self.val_per_class, seed=self._subset_seed)
            val = pools.val.take(chosen)
        train = drawn.pool.take(drawn.draw.train)
        splits = split_of(train, drawn.channels), split_of(val, drawn.channels)
        others = others_of(self.unlabelled, pools, drawn.draw, splits[1], drawn.channels)
        return ImageData(
            name=self.name,
            classes=drawn.pool.classes,
            train=splits[0],
            val=splits[1],
            flip=self.flip,
            skipped=tuple(dict.fromkeys(drawn.pool.skipped + val.skipped)),
            digest=digest(drawn.pool.classes, *splits, unlabelled=others.images),
            value_ranges=pools.train.value_ranges,
            unlabelled=others.images,
            warnings=tuple(dict.fromkeys((*warnings, *train.warnings, *val.warnings)))
            + split_warnings(train, val, (drawn.pool, drawn.draw.test), is_redrawn=is_redrawn)
            + others.warnings,
            origin=origin(
                self.places(),
                (*drawn.pool.passed, *(pools.val.passed if pools.val else ())),
                has_test=self.test_fraction > 0,
            ),
        )

    def require_test(self) -> None:
        """Raise InputError if there are no test images; opens none."""
        if "test" not in self.parts() and not self.test_fraction:
            raise InputError(
                "data.test_fraction",
                got=self.test_fraction,
                expected="more than 0, because this source has no test part of its own",
            )

    def load_test(self, ranges: ValueRanges | None = None) -> Split:
        """Return the test images, which nothing else reads; for use at the end, after the search.

        ``ranges`` are as in :meth:`read`.

        Raises:
            SealedTestError: Called outside ``unsealed``.
            InputError: As ``load``; or there is no test part and ``test_fraction`` is 0.
        """
        require_unsealed(self.name)
        self.require_test()
        drawn = self.drawn(self._train_pool(ranges))
        test = drawn.pool.take(drawn.draw.test)
        if "test" in self.parts():
            test = self.own_part("test", drawn.pool)
        return split_of(test, drawn.channels)

    @property
    def _where(self) -> str:
        return "data.root" if "root" in type(self).model_fields else "data.kind"

    @property
    def _subset_seed(self) -> int:
        return self.seed if self.subset_seed is None else self.subset_seed

    def _train_pool(self, ranges: ValueRanges | None = None) -> Pool:
        pool = self.read("train", ranges)
        pool.require_trainable(self._where)
        return pool

    def drawn(self, pool: Pool) -> "Drawn":
        """Return the draw from the train part; InputError if a class has too few images."""
        parts = self.parts()
        sizes = SplitSizes(
            test=Share() if "test" in parts else Share(self.test_fraction),
            val=Share() if "val" in parts else Share(self.val_fraction, self.val_per_class),
            train_per_class=self.train_per_class,
        )
        seeds = {"seed": self.seed, "subset_seed": self._subset_seed}
        chosen = draw(pool, sizes, where=self._where, **seeds)
        # Independent of train_per_class, which must not change validation images.
        return Drawn(pool, chosen, num_channels(pool.images, self.color, chosen.test))

    def own_part(self, part: Part, train: Pool) -> Pool:
        """Return a part of the source, in the classes and the size of the train part."""
        pool = self.read(part, train.value_ranges)
        pool.require_images(part, self._where)
        size, train_size = pool.images.shape[-1], train.images.shape[-1]
        if size != train_size:
            raise InputError(
                "data.image_size",
                got=Text(f"{part} images of {size} pixels, train images of {train_size}"),
                expected="a number of pixels, because the parts differ in size",
            )
        return pool.labelled_as(train.classes, part=part, where=self._where)


class Drawn(NamedTuple):
    """The train part, the draw from it, and the number of channels chosen on it."""

    pool: Pool
    draw: Draw
    channels: int
