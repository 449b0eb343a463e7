"""SNGAN with projection: its own promises."""

from typing import Literal

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.flop_counter import FlopCounterMode

from distill_tune.distill.gans import Sngan
from distill_tune.distill.gans.blocks import ConditionalBatchNorm, double, halve, start_size
from distill_tune.distill.gans.sngan import Discriminator, Generator
from distill_tune.interfaces import Gan


def is_a_gan(gan: Gan) -> int:
    """Type-check that a configuration is what the method asks for."""
    return gan.latent_dim


def generator_of(gan: Sngan, size: int) -> Generator:
    generator = gan.build_generator(num_classes=3, channels=1, image_size=size)
    assert isinstance(generator, Generator)
    return generator


def discriminator_of(gan: Sngan, size: int) -> Discriminator:
    discriminator = gan.build_discriminator(num_classes=3, channels=1, image_size=size)
    assert isinstance(discriminator, Discriminator)
    return discriminator


def test_sngan_is_what_the_method_calls_a_gan() -> None:
    # The protocol's latent_dim can be set, a frozen field cannot: a property there mends it.
    assert is_a_gan(Sngan(latent_dim=7)) == 7


@pytest.mark.parametrize(
    ("size", "start"),
    [
        (8, (4, 1)),
        (16, (4, 2)),
        (28, (7, 2)),
        (32, (4, 3)),
        (48, (6, 3)),
        (64, (4, 4)),
        (96, (6, 4)),
    ],
)
def test_the_generator_starts_small_and_doubles(size: int, start: tuple[int, int]) -> None:
    assert start_size(size) == start
    assert start[0] * 2 ** start[1] == size


