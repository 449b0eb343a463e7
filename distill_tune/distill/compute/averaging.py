"""The generator's moving average: what the classifier learns from."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_MEMORY_SHARE = 10
"""A stage is so many times as long as the average's memory, 1 / (1 - decay) steps."""


class MovingAverage:
    """Moves an averaged copy after each step of its network, buffers too.

    As :meth:`AveragedModel.update_parameters` does, whose count of steps travels to the device and
    back at each of them: here the device never waits, and all weights move in one call.

    Args:
        averaged: The copy, whose ``n_averaged`` is on the host.
        network: Whose average it is.
        decay: Weight of the old; less in the first steps.
    """

    def __init__(self, averaged: AveragedModel, network: nn.Module, decay: float) -> None:
        self._count, self._decay = averaged.n_averaged, decay
        pairs = list(zip(_tensors(averaged.module), _tensors(network), strict=True))
        self._moving = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def move(self, decay: float | None = None) -> None:
        """Set every weight to ``old * decay + new * (1 - decay)``, the first time to the new.

        Args:
            decay: In [0, 1); None: that of the constructor.
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
    """Return the decay with which an average follows its network within a stage of ``steps``.

    Its memory is at most a tenth of the stage: with 0.999 throughout, an average would have moved
    by a quarter of the way after 300 steps.

    Args:
        decay: The greatest, in [0, 1).
        steps: Of the stage.
    """
    return min(decay, max(0.0, 1 - _MEMORY_SHARE / max(1, steps)))


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _columns(pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    return [old for old, _ in pairs], [new for _, new in pairs]
