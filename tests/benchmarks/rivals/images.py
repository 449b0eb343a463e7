"""Pictures in PIL, transforms of torchvision, batches of a ``DataLoader``."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchvision import transforms
from torchvision.transforms.functional import to_pil_image

from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData, Split

Batches = Iterable[tuple[Tensor, Tensor]]

# Of so small a data set a worker process costs more than it loads.
_NUM_WORKERS = 0


class Pictures(Dataset[tuple[Tensor, int]]):
    """A split as PIL images, transformed one by one as they are asked for."""

    def __init__(self, split: Split, transform: transforms.Compose) -> None:
        self.pictures = [to_pil_image(image) for image in split.images]
        self.labels = [int(label) for label in split.labels]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


class Loaders(NamedTuple):
    """What a trial reads.

    Attributes:
        train: Augmented and shuffled, an epoch of full batches.
        scored: Augmented, every training image once, in order.
        plain: Every training image once as it is, in order.
        val: The validation images as they are.
    """

    train: Batches
    scored: Batches
    plain: Batches
    val: Batches


def make_loaders(config: TrialConfig, images: ImageData) -> Loaders:
    """Return the loaders of a trial's classifier."""
    augmented = Pictures(images.train, _augmenting(config, images))
    plain = Pictures(images.train, _plain(images))
    size = min(config.classifier.batch_size, len(plain))
    return Loaders(
        DataLoader(augmented, size, shuffle=True, drop_last=True, num_workers=_NUM_WORKERS),
        DataLoader(augmented, batch_size=250, num_workers=_NUM_WORKERS),
        DataLoader(plain, batch_size=250, num_workers=_NUM_WORKERS),
        DataLoader(Pictures(images.val, _plain(images)), batch_size=250, num_workers=_NUM_WORKERS),
    )


def gan_batches(config: TrialConfig, images: ImageData, num_batches: int) -> Batches:
    """Return real batches for the discriminator, every class as likely as any other."""
    pictures = Pictures(images.train, _plain(images, flips=images.flip))
    counts = torch.bincount(images.train.labels)
    weights = (1 / counts[images.train.labels]).tolist()
    size = config.gan.batch_size
    sampler = WeightedRandomSampler(weights, num_samples=num_batches * size)
    return DataLoader(pictures, size, sampler=sampler, num_workers=_NUM_WORKERS)


def augment(batch: Tensor, config: TrialConfig, *, flip: bool) -> Tensor:
    """Return synthetic images ``[n, c, s, s]`` changed one by one as the real ones are."""
    change = transforms.Compose(_changes(config, batch.shape[-1], flip=flip))
    return torch.stack([change(image) for image in batch])


def _changes(config: TrialConfig, size: int, *, flip: bool) -> list[object]:
    shift = round(config.classifier.shift * size)
    crop = transforms.RandomCrop(size, padding=shift, padding_mode="edge")
    return [crop, *([transforms.RandomHorizontalFlip()] if flip else [])]


def _augmenting(config: TrialConfig, images: ImageData) -> transforms.Compose:
    changes = _changes(config, images.image_size, flip=images.flip)
    return transforms.Compose([*changes, *_to_tensor(images)])


def _plain(images: ImageData, *, flips: bool = False) -> transforms.Compose:
    flip = [transforms.RandomHorizontalFlip()] if flips else []
    return transforms.Compose([*flip, *_to_tensor(images)])


def _to_tensor(images: ImageData) -> list[object]:
    half = [0.5] * images.channels
    return [transforms.ToTensor(), transforms.Normalize(half, half)]
