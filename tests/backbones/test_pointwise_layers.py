"""1x1 convolutions as matrix products: the same function, whatever the map's size."""

import copy

import pytest
import torch
from torch import nn

from distill_tune.distill.backbones import Backbone
from distill_tune.distill.backbones.pointwise_layers import (
    CentredConv2d,
    PointwiseConv2d,
    shared_centres,
    use_matrix_products,
)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 1),
        nn.Conv2d(3, 4, 1, stride=2, bias=False),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
    ],
)
def test_a_layer_and_its_gradients_stay_what_they_were(layer: nn.Conv2d, size: int) -> None:
    changed = copy.deepcopy(layer)
    use_matrix_products(changed)
    assert type(changed) is not nn.Conv2d
    results = []
    for conv in (layer, changed):
        conv.zero_grad()
        maps = torch.linspace(-1, 1, 2 * 3 * size**2).view(2, 3, size, size).requires_grad_()
        out = conv(maps)
        (out**2).sum().backward()
        results.append([out, maps.grad, *(p.grad for p in conv.parameters())])
    for before, after in zip(*results, strict=True):
        assert before is not None
        torch.testing.assert_close(after, before)


def test_grouped_dilated_and_unpadded_layers_are_left_alone() -> None:
    layers = nn.Sequential(
        nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 4, 3, padding=2, dilation=2), nn.Conv2d(4, 4, 3)
    )
    use_matrix_products(layers)
    assert {type(layer) for layer in layers} == {nn.Conv2d}


def test_a_resnet_uses_them_and_keeps_its_state_dict() -> None:
    from torchvision.models import resnet50

    built = Backbone(name="resnet50", stem="imagenet", input_size=16).build(
        num_classes=10, channels=3, image_size=16
    )
    kinds = [type(module) for module in built.body.modules()]
    assert kinds.count(PointwiseConv2d) == 36
    assert kinds.count(CentredConv2d) == 16
    names = [name for name in resnet50().state_dict() if not name.startswith("fc.")]
    assert list(built.body.state_dict()) == names


def test_passes_that_share_centres_have_the_same_gradients_bit_for_bit() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1))
    use_matrix_products(network)
    first, second = (torch.linspace(-1, end, 24).view(2, 3, 2, 2) for end in (1, 2))
    (network(first) ** 2).sum().add((network(second) ** 3).sum()).backward()
    expected = [one.grad.clone() for one in network.parameters() if one.grad is not None]
    assert len(expected) == 4
    network.zero_grad()
    with shared_centres(network):
        loss = (network(first) ** 2).sum() + (network(second) ** 3).sum()
    loss.backward()
    for one, before in zip(network.parameters(), expected, strict=True):
        assert one.grad is not None
        assert torch.equal(one.grad, before)
    for times, is_cleared in ((1, True), (2, False)):
        if is_cleared:
            network.zero_grad()
        with shared_centres(network):
            loss = (network(first) ** 2).sum() + (network(second) ** 3).sum()
        loss.backward()
        for one, before in zip(network.parameters(), expected, strict=True):
            torch.testing.assert_close(one.grad, times * before)
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for one in copied[1].parameters():
            one.zero_()
        assert not copied(first).any(), "a centre outlives its block"
    with shared_centres(copied):
        loss = (copied(second) - 1).square().sum()
    loss.backward()
    for one, before in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(one.grad, 2 * before, msg="a copy writes to our gradients")


def test_a_frozen_layer_that_shares_its_centre_has_no_gradient() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1))
    use_matrix_products(network)
    network[1].requires_grad_(requires_grad=False)
    with shared_centres(network):
        network(torch.ones(2, 3, 1, 1)).sum().backward()
    assert network[0].weight.grad is not None
    assert network[1].weight.grad is None
