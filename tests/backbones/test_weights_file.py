"""Weights from local files: torchvision's, timm's, a model folder's; frozen parts stay as given."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from distill_tune.distill.backbones import Backbone, Classifier
from distill_tune.distill.backbones.weights_file import weights_digest
from distill_tune.distill.classifier_stage import make_optimizer, train_step
from distill_tune.distill.monitoring.evaluation import reestimate_batch_norm
from distill_tune.distill.trial_config import ClassifierTraining
from distill_tune.errors import InputError

CLASSES = 3
RESNET, SQUEEZENET, TIMM_RESNET, TIMM_VIT = (
    {"name": "resnet18", "input_size": 32},
    {"name": "squeezenet1_1", "input_size": 32},
    {"name": "timm/resnet10t", "input_size": 32},
    {"name": "timm/vit_tiny_patch16_224", "input_size": 32},
)
SIZE = 16


def network(values: dict[str, object], num_classes: int) -> nn.Module:
    """Build the whole network, as whoever saved its weights did."""
    import timm

    name = str(values["name"])
    torch.manual_seed(3)
    if name.startswith("timm/"):
        sizes: dict[str, Any] = {"img_size": 32} if "vit" in name else {}
        model: nn.Module = timm.create_model(
            name.removeprefix("timm/"), num_classes=num_classes, **sizes
        )
    else:
        model = models.get_model(name, weights=None, num_classes=num_classes)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.get_buffer("running_mean").uniform_(-0.1, 0.1)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
    return model.eval()


def saved(values: dict[str, object], folder: Path, num_classes: int = 5) -> Path:
    file = folder / "weights.safetensors"
    save_file(network(values, num_classes).state_dict(), file)
    return file


def built(values: dict[str, object], channels: int = 3, **more: object) -> Classifier:
    weights = {"weights": str(more["weights"])} if "weights" in more else {}
    backbone = Backbone.model_validate(values | more | weights)
    return backbone.build(num_classes=CLASSES, channels=channels, image_size=SIZE)


def photos(channels: int = 3) -> Tensor:
    return torch.rand(6, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("values", [RESNET, TIMM_RESNET, TIMM_VIT], ids=str)
def test_a_head_with_as_many_classes_gives_the_logits_of_the_network(
    values: dict[str, object], tmp_path: Path
) -> None:
    file = saved(values, tmp_path, num_classes=CLASSES)
    classifier = built(values, weights=file).eval()
    centred = "vit" in str(values["name"])
    mean = torch.tensor([0.5] * 3 if centred else [0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.5] * 3 if centred else [0.229, 0.224, 0.225]).view(3, 1, 1)
    large = nn.functional.interpolate(photos(), size=(32, 32), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = network(values, CLASSES)(((large + 1) / 2 - mean) / std)
        assert torch.allclose(classifier(photos()), expected, atol=1e-3)
    assert classifier.remark == (
        f"{values['name']}: weights of {file}; its head has as many classes as the data and is "
        "used too"
    )


@pytest.mark.parametrize("values", [SQUEEZENET, TIMM_VIT], ids=str)
def test_a_head_for_other_classes_is_left_out_and_said(
    values: dict[str, object], tmp_path: Path
) -> None:
    classifier = built(values, weights=saved(values, tmp_path))
    own = network(values, 5).state_dict()
    body = {
        name.removeprefix("body."): value
        for name, value in classifier.state_dict().items()
        if name.startswith("body.")
    }
    left_out = own.keys() - body.keys()
    assert len(left_out) == 2
    assert all(torch.equal(own[name], body[name]) for name in own.keys() - left_out)
    assert "its head for 5 classes is left out, and a new one has the 3 classes" in (
        classifier.remark
    )


def test_grey_images_get_the_sum_of_the_filters_and_the_average_normalisation(
    tmp_path: Path,
) -> None:
    classifier = built(RESNET, channels=1, weights=saved(RESNET, tmp_path))
    filters = network(RESNET, 5).state_dict()["conv1.weight"]
    assert torch.equal(classifier.state_dict()["body.conv1.weight"], filters.sum(1, keepdim=True))
    assert classifier.get_buffer("mean").item() == pytest.approx(0.449)


def test_the_model_of_a_training_is_loaded_with_its_own_normalisation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small: dict[str, object] = {"name": "resnet18", "stem": "small"}
    own = {name: one.contiguous() for name, one in built(small).state_dict().items()}
    save_file(own, tmp_path / "classifier.safetensors")
    loaded = built(small, weights=tmp_path)
    assert all(torch.equal(loaded.state_dict()[name], own[name]) for name in own)
    assert set(loaded.get_buffer("mean").flatten().tolist()) == {0.5}
    # A model made from it keeps that, and gives the same without the first one.
    again = Backbone.model_validate(small | {"weights": str(tmp_path)}).build(
        num_classes=CLASSES, channels=3, image_size=SIZE, is_fetching=False
    )
    again.load_state_dict(loaded.state_dict())
    assert torch.equal(again.eval()(photos()), loaded.eval()(photos()))


def test_older_states_of_pretrained_networks_have_no_normalisation_and_still_load() -> None:
    build = Backbone(name="squeezenet1_1", pretrained=True).build
    classifier = build(num_classes=CLASSES, channels=3, image_size=32, is_fetching=False)
    state = {k: v for k, v in classifier.state_dict().items() if k not in {"mean", "std"}}
    classifier.load_state_dict(state)
    assert classifier.get_buffer("mean").flatten()[0].item() == pytest.approx(0.485)


def test_a_vision_transformer_gets_the_size_that_its_weights_were_made_for(tmp_path: Path) -> None:
    for name in ("vit_b_16", "timm/vit_tiny_patch16_224"):
        backbone = Backbone(name=name, weights=str(tmp_path))
        classifier = backbone.build(
            num_classes=CLASSES, channels=3, image_size=SIZE, is_fetching=False
        )
        assert classifier.get_buffer("interpolation").shape == (224, SIZE)


@pytest.mark.parametrize(
    ("values", "freeze"),
    [
        (RESNET, "none"),
        (TIMM_RESNET, "stem"),
        (TIMM_VIT, "stem"),
        (RESNET, "stem"),
        (RESNET, "all"),
    ],
    ids=str,
)
def test_a_frozen_part_is_never_trained_and_stays_in_eval_mode(
    values: dict[str, object], freeze: str, tmp_path: Path
) -> None:
    classifier = built(values, weights=saved(values, tmp_path), freeze=freeze)
    before = copy.deepcopy(classifier.state_dict())
    optimizer = make_optimizer(classifier, ClassifierTraining(weight_decay=0.5), 0.1)
    train_step(classifier, optimizer, (photos(), torch.arange(6) % 3))
    reestimate_batch_norm(classifier, ((photos() + 1) * 127).to(torch.uint8))
    after = classifier.state_dict()
    kept = {n for n in before if torch.equal(before[n], after[n]) and n not in {"mean", "std"}}
    body = {name for name in before if name.startswith("body.")}
    first = r"conv1\.[01]" if "10t" in str(values["name"]) else r"(conv1|bn1|patch_embed\.proj)"
    stem = {name for name in body if re.match(rf"body\.{first}\.\w+$", name)}
    expected = {"none": set(), "stem": stem, "all": body}[freeze]
    assert expected <= kept
    assert not (kept - expected - {n for n in kept if n.endswith("num_batches_tracked")})
    frozen = [p for n, p in classifier.named_parameters() if n in expected]
    assert all(not p.requires_grad and p.grad is None for p in frozen)
    assert len(frozen) == sum(not p.requires_grad for p in classifier.parameters())
    assert classifier.train().body.training is (freeze != "all")


def test_the_gradient_of_the_images_passes_a_frozen_network(tmp_path: Path) -> None:
    classifier = built(RESNET, weights=saved(RESNET, tmp_path), freeze="all")
    images = photos().requires_grad_()
    classifier.features(images).sum().backward()
    assert images.grad is not None
    assert bool((images.grad != 0).any())


def test_weights_of_another_network_are_refused_with_the_first_tensors(tmp_path: Path) -> None:
    file = saved(RESNET, tmp_path)
    with pytest.raises(InputError) as caught:
        built({"name": "resnet50", "input_size": 32}, weights=file)
    assert str(caught.value).startswith(
        f"backbones.weights: got {file}, which does not fit resnet50: layer1.0.conv1.weight is "
        "[64, 64, 3, 3] instead of [64, 64, 1, 1], layer1.0.conv3.weight is missing, "
    )
    assert " more, expected weights of this network, with its stem and input_size" in str(
        caught.value
    )


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04 no weights"])
def test_a_missing_or_other_file_is_refused_by_name(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "resnet18.pth"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=rf"weights: got {file}, which cannot be read .*\.pth"):
        built(RESNET, weights=file)


def test_weights_that_have_changed_are_refused(tmp_path: Path) -> None:
    file = saved(RESNET, tmp_path)
    digest = weights_digest(file)
    built(RESNET, weights=file, weights_sha256=digest)
    save_file(network(RESNET, 7).state_dict(), file)
    with pytest.raises(InputError, match=r"content has changed \(SHA-256 .*began with"):
        built(RESNET, weights=file, weights_sha256=digest)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"weights": "w.safetensors", "pretrained": True}, "pretrained: false"),
        ({"freeze": "all"}, "the others are random"),
        ({"name": "timm/resnet10"}, "Did you mean 'timm/resnet10t'"),
        ({"name": "timm/resnet10t.imagenet"}, "one of its tags: c3_in1k"),
    ],
)
def test_contradictions_and_unknown_models_are_refused(more: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        Backbone.model_validate(RESNET | more)


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ValidationError, match=r"pip install 'distill-tune\[timm\]'"):
        Backbone(name="timm/resnet10t")


def test_weights_of_timm_that_cannot_be_fetched_are_an_input_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("timm.models._builder.load_pretrained", offline)
    with pytest.raises(InputError, match=r"resnet10t with pretrained: true, .* \(no route"):
        built(TIMM_RESNET, pretrained=True)
