"""The classifier: one way in for images of every size, features, head."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from distill_tune.distill.backbones.classifier_network import Classifier, interpolation_matrix


def classifier(image_size: int, input_size: int, channels: int = 1) -> Classifier:
    body = nn.Sequential(nn.Conv2d(channels, 3, 3), nn.AdaptiveAvgPool2d(2))
    return Classifier(
        body,
        feature_dim=12,
        num_classes=5,
        resize=(image_size, input_size),
        normalisation=((0.485, 0.456, 0.406)[:channels], (0.229, 0.224, 0.225)[:channels]),
    )


@pytest.mark.parametrize("sizes", [(8, 32), (28, 64), (32, 32), (64, 48), (96, 32), (17, 31)])
def test_the_interpolation_matrix_is_torchs_interpolation(sizes: tuple[int, int]) -> None:
    images = torch.rand(3, 2, sizes[0], sizes[0]) * 2 - 1
    matrix = interpolation_matrix(*sizes)
    expected = F.interpolate(
        images, size=(sizes[1], sizes[1]), mode="bilinear", antialias=True, align_corners=False
    )
    assert matrix.shape == (sizes[1], sizes[0])
    assert torch.allclose(matrix @ images @ matrix.T, expected, atol=1e-5)
    assert torch.allclose(matrix.sum(1), torch.ones(sizes[1]), atol=1e-5)


def test_equal_sizes_are_not_resized() -> None:
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    same = classifier(16, 16)
    expected = ((images + 1) / 2 - 0.485) / 0.229
    assert not same.is_resizing
    assert torch.allclose(same.to_classifier(images), expected)


def test_colours_are_normalised_channel_by_channel() -> None:
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = ((images + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.allclose(classifier(8, 8, 3).to_classifier(images), expected, atol=1e-6)


def test_logits_are_the_head_of_features() -> None:
    model = classifier(8, 16)
    images = torch.rand(4, 1, 8, 8) * 2 - 1
    features = model.features(images)
    assert features.shape == (4, 12)
    assert torch.equal(model(images), model.head(features))


def test_the_gradient_of_resizing_reaches_the_image() -> None:
    model = classifier(8, 32)
    images = torch.zeros(2, 1, 8, 8, requires_grad=True)
    model(images).sum().backward()
    assert images.grad is not None
    assert bool((images.grad != 0).any())


def test_a_state_holds_weights_only_and_no_constants() -> None:
    names = classifier(8, 32).state_dict().keys()
    assert names == {"body.0.weight", "body.0.bias", "head.weight", "head.bias"}
