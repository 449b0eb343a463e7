"""Every GAN kind of the index keeps the contract; a new kind is tested by being listed."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from distill_tune.distill.gans import GANS, AnyGan, Sngan
from distill_tune.distill.gans.training_fields import GanTraining
from distill_tune.interfaces import plain

CLASSES = 4
LATENT = 6
SIZES = (8, 16, 28, 32, 48, 64)
KINDS = pytest.mark.parametrize("kind", GANS)
EVERY = pytest.mark.parametrize(
    ("channels", "size"), [(1, 8), (3, 16), (1, 28), (3, 32), (3, 48), (1, 64)]
)


def small(kind: str) -> Any:
    """Return a kind with few channels, whatever it calls them."""
    widths = dict.fromkeys((n for n in GANS[kind].model_fields if n.endswith("width")), 8)
    return GANS[kind].model_validate({"latent_dim": LATENT, **widths})


def networks(kind: str, channels: int, size: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    shape = {"num_classes": CLASSES, "channels": channels, "image_size": size}
    return small(kind).build_generator(**shape), small(kind).build_discriminator(**shape)


def latent(num: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(num, LATENT, generator=generator), torch.arange(num) % CLASSES


@KINDS
@EVERY
def test_images_and_logits_have_the_promised_shape_and_range(
    kind: str, channels: int, size: int
) -> None:
    generator, discriminator = networks(kind, channels, size)
    z, labels = latent()
    for is_training in (True, False):
        images = generator.train(is_training)(z, labels, 1.0)
        assert images.shape == (6, channels, size, size)
        assert images.dtype == torch.float32
        assert -1 <= images.min().item() < images.max().item() <= 1
        logits = discriminator.train(is_training)(images, labels, 1.0)
        assert logits.shape == (6,)
        assert bool(torch.isfinite(logits).all())


@KINDS
def test_under_autocast_the_generators_maps_stay_bfloat16(kind: str) -> None:
    generator, _ = networks(kind, 3, 16)
    seen: list[torch.dtype] = []
    for module in generator.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *parts: seen.extend([parts[1][0].dtype]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        generator(*latent(), 1.0)
    assert len(seen) > 1
    assert set(seen) == {torch.bfloat16}


@KINDS
@EVERY
def test_a_gradient_reaches_every_weight_of_both(kind: str, channels: int, size: int) -> None:
    generator, discriminator = networks(kind, channels, size)
    z, labels = latent()
    discriminator(generator(z, labels, 1.0), labels, 1.0).sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), name
    reached = [p.grad for p in generator.parameters() if p.grad is not None]
    assert sum(bool((gradient != 0).any()) for gradient in reached) > len(reached) / 2


@KINDS
@pytest.mark.parametrize("channels", [1, 3])
def test_without_class_signal_the_class_does_not_matter(kind: str, channels: int) -> None:
    generator, discriminator = networks(kind, channels, 16)
    for network in (generator, discriminator):
        network.eval()
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3)
    z, labels = latent()
    others = (labels + 1) % CLASSES
    with torch.no_grad():
        assert torch.equal(generator(z, labels, 0.0), generator(z, others, 0.0))
        assert not torch.allclose(generator(z, labels, 1.0), generator(z, others, 1.0), atol=1e-3)
        images = generator(z, labels, 1.0)
        logits = discriminator(images, labels, 0.0)
        assert torch.equal(logits, discriminator(images, others, 0.0))
        own, other = (discriminator(images, chosen, 1.0) for chosen in (labels, others))
        assert not torch.allclose(own, other, atol=1e-3)


@KINDS
@pytest.mark.parametrize("signal", [0.5, 1.0])
def test_several_labels_of_an_image_are_each_answered(kind: str, signal: float) -> None:
    _, discriminator = networks(kind, 1, 16)
    discriminator.eval()
    images = torch.randn(6, 1, 16, 16)
    labels = torch.stack([torch.arange(6) % CLASSES, torch.arange(1, 7) % CLASSES], dim=1)
    logits = discriminator(images, labels, signal)
    assert logits.shape == (6, 2)
    for column in range(2):
        alone = discriminator(images, labels[:, column], signal)
        assert torch.allclose(logits[:, column], alone, atol=1e-6)


@KINDS
def test_a_negative_label_asks_without_the_class(kind: str) -> None:
    _, discriminator = networks(kind, 1, 16)
    discriminator.eval()
    for parameter in discriminator.parameters():
        nn.init.normal_(parameter, std=0.3)
    images, labels = torch.randn(6, 1, 16, 16), torch.arange(6) % CLASSES
    with torch.no_grad():
        nothing = discriminator(images, torch.full_like(labels, -1), 1.0)
        assert torch.equal(nothing, discriminator(images, labels, 0.0))
        both = discriminator(images, torch.stack([labels, torch.full_like(labels, -1)], 1), 1.0)
        assert torch.allclose(both[:, 1], nothing, atol=1e-6)
        assert not torch.allclose(both[:, 0], nothing, atol=1e-3)


@KINDS
def test_the_class_signal_is_full_unless_it_is_given(kind: str) -> None:
    generator, discriminator = (network.eval() for network in networks(kind, 1, 8))
    z, labels = latent()
    images = generator(z, labels)
    assert torch.equal(images, generator(z, labels, 1.0))
    assert torch.equal(discriminator(images, labels), discriminator(images, labels, 1.0))


@KINDS
def test_different_noise_gives_different_images(kind: str) -> None:
    generator, _ = networks(kind, 1, 16)
    z, _ = latent()
    images = generator.eval()(z, torch.zeros(6, dtype=torch.int64), 1.0)
    assert torch.nn.functional.pdist(images.flatten(1)).min().item() > 1e-2


@KINDS
def test_every_size_of_four_pixels_or_more_can_be_drawn(kind: str) -> None:
    for size in (4, 5, 7, 9, 11, 20, 24, 30, 33, 96):
        generator, discriminator = networks(kind, 1, size)
        z, labels = latent(2)
        images = generator(z, labels, 1.0)
        assert images.shape == (2, 1, size, size)
        assert discriminator(images, labels, 1.0).shape == (2,)


@KINDS
def test_the_same_seed_builds_the_same_networks(kind: str) -> None:
    for one, other in zip(networks(kind, 1, 16), networks(kind, 1, 16), strict=True):
        assert all(
            torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)
        )


@KINDS
def test_a_kind_has_the_fields_that_every_gan_trains_by(kind: str) -> None:
    assert issubclass(GANS[kind], GanTraining)
    assert GANS[kind].model_validate({}).kind == kind


@KINDS
def test_a_kind_survives_being_written_down(kind: str) -> None:
    adapter: TypeAdapter[Sngan] = TypeAdapter(AnyGan)
    gan = GANS[kind].model_validate({"latent_dim": 9})
    assert adapter.validate_python(plain(gan)) == gan


def test_without_a_kind_it_is_the_default_one_and_an_unknown_kind_is_refused() -> None:
    adapter: TypeAdapter[Sngan] = TypeAdapter(AnyGan)
    assert adapter.validate_python({"latent_dim": 9}) == Sngan(latent_dim=9)
    with pytest.raises(ValidationError, match="stylegan"):
        adapter.validate_python({"kind": "stylegan"})