@pytest.mark.parametrize("blocks", ["light", "residual"])
@pytest.mark.parametrize("is_training", [True, False])
def test_under_autocast_all_maps_of_the_generator_are_bfloat16(
    blocks: Literal["light", "residual"], *, is_training: bool
) -> None:
    gan = Sngan(latent_dim=4, generator_width=8, generator_min_width=4, blocks=blocks)
    generator = generator_of(gan, 16).train(is_training)
    seen: list[torch.dtype] = []
    for module in generator.modules():
        if isinstance(module, ConditionalBatchNorm | nn.Conv2d | _BatchNorm):
            module.register_forward_hook(lambda *parts: seen.extend([parts[1][0].dtype]))
            module.register_forward_hook(lambda *parts: seen.append(parts[2].dtype))
    z, labels = torch.randn(3, 4), torch.arange(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        generator(z, labels, 1.0)
    assert len(seen) > 10
    assert set(seen) == {torch.bfloat16}


def test_an_odd_size_is_cropped_from_the_next_one_in_the_middle() -> None:
    base, doublings = start_size(30)
    assert base * 2**doublings == 32
    generator = generator_of(Sngan(latent_dim=4, generator_width=8), 30).eval()
    z, labels = torch.randn(2, 4), torch.zeros(2, dtype=torch.int64)
    small = generator(z, labels)
    generator.image_size = 32
    assert torch.equal(generator(z, labels)[:, :, 1:31, 1:31], small)


def test_channels_taper_as_the_resolution_doubles_but_not_below_the_least() -> None:
    gan = Sngan(generator_width=64, generator_min_width=16)
    widths = [block.conv2.out_channels for block in generator_of(gan, 64).blocks]  # type: ignore[union-attr]
    assert widths == [64, 32, 16, 16]
    narrow = generator_of(Sngan(generator_width=4, generator_min_width=16), 64)
    assert [block.conv2.out_channels for block in narrow.blocks] == [4] * 4  # type: ignore[union-attr]


def norms_of(generator: Generator) -> list[ConditionalBatchNorm]:
    return [module for module in generator.modules() if isinstance(module, ConditionalBatchNorm)]


def test_the_class_enters_every_block_and_may_start_at_zero() -> None:
    generator = generator_of(Sngan(generator_width=8, class_start=0.0), 32)
    norms = norms_of(generator)
    assert len(norms) == 2 * len(generator.blocks)
    assert all(bool((norm.from_class.weight == 0).all()) for norm in norms)
    assert all(bool((norm.from_z.weight != 0).any()) for norm in norms)
    assert generator.stem_of_class is None


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_class_starts_with_a_share_of_what_z_does(share: float) -> None:
    torch.manual_seed(0)
    gan = Sngan(generator_width=64, class_start=share)
    generator = gan.build_generator(num_classes=50, channels=1, image_size=32)
    assert isinstance(generator, Generator)
    z = torch.randn(200, gan.latent_dim)
    assert generator.stem_of_class is not None
    of_z = generator.stem(z) - generator.stem.bias
    ratio = generator.stem_of_class.weight.std() / of_z.std()
    assert ratio.item() == pytest.approx(share, rel=0.05)
    for norm in norms_of(generator):
        ratio = norm.from_class.weight.std() / norm.from_z(z).std()
        assert ratio.item() == pytest.approx(share, rel=0.1)


def test_light_blocks_have_the_weights_of_residual_ones_in_the_generator() -> None:
    light, residual = (
        generator_of(Sngan(generator_width=8, blocks=blocks), 32)
        for blocks in ("light", "residual")
    )
    assert list(light.state_dict()) == list(residual.state_dict())
    residual.load_state_dict(light.state_dict())
    z, labels = torch.randn(3, 64), torch.arange(3)
    assert not torch.allclose(light.eval()(z, labels), residual.eval()(z, labels), atol=1e-4)


@pytest.mark.parametrize("size", [8, 14, 16, 32])
def test_light_blocks_take_less_than_two_thirds_of_the_work(size: int) -> None:
    work = []
    for blocks in ("light", "residual"):
        gan = Sngan.model_validate({"blocks": blocks})
        z, labels = torch.randn(2, 64), torch.arange(2)
        with FlopCounterMode(display=False) as counter:
            discriminator_of(gan, size)(generator_of(gan, size)(z, labels), labels)
        work.append(counter.get_total_flops())
    assert work[0] < 0.67 * work[1]


def test_the_light_discriminator_ends_on_maps_of_the_residual_one() -> None:
    for size in (4, 8, 14, 32):
        sides = [
            discriminator_of(Sngan.model_validate({"blocks": blocks}), size)
            .blocks(torch.zeros(1, 1, size, size))
            .shape
            for blocks in ("light", "residual")
        ]
        assert sides[0] == sides[1]


def test_conditional_batch_norm_by_hand() -> None:
    norm = ConditionalBatchNorm(2, 1, 3).eval()
    nn.init.zeros_(norm.from_z.weight)
    with torch.no_grad():
        norm.from_class.weight[1] = torch.tensor([1.0, 0.0, 0.0, 5.0])
    maps = torch.ones(1, 2, 2, 2)
    out = norm(maps, torch.zeros(1, 1), torch.tensor([1]), 0.5)
    scaled = 1 / (1 + norm.norm.eps) ** 0.5
    assert out[0, 0].flatten().tolist() == pytest.approx([1.5 * scaled] * 4)
    assert out[0, 1].flatten().tolist() == pytest.approx([scaled + 2.5] * 4)


def test_the_discriminator_has_spectral_norm_everywhere_and_no_batch_norm() -> None:
    discriminator = discriminator_of(Sngan(discriminator_width=8), 32)
    layers = [
        module
        for module in discriminator.modules()
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding)
    ]
    assert len(layers) > 6
    assert all(is_parametrized(layer, "weight") for layer in layers)
    assert not any(isinstance(module, _BatchNorm) for module in discriminator.modules())


def test_spectral_norm_settles_at_one() -> None:
    discriminator = discriminator_of(Sngan(discriminator_width=8), 16)
    images, labels = torch.rand(4, 1, 16, 16), torch.arange(4) % 3
    for _ in range(60):
        discriminator(images, labels)
    weight = discriminator.to_logit.weight
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=1e-3)


def test_reading_the_discriminator_in_eval_mode_leaves_its_power_iteration_alone() -> None:
    discriminator = discriminator_of(Sngan(discriminator_width=8), 16)
    images, labels = torch.rand(4, 1, 16, 16), torch.arange(4) % 3

    def buffers() -> list[torch.Tensor]:
        return [buffer.clone() for buffer in discriminator.buffers()]

    before = buffers()
    discriminator.eval()(images, labels)
    assert all(torch.equal(a, b) for a, b in zip(before, buffers(), strict=True))
    discriminator.train()(images, labels)
    assert not all(torch.equal(a, b) for a, b in zip(before, buffers(), strict=True))


def test_doubling_repeats_and_halving_averages() -> None:
    maps = torch.arange(8.0).view(1, 2, 2, 2)
    doubled = double(maps)
    expected = nn.functional.interpolate(maps, scale_factor=2, mode="nearest")
    assert torch.equal(doubled, expected)
    assert torch.equal(halve(doubled), maps)
