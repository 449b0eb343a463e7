"""The classifier's optimisers: the numbers of torch's plain ones, whatever the memory layout."""

import copy
from typing import Literal

import pytest
import torch
from torch import nn

from distill_tune.distill.classifier_stage import make_optimizer
from distill_tune.distill.trial_config import ClassifierTraining


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_a_step_in_memory_order_is_the_plain_step(
    kind: Literal["adamw", "sgd"], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 1), nn.Flatten(), nn.Linear(5, 2))
    ours, plain = (copy.deepcopy(network).to(memory_format=layout) for _ in range(2))
    training = ClassifierTraining(optimizer=kind)
    optimizer = make_optimizer(ours, training, 0.1)
    expected: torch.optim.Optimizer
    if kind == "adamw":
        expected = torch.optim.AdamW(plain.parameters(), 0.1, weight_decay=training.weight_decay)
    else:
        expected = torch.optim.SGD(
            plain.parameters(), 0.1, 0.9, nesterov=True, weight_decay=training.weight_decay
        )
    images = torch.randn(6, 3, 3, 3)
    for _ in range(3):
        for trained, stepping in ((ours, optimizer), (plain, expected)):
            stepping.zero_grad()
            trained(images).square().sum().backward()
            stepping.step()
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)
        assert one.stride() == other.stride()
        assert one.grad is not None
        assert one.grad.shape == one.shape
        moments = optimizer.state[one], expected.state[other]
        assert moments[0].keys() == moments[1].keys()
        for name, value in moments[0].items():
            torch.testing.assert_close(value, moments[1][name])
