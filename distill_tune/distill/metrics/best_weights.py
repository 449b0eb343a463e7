"""The weights of a classifier at the epoch with the best value of the metric."""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import nn

StateDict = dict[str, Any]


@dataclass
class Best:
    """The classifier weights with the best validation metric of the current stage.

    Attributes:
        value: The metric that trials are compared by; minus infinity before the first epoch.
        epoch: Epochs of the stage finished when it was reached.
        weights: State dict of the classifier; empty before the first epoch.
    """

    value: float = -math.inf
    epoch: int = 0
    weights: StateDict = field(default_factory=dict)

    def offer(self, value: float, epoch: int, classifier: nn.Module) -> None:
        """Keep a copy of the weights if they are better than the best so far."""
        if value > self.value:
            self.value, self.epoch, self.weights = value, epoch, copy_weights(classifier)


def copy_weights(model: nn.Module) -> StateDict:
    """Return a copy of the state dict that later training does not change."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
