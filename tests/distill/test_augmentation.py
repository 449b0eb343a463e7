"""Augmentation: what it may change and what it must leave, on real digits."""

import pytest
import torch
from torch import Tensor

from distill_tune.distill.augmentation import (
    GanAugmentation,
    classifier_augmentation,
    shift,
    to_float,
    to_uint8,
)
from distill_tune.distill.streams import stream
from distill_tune.interfaces import ImageData


def draw(number: int = 0) -> torch.Generator:
    return stream(0, "augmentation", number)


def moved(image: Tensor, down: int, right: int) -> Tensor:
    """Return an image ``[c, h, w]`` whose pixel (y, x) is that of (y + down, x + right)."""
    size = image.shape[-1]
    rows = [min(max(y + down, 0), size - 1) for y in range(size)]
    columns = [min(max(x + right, 0), size - 1) for x in range(size)]
    return image[:, rows][:, :, columns]


def test_every_byte_survives_the_way_to_float_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    as_float = to_float(every)
    assert (as_float.min().item(), as_float.max().item()) == (-1, 1)
    assert torch.equal(to_uint8(as_float), every)
    assert to_uint8(torch.tensor([-7.0, 7.0])).tolist() == [0, 255]


def test_each_image_moves_by_its_own_whole_pixels_and_borders_repeat(digits: ImageData) -> None:
    images = to_float(digits.train.images)
    changed = shift(images, 0.125, draw())
    moves = set()
    for before, after in zip(images, changed, strict=True):
        fitting = [
            (down, right)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if torch.equal(after, moved(before, down, right))
        ]
        assert fitting
        moves.add(fitting[0])
    assert len(moves) == 9


def test_a_shift_of_less_than_half_a_pixel_is_none(digits: ImageData) -> None:
    images = to_float(digits.train.images)
    assert shift(images, 0.05, draw()) is images


def test_data_that_must_not_be_mirrored_are_not(digits: ImageData) -> None:
    images = to_float(digits.train.images)
    same = classifier_augmentation(images, max_shift=0.0, flip=False, generator=draw())
    assert torch.equal(same, images)


def test_about_half_of_the_images_are_mirrored_where_that_is_allowed(digits: ImageData) -> None:
    images = to_float(digits.train.images)
    changed = classifier_augmentation(images, max_shift=0.0, flip=True, generator=draw())
    is_same = (changed == images).flatten(1).all(1)
    is_mirrored = (changed == images.flip(3)).flatten(1).all(1)
    assert bool((is_same | is_mirrored).all())
    assert 0.35 < is_mirrored.float().mean().item() < 0.65


def test_the_square_that_is_cut_out_is_grey_and_of_the_size_asked() -> None:
    images = torch.ones(200, 1, 16, 16)
    changed = GanAugmentation(shift=0.0, cutout=0.5, color=True)(images, draw())
    cut = (changed == 0).flatten(1).sum(1)
    assert cut.max().item() == 64
    assert 0 < cut.min().item() < 64
    assert bool(((changed == 0) | (changed == 1)).all())


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_change_in_colour_images_only(channels: int) -> None:
    images = torch.rand(8, channels, 8, 8) * 2 - 1
    changed = GanAugmentation(shift=0.0, cutout=0.0, color=True)(images, draw())
    assert torch.equal(changed, images) == (channels == 1)
    unchanged = GanAugmentation(shift=0.0, cutout=0.0, color=False)(images, draw())
    assert torch.equal(unchanged, images)


def test_the_gan_augmentation_is_differentiable_everywhere_but_in_the_hole() -> None:
    images = (torch.rand(6, 3, 12, 12) * 2 - 1).requires_grad_()
    changed = GanAugmentation(shift=1 / 6, cutout=0.4, color=True)(images, draw())
    changed.square().sum().backward()
    assert images.grad is not None
    assert bool(torch.isfinite(images.grad).all())
    assert bool((images.grad.flatten(1) != 0).any(1).all())


def test_the_same_generator_gives_the_same_change() -> None:
    images = torch.rand(8, 3, 8, 8)
    augment = GanAugmentation(shift=0.25, cutout=0.5, color=True)
    assert torch.equal(augment(images, draw(1)), augment(images, draw(1)))
    assert not torch.equal(augment(images, draw(1)), augment(images, draw(2)))
