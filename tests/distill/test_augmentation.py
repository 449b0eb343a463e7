"""Augmentation: what it may change and what it must leave, on real digits."""

import math

import pytest
import torch
from torch import Tensor

from distill_tune.distill.augmentation import (
    GanAugmentation,
    affine,
    classifier_augmentation,
    shift,
    to_float,
    to_uint8,
    without_blanks,
)
from distill_tune.distill.compute.random_streams import stream
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


def blob(size: int, row: float, column: float) -> Tensor:
    """Return a round bright spot at (row, column), in shares of the side: ``[1, 1, s, s]``."""
    centres = (torch.arange(size) + 0.5) / size
    square = (centres[:, None] - row) ** 2 + (centres - column) ** 2
    return 2 * torch.exp(-square / (2 * 0.1**2))[None, None] - 1


def centre(images: Tensor) -> Tensor:
    """Return where the light is, in shares of the side: ``[n, 2]``, row and column."""
    light = (images[:, 0] + 1) / (images[:, 0] + 1).sum((1, 2), keepdim=True)
    centres = (torch.arange(images.shape[-1]) + 0.5) / images.shape[-1]
    return torch.stack([(light.sum(2) * centres).sum(1), (light.sum(1) * centres).sum(1)], dim=1)


@pytest.mark.parametrize("size", [8, 14, 32, 64])
def test_affine_moves_by_shares_of_the_side(size: int) -> None:
    # Turn, scale and shear leave the middle where it is.
    middle = centre(affine(blob(size, 0.5, 0.5).expand(2000, -1, -1, -1), 0.125, draw())) - 0.5
    assert middle.abs().max().item() == pytest.approx(0.125, rel=0.05)
    assert middle.std(0).tolist() == pytest.approx([0.125 / 3**0.5] * 2, rel=0.05)
    still = affine(blob(size, 0.5, 0.5).expand(200, -1, -1, -1), 0.0, draw())
    assert (centre(still) - 0.5).abs().max().item() < 0.01


@pytest.mark.parametrize("size", [14, 32, 64])
def test_affine_turns_scales_and_shears_by_what_it_says(size: int) -> None:
    right = centre(affine(blob(size, 0.5, 0.7).expand(2000, -1, -1, -1), 0.0, draw())) - 0.5
    angles = torch.atan2(right[:, 0], right[:, 1]) * 180 / math.pi
    assert angles.abs().max().item() == pytest.approx(15, abs=2)
    lengths = right.norm(dim=1) / 0.2
    assert [lengths.min().item(), lengths.max().item()] == pytest.approx([0.85, 1.15], abs=0.04)
    # Shear moves what is above and below the middle, so there angles reach further.
    below = centre(affine(blob(size, 0.7, 0.5).expand(2000, -1, -1, -1), 0.0, draw())) - 0.5
    angles = torch.atan2(below[:, 1], below[:, 0]) * 180 / math.pi
    assert 20 < angles.abs().max().item() < 27


def test_affine_without_any_change_is_the_image_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_TURN", "_SCALE", "_SHEAR"):
        monkeypatch.setattr(f"distill_tune.distill.augmentation.{name}", 0.0)
    images = torch.rand(8, 3, 14, 14) * 2 - 1
    assert torch.allclose(affine(images, 0.0, draw()), images, atol=1e-5)


def test_affine_leaves_small_images_sharp(digits: ImageData) -> None:
    images = to_float(digits.train.images)
    changed = affine(images, 0.125, draw())
    steps = [one.diff(dim=3).square().mean().item() for one in (images, changed)]
    assert steps[1] > 0.65 * steps[0]  # Bilinearly it would be about half.


@pytest.mark.parametrize("channels", [1, 3])
def test_affine_changes_all_channels_alike_and_each_image_on_its_own(channels: int) -> None:
    one = (torch.rand(1, 1, 16, 16) * 2 - 1).expand(50, channels, -1, -1)
    changed = affine(one, 0.125, draw())
    assert changed.shape == one.shape
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    assert len(changed.flatten(1).unique(dim=0)) == 50


def test_affine_repeats_borders(digits: ImageData) -> None:
    images = torch.full((500, 3, 16, 16), 0.25)
    assert torch.allclose(affine(images, 0.5, draw()), images)
    inked = to_float(digits.train.images)
    changed = affine(inked, 0.5, draw())
    assert changed.min() >= inked.min()
    assert changed.max() <= 1


def test_the_same_generator_gives_the_same_affine_change_and_global_state_is_left() -> None:
    images, state = torch.rand(8, 3, 8, 8), torch.get_rng_state()
    assert torch.equal(affine(images, 0.1, draw(1)), affine(images, 0.1, draw(1)))
    assert not torch.equal(affine(images, 0.1, draw(1)), affine(images, 0.1, draw(2)))
    assert torch.equal(state, torch.get_rng_state())


def test_a_blank_image_is_replaced_by_its_original_and_no_other_is() -> None:
    images = torch.rand(4, 3, 8, 8) * 2 - 1
    changed = torch.rand(4, 3, 8, 8) * 2 - 1
    changed[1] = torch.tensor([-1.0, 0.0, 1.0])[:, None, None]
    changed[2] = -1.0
    changed[2, 1, 3, 3] += 1 / 127.5
    changed[3] = -1.0
    changed[3, 1, 3, 3] += 2 / 127.5
    kept = without_blanks(changed, images)
    from_images = [bool(torch.equal(one, before)) for one, before in zip(kept, images, strict=True)]
    assert from_images == [False, True, True, False]
    assert torch.equal(kept[[0, 3]], changed[[0, 3]])


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
