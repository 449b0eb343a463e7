"""The moving average: torch's own, without its journeys to the device and back."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from distill_tune.distill.compute.averaging import MovingAverage
from distill_tune.distill.metrics.best_weights import copy_weights
from tests.distill.tiny import differences

DECAY = 0.6
Tensors = list[Tensor] | tuple[Tensor, ...]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))


def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
    steps = float(count)
    weight = 1 - min(DECAY, (1 + steps) / (10 + steps))
    for old, new in zip(averaged, current, strict=True):
        old.lerp_(new, weight) if old.is_floating_point() else old.copy_(new)


def test_it_is_what_the_averaged_model_of_torch_makes_bit_for_bit() -> None:
    trained = network()
    ours = AveragedModel(trained, use_buffers=True)
    theirs = AveragedModel(trained, multi_avg_fn=torch.no_grad()(update), use_buffers=True)
    average = MovingAverage(ours, trained, DECAY)
    for _ in range(12):
        trained(torch.randn(4, 1, 5, 5)).sum().backward()
        with torch.no_grad():
            for parameter in trained.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.move()
        theirs.update_parameters(trained)
        assert differences(copy_weights(ours), copy_weights(theirs)) == []


def test_it_goes_on_from_the_count_of_a_loaded_state() -> None:
    trained = network()
    one, other = (AveragedModel(trained, use_buffers=True) for _ in range(2))
    average, resumed = MovingAverage(one, trained, DECAY), MovingAverage(other, trained, DECAY)
    average.move()
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1)
    average.move()
    resumed.move()
    assert int(one.n_averaged) == 2
    assert differences(copy_weights(one), copy_weights(other)) == []
