"""A study's images among processes: the same bits, and no copies of them."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.interfaces import ImageData


def same(one: ImageData, other: ImageData) -> bool:
    splits = zip((*one.train, *one.val), (*other.train, *other.val), strict=True)
    names = ("name", "classes", "flip", "skipped", "digest", "warnings")
    return all(torch.equal(*pair) for pair in splits) and all(
        getattr(one, name) == getattr(other, name) for name in names
    )


def test_what_is_placed_comes_back_equal(digits: ImageData) -> None:
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(PlacedImages.of(digits), protocol=5, buffer_callback=buffers.append)
    placed: PlacedImages = pickle.loads(content, buffers=buffers)  # noqa: S301 - our own
    assert same(placed.images(), digits)
    pixels = digits.train.images.numel() + digits.val.images.numel()
    # The pixels are not in the pickle: they stay where they lie.
    assert len(content) < 5000 < pixels


@pytest.mark.usefixtures("our_ray")
def test_workers_read_the_images_where_they_lie(digits: ImageData) -> None:
    import ray

    def look(placed: PlacedImages) -> tuple[bool, bool, Any]:
        images = placed.images()
        array = placed.train[0]
        assert isinstance(array, np.ndarray)
        writable = array.flags.writeable
        is_same_memory = images.train.images.data_ptr() == array.ctypes.data
        return writable, is_same_memory, images

    looking = ray.remote(num_cpus=1)(look)
    writable, is_same_memory, images = ray.get(looking.remote(ray.put(PlacedImages.of(digits))))
    assert not writable
    assert is_same_memory
    assert same(images, digits)
