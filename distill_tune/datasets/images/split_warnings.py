"""Warnings about the images of a draw: weak ones, and those that two splits share."""

from distill_tune.datasets.image_pool import Indices, Pool
from distill_tune.datasets.images.duplicates import digests, shared_images
from distill_tune.datasets.images.near_duplicates import near_copies
from distill_tune.datasets.images.weak_images import weaknesses


def split_warnings(
    train: Pool, val: Pool, test: tuple[Pool, Indices], *, is_redrawn: bool
) -> tuple[str, ...]:
    """Return warnings for the user.

    Args:
        train: The training images.
        val: The validation images.
        test: A pool, and the positions of the drawn test images in it; no split is built from them.
        is_redrawn: Whether the first draw from these images has been searched for near copies.
    """
    shared = {"train": digests(train), "val": digests(val), "test": digests(*test)}
    near = () if is_redrawn else near_copies(train, val, test)
    return weaknesses(train) + shared_images(shared) + near
