"""No augmentation blanks an image, of whatever size: blank images are counted."""

from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from distill_tune.distill.augmentation import to_uint8
from distill_tune.distill.compute.batches import augmented_batch
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.trial_config import ClassifierTraining
from distill_tune.interfaces import ImageData
from tests.distill.tiny import CPU

SIZES = (8, 14, 32, 64)
OFFERED = get_args(ClassifierTraining.model_fields["augmentation"].annotation)


def kinds_of_images(digits: ImageData, size: int) -> dict[str, Tensor]:
    """Return digits in grey, in black and white and in colour: uint8 ``[n, c, size, size]``."""
    grey = F.interpolate(digits.train.images.float(), (size, size), mode="bilinear")
    ink = grey / 255
    paint, paper = torch.tensor([[30.0, 30.0, 200.0], [250.0, 240.0, 200.0]])[..., None, None]
    return {
        "grey": grey.round().to(torch.uint8),
        "black and white": torch.where(grey > 127, 255, 0).to(torch.uint8),
        "colour": (ink * paint + (1 - ink) * paper).round().to(torch.uint8),
    }


def corner_dots(size: int) -> Tensor:
    """Return 200 black images, each with a single bright pixel in a corner."""
    images = torch.zeros(200, 1, size, size, dtype=torch.uint8)
    images[:100, :, 0, 0] = 255
    images[100:, :, -1, -1] = 255
    return images


def num_blank(images: Tensor) -> int:
    """Count the uint8 images whose pixels are equal within one level, channel by channel."""
    pixels = images.flatten(2).int()
    return int((pixels.amax(2) - pixels.amin(2) <= 1).all(1).sum())


def num_blanked(images: Tensor, digits: ImageData, training: ClassifierTraining) -> int:
    """Count the images that are blank after an augmentation, over some draws."""
    data = DeviceData.place(digits, CPU)
    labels = torch.zeros(len(images), dtype=torch.int64)
    return sum(
        num_blank(to_uint8(augmented_batch(images, labels, data, training, key)[0]))
        for key in ((0, "augmentation", 0, step) for step in range(3))
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("augmentation", OFFERED)
def test_no_augmentation_blanks_an_image(augmentation: str, size: int, digits: ImageData) -> None:
    training = ClassifierTraining.model_validate({"augmentation": augmentation})
    for kind, images in kinds_of_images(digits, size).items():
        assert num_blank(images) == 0
        assert num_blanked(images, digits, training) == 0, kind


@pytest.mark.parametrize("size", SIZES)
def test_affine_keeps_even_a_dot_in_a_corner(size: int, digits: ImageData) -> None:
    training = ClassifierTraining(augmentation="affine")
    assert num_blanked(corner_dots(size), digits, training) == 0


@pytest.mark.parametrize("size", SIZES)
def test_mixed_images_are_not_blank(size: int, digits: ImageData) -> None:
    training = ClassifierTraining(augmentation="affine", cutmix=1.0)
    assert num_blanked(kinds_of_images(digits, size)["grey"], digits, training) == 0
