"""The joint loop against a plain one: DataLoader, torchvision's transforms, losses read at once."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from distill_tune.interfaces import Split
from tests.benchmarks.joint_parts import (
    RATIO,
    Bench,
    Shapes,
    average_part,
    classifier_part,
    discriminator_part,
    generator_part,
    shapes,
)
from tests.benchmarks.results import Result, paired, spread


class Transformed(Dataset[tuple[Tensor, int]]):
    """Images of a split, transformed one at a time."""

    def __init__(self, split: Split, share: float) -> None:
        self.images, self.labels = split.images.cpu(), split.labels.tolist()
        self.transform = v2.Compose(
            [
                v2.RandomAffine(degrees=0, translate=(share, share)),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.5] * self.images.shape[1], [0.5] * self.images.shape[1]),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


class PlainLoop:
    """The same networks and sizes in a loop as it is usually written."""

    def __init__(self, bench: Bench) -> None:
        self.bench, config = bench, bench.trial.config
        self.ready = shapes(bench.trial)
        self.move = v2.RandomAffine(degrees=0, translate=(config.classifier.shift,) * 2)
        self.synthetic_images = self.ready.synthetic[0]
        dataset = Transformed(bench.trial.data.train, config.classifier.shift)
        sizes = (config.classifier.batch_size, config.gan.batch_size)
        self.real, self.gan = (
            DataLoader(dataset, size, shuffle=True, drop_last=True) for size in sizes
        )

    def epoch(self) -> None:
        trial, device = self.bench.trial, self.bench.device
        of_gan = self._endless(self.gan)
        count = trial.config.gan.num_discriminator_steps(is_gpu=device.type == "cuda")
        for real in self.real:
            images, labels = (tensor.to(device) for tensor in real)
            for _ in range(count):
                ready = self._ready(next(of_gan))
                with torch.no_grad():
                    fake = trial.state.gan.generator(ready.z, ready.gan[1], 1.0)
                discriminator_part(trial, ready, fake)
            generator_part(trial, ready)
            trial.state.gan.ema.update_parameters(trial.state.gan.generator)
            average_part(trial, ready)
            synthetic = torch.stack([self.move(image) for image in self.synthetic_images])
            shown = ready._replace(
                real=(images, labels), synthetic=(synthetic, self.ready.synthetic[1])
            )
            classifier_part(trial, shown).item()

    def _ready(self, batch: tuple[Tensor, Tensor]) -> Shapes:
        images, labels = (tensor.to(self.bench.device) for tensor in batch)
        return self.ready._replace(gan=(images, labels), z=torch.randn_like(self.ready.z))

    @staticmethod
    def _endless(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader


def compare(bench: Bench, runs: int) -> Result:
    """Return images per second of the trial's loop over those of the plain one.

    On a GPU the trial's is compiled and autocast to bfloat16; on a CPU both are float32.
    """
    is_gpu = bench.device.type == "cuda"
    ours = Bench(bench.device, precision="bfloat16", compile=True) if is_gpu else bench
    plain = PlainLoop(bench)
    bench.train_mode()
    images = (1 + RATIO) * bench.trial.config.classifier.batch_size

    def theirs() -> float:
        return images * bench.num_steps / bench.seconds(plain.epoch)

    def own() -> float:
        return images / ours.step()

    own(), theirs()
    pairs = paired(own, theirs, runs)
    return Result(
        "joint-step/dataloader",
        "images/s of a joint epoch / of a plain loop with DataLoader and torchvision's transforms",
        [one / other for one, other in pairs],
        4 if is_gpu else 1,
        "at least",
        {
            "ours, images/s": spread([one for one, _ in pairs], 1),
            "plain loop, images/s": spread([other for _, other in pairs], 1),
        },
        notes=[
            "Real and synthetic images of the classifier are counted. Same networks, optimisers "
            "and batch sizes; the plain loop is eager float32, augments images one at a time, "
            "averages the generator by torch's AveragedModel, reads its loss at every step, and "
            "goes without pairing and without the GAN's augmentation. "
            + (
                "Ours is compiled and autocast to bfloat16."
                if is_gpu
                else "On a CPU the networks are nearly all of both: no claim is made there, and "
                "the floor is 1."
            )
        ],
    )
