"""Random numbers: one stream per purpose, keyed by (seed, purpose, step).

Streams are stateless. Therefore a checkpoint only needs the step number, disabling one purpose
does not affect the others, and results do not depend on the number of workers or their order.
"""

import hashlib
from typing import Literal

import torch
from torch import Tensor

Purpose = Literal[
    "init", "order", "augmentation", "dropout", "z", "real", "diffaugment", "pairing", "score",
    "monitor", "synthetic", "synthetic-augmentation", "judge", "mismatch", "unlabelled",
    "synthetic-classes", "gan-dropout",
]  # fmt: skip


def key(seed: int, purpose: Purpose, *counters: int | str) -> int:
    """Return the 63-bit seed of a stream."""
    text = "/".join(map(str, (seed, purpose, *counters)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stream(
    seed: int, purpose: Purpose, *counters: int | str, device: torch.device | None = None
) -> torch.Generator:
    """Return a new generator for one purpose at one step, on ``device`` (default: CPU)."""
    generator = torch.Generator(device=device or torch.device("cpu"))
    generator.manual_seed(key(seed, purpose, *counters))
    return generator


def seed_global(seed: int, purpose: Purpose, *counters: int | str) -> None:
    """Seed torch's global random state, which initialisation and dropout use."""
    number = key(seed, purpose, *counters)
    torch.default_generator.manual_seed(number)
    # torch.manual_seed would also record the stack for a GPU that is not in use.
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return standard normal numbers, float32, on the generator's device."""
    return torch.randn(shape, generator=generator, device=generator.device)


def uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return numbers uniform in [0, 1), float32, on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def integers(high: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return int64 numbers in ``0 .. high - 1``, on the generator's device."""
    return torch.randint(high, shape, generator=generator, device=generator.device)
