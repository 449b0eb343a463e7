"""The generator's moving average, whose images train the classifier."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_MEMORY_SHARE = 10
"""Minimum length of a stage in multiples of the average's memory, 1 / (1 - decay) steps."""


class MovingAverage:
    """An exponential moving average of a network, including buffers, updated after each step.

    It replaces :meth:`AveragedModel.update_parameters`, which synchronises with the device at each
    step to read its step count: here the device never waits, and one call updates all weights.

    Args:
        averaged: The averaged copy, whose ``n_averaged`` is on the host.
        network: The network to average.
        decay: Weight of the old values; less in the first steps.
    """

    def __init__(self, averaged: AveragedModel, network: nn.Module, decay: float) -> None:
        self._count, self._decay = averaged.n_averaged, decay
        pairs = list(zip(_tensors(averaged.module), _tensors(network), strict=True))
        self._moving = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def move(self, decay: float | None = None) -> None:
        """Set every weight to ``old * decay + new * (1 - decay)``; the first call copies ``new``.

        Args:
            decay: In [0, 1); None: the constructor's.
        """
        count = int(self._count)
        moving, copied = self._moving, self._copied
        if count == 0:
            moving, copied = [], [*moving, *copied]
        if moving:
            given = self._decay if decay is None else decay
            move_all = get_ema_multi_avg_fn(min(given, (1 + count) / (10 + count)))
            move_all(*_columns(moving), self._count)
        for old, new in copied:
            old.copy_(new)
        self._count += 1


def stage_decay(decay: float, steps: int) -> float:
    """Return a decay with which an average follows its network within a stage of ``steps``.

    The average's memory is at most a tenth of the stage: with a constant decay of 0.999, it would
    have moved only a quarter of the way after 300 steps.

    Args:
        decay: Upper limit, in [0, 1).
        steps: Number of steps of the stage.
    """
    return min(decay, max(0.0, 1 - _MEMORY_SHARE / max(1, steps)))


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _columns(pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    return [old for old, _ in pairs], [new for _, new in pairs]
