"""1x1 convolutions as matrix products: the same function, whatever the map's size."""

import copy

import pytest
import torch
from torch import nn

from distill_tune.distill.backbones import Backbone, Classifier
from distill_tune.distill.backbones.pointwise_layers import (
    CentredConv2d,
    OnePixelConv2d,
    PointwiseConv2d,
    use_centres_only,
    use_matrix_products,
    whole_weights,
)
from distill_tune.distill.compute.optimizers import load_adamw


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


def built(input_size: int = 16, name: str = "resnet50") -> Classifier:
    backbone = Backbone(name=name, stem="imagenet", input_size=input_size)
    return backbone.build(num_classes=10, channels=3, image_size=input_size)


def test_a_resnet_uses_them_and_keeps_the_names_of_its_weights() -> None:
    from torchvision.models import resnet50

    body = built().body
    kinds = [type(module) for module in body.modules()]
    assert kinds.count(PointwiseConv2d) == 36
    # Maps are of one pixel after the first block of the third of four stages.
    assert (kinds.count(CentredConv2d), kinds.count(OnePixelConv2d)) == (8, 8)
    names = [name for name in resnet50().state_dict() if not name.startswith("fc.")]
    assert list(body.state_dict()) == names


def test_whole_weights_give_torchvisions_network_the_same_features() -> None:
    from torchvision.models import resnet18

    classifier = built(name="resnet18")
    weights = whole_weights(classifier, classifier.state_dict())
    of_body = {k.removeprefix("body."): v for k, v in weights.items() if k.startswith("body.")}
    theirs = resnet18(weights=None)
    assert {k: v.shape for k, v in of_body.items()} == {
        k: v.shape for k, v in theirs.state_dict().items() if not k.startswith("fc.")
    }
    theirs.load_state_dict(of_body, strict=False)
    theirs.fc = nn.Identity()
    images = torch.linspace(-1, 1, 2 * 3 * 16**2).view(2, 3, 16, 16)
    for network in (theirs, classifier):
        network.eval()
    torch.testing.assert_close(
        classifier.features(images), theirs(classifier.to_classifier(images))
    )


def test_weights_of_the_whole_network_are_loaded_by_their_centres() -> None:
    classifier = built(name="resnet18")
    saved = {name: value.clone() for name, value in classifier.state_dict().items()}
    whole = whole_weights(classifier, saved)
    assert sum(v.numel() for v in whole.values()) > 2 * sum(v.numel() for v in saved.values())
    for name, value in whole.items():
        if value.dim() > saved[name].dim():
            value[:, :, 0] = 7.0
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()
    classifier.load_state_dict(whole)
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, saved[name]), name


def test_a_layer_that_sees_larger_maps_keeps_its_weight() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, stride=2, padding=1))
    network.append(network[1])
    use_matrix_products(network)
    # The second layer is called with maps of 2x2 pixels, and then with one of 1x1.
    use_centres_only(network, lambda: network(torch.zeros(1, 2, 2, 2)))
    assert {type(layer) for layer in network} == {CentredConv2d}


def test_a_state_of_the_optimiser_from_before_is_loaded() -> None:
    layer = CentredConv2d(2, 3, 3, padding=1)
    before = torch.optim.AdamW(layer.parameters(), fused=True)
    network = nn.Sequential(copy.deepcopy(layer))
    use_centres_only(network, lambda: network(torch.zeros(1, 2, 1, 1)))
    after = torch.optim.AdamW(network.parameters(), fused=True)
    maps = torch.linspace(-1, 1, 4).view(2, 2, 1, 1)
    for number in range(2):
        for one, optimizer in ((layer, before), (network, after)):
            optimizer.zero_grad()
            one(maps).square().sum().backward()
            optimizer.step()
        if number == 0:
            load_adamw(after, before.state_dict())
    torch.testing.assert_close(network[0].weight, layer.weight[:, :, 1, 1])
