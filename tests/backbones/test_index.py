"""Every backbone keeps the contract: the named three by stem and colour, the rest by name."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from distill_tune.distill.backbones import SMALL_STEMS, Backbone, Classifier
from distill_tune.distill.backbones.build_backbone import family_of, known_names
from distill_tune.errors import InputError

CLASSES = 3
FEATURES = {"alexnet": 4096, "resnet50": 2048, "densenet121": 1024}
FEW = {"mobilenet_v3_small": 1024, "squeezenet1_1": 512, "shufflenet_v2_x0_5": 1024,
       "mnasnet0_5": 1280}  # fmt: skip
MANY = {"vgg11": 4096, "vit_b_16": 768, "efficientnet_b0": 1280, "googlenet": 1024, "swin_t": 768,
        "convnext_tiny": 768, "regnet_y_400mf": 440, "mobilenet_v2": 1280}  # fmt: skip


def built(backbone: Backbone, channels: int, size: int) -> Classifier:
    torch.manual_seed(0)
    return backbone.build(num_classes=CLASSES, channels=channels, image_size=size)


def photos(num: int, channels: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(num, channels, size, size, generator=generator) * 2 - 1


def assert_keeps_the_contract(model: Classifier, channels: int, size: int, width: int) -> None:
    images = photos(2, channels, size)
    assert model.feature_dim == width
    model.eval()
    with torch.no_grad():
        features, logits = model.features(images), model(images)
        assert features.shape == (2, width)
        assert features.dtype == torch.float32
        assert logits.shape == (2, CLASSES)
        assert torch.equal(logits, model.head(features))
        assert not torch.equal(features[0], features[1])
    model.train()
    nn.functional.cross_entropy(model(images), torch.tensor([0, 1])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize(("stem", "size"), [("imagenet", 64), ("small", 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_named_backbones_with_both_stems_in_grey_and_colour(
    name: str, stem: str, size: int, channels: int
) -> None:
    backbone = Backbone.model_validate({"name": name, "stem": stem})
    assert_keeps_the_contract(built(backbone, channels, size), channels, size, FEATURES[name])


@pytest.mark.parametrize("name", FEW)
def test_other_models_of_torchvision_by_their_name(name: str) -> None:
    assert_keeps_the_contract(built(Backbone(name=name), 1, 28), 1, 28, FEW[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY)
def test_still_other_models_of_torchvision_by_their_name(name: str) -> None:
    assert_keeps_the_contract(built(Backbone(name=name), 3, 32), 3, 32, MANY[name])
    assert_keeps_the_contract(built(Backbone(name=name), 1, 8), 1, 8, MANY[name])


def sides(model: Classifier) -> tuple[int, ...]:
    """Return ``(image_size, input_size)``."""
    return tuple(model.get_buffer("interpolation").shape[::-1])


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [
        ({"name": "resnet18"}, 8, 8),
        ({"name": "resnet18"}, 28, 28),
        ({"name": "resnet18"}, 64, 64),
        ({"name": "resnet18", "stem": "imagenet"}, 8, 32),
        ({"name": "resnet18", "stem": "imagenet"}, 48, 48),
        ({"name": "resnet18", "input_size": 40}, 8, 40),
        ({"name": "alexnet"}, 28, 28),
        ({"name": "alexnet", "stem": "imagenet"}, 28, 64),
        ({"name": "alexnet"}, 64, 64),
        ({"name": "squeezenet1_1"}, 8, 32),
        ({"name": "squeezenet1_1"}, 40, 40),
        ({"name": "squeezenet1_1", "input_size": 24}, 8, 24),
    ],
)
def test_the_network_sees_the_size_that_its_stem_wants(
    values: dict[str, object], size: int, expected: int
) -> None:
    assert sides(built(Backbone.model_validate(values), 1, size)) == (size, expected)


@pytest.mark.parametrize(("size", "stride"), [(32, (1, 1)), (63, (1, 1)), (64, (2, 2))])
def test_the_automatic_stem_is_small_below_64_pixels(size: int, stride: tuple[int, int]) -> None:
    first = built(Backbone(name="resnet18"), 3, size).body.get_submodule("conv1")
    assert isinstance(first, nn.Conv2d)
    assert first.stride == stride


def test_the_size_that_counts_for_the_automatic_stem_is_the_networks_own() -> None:
    first = built(Backbone(name="resnet18", input_size=64), 3, 8).body.get_submodule("conv1")
    assert isinstance(first, nn.Conv2d)
    assert first.stride == (2, 2)


def test_a_small_alexnet_pools_without_adaptive_pooling() -> None:
    model = built(Backbone(name="alexnet"), 1, 28)
    assert not any(isinstance(module, nn.AdaptiveAvgPool2d) for module in model.modules())


@pytest.mark.parametrize("name", [*FEATURES, *FEW])
def test_every_index_name_has_the_family_that_its_class_says(name: str) -> None:
    assert family_of(name) == type(built(Backbone(name=name), 3, 64).body).__name__


def test_the_stems_are_those_of_families_that_torchvision_has() -> None:
    assert {family_of(name) for name in known_names()} >= SMALL_STEMS.keys()
    assert {family_of(name) for name in FEATURES} == SMALL_STEMS.keys()


def test_the_same_random_state_builds_the_same_weights() -> None:
    one, other = (built(Backbone(name="resnet18"), 1, 8).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_building_leaves_running_statistics_and_mode_fresh() -> None:
    model = built(Backbone(name="resnet18", stem="imagenet"), 1, 32)
    norm = model.body.get_submodule("bn1")
    assert model.training
    assert bool((norm.get_buffer("running_mean") == 0).all())
    assert int(norm.get_buffer("num_batches_tracked")) == 0


def test_a_bare_name_stands_for_a_backbone() -> None:
    assert Backbone.model_validate("alexnet") == Backbone(name="alexnet")


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("resnet5", "resnet50"), ("alexnett", "alexnet"), ("desnet121", "densenet121")],
)
def test_an_unknown_name_is_refused_with_a_near_one(name: str, suggestion: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Backbone(name=name)
    message = str(caught.value)
    assert f"got {name!r}, expected a classification model of torchvision" in message
    assert f"Did you mean {suggestion!r}?" in message


@pytest.mark.parametrize("name", ["fcn_resnet50", "raft_small", "fasterrcnn_resnet50_fpn", ""])
def test_a_model_that_does_not_classify_images_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="expected a classification model"):
        Backbone(name=name)


@pytest.mark.parametrize("name", ["vgg11", "vit_b_16", "mobilenet_v3_small"])
def test_a_small_stem_that_a_family_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        built(Backbone(name=name, stem="small"), 3, 20)
    assert str(caught.value) == (
        f"backbones: got {name} with stem: small, expected stem: imagenet (or auto) for this family"
    )


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"name": "alexnet", "stem": "small"}, 4),
        ({"name": "alexnet", "stem": "imagenet", "input_size": 32}, 32),
        ({"name": "squeezenet1_1", "input_size": 8}, 8),
        ({"name": "vit_b_16", "input_size": 20}, 20),
        ({"name": "inception_v3"}, 32),
        ({"name": "maxvit_t", "input_size": 32}, 32),
        ({"name": "densenet121", "stem": "imagenet", "input_size": 8}, 8),
    ],
)
def test_images_that_are_too_small_are_refused_in_words(
    values: dict[str, object], size: int
) -> None:
    with pytest.raises(InputError) as caught:
        built(Backbone.model_validate(values), 1, size)
    name = values["name"]
    assert str(caught.value).startswith(f"backbones: got {name} at {size} px, which it cannot take")
    assert str(caught.value).endswith("as in {name: " + str(name) + ", input_size: 224}")


def test_weights_that_cannot_be_fetched_are_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(InputError, match=r"pretrained: true, .* \(no route to host\)"):
        built(Backbone(name="squeezenet1_1", pretrained=True), 3, 64)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_a_resnet_takes_images_of_every_size(name: str, stem: str) -> None:
    backbone = Backbone.model_validate({"name": name, "stem": stem, "input_size": 4})
    assert backbone.takes_any_images
    for size in (1, 4, 65):
        network = backbone.build(num_classes=2, channels=1, image_size=size).eval()
        assert network(torch.zeros(1, 1, size, size)).shape == (1, 2)


def test_networks_that_may_refuse_their_images_or_weights_are_built_before_a_search() -> None:
    asked = ("alexnet", "densenet121", "vgg11", {"name": "resnet18", "pretrained": True})
    assert not any(Backbone.model_validate(each).takes_any_images for each in asked)
