"""One step of the GAN: what it changes, what it must not touch, what it depends on."""

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from distill_tune.distill.compute.random_streams import stream
from distill_tune.distill.gan_draws import GanDraws, Latent
from distill_tune.distill.gans import Sngan
from distill_tune.distill.losses import triplet_loss
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.pairing import pair
from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData
from tests.distill.conftest import Begin
from tests.distill.tiny import differences, trial


def others(running: Trial) -> dict[str, nn.Module]:
    """Return every network but the GAN's own."""
    state = running.state
    return {"F": state.classifier, "Fs": state.snapshot, "F_ref": state.reference}


def batch(running: Trial, count: int = 30) -> tuple[Tensor, Latent]:
    """Return the generator's images in training mode, with gradient, and what they stand for."""
    latent = running.trainer.latent("z", count, 99)
    images: Tensor = running.state.gan.generator.train()(*latent, 1.0)
    return images, latent


def test_each_step_seeds_the_random_state_that_a_plugins_dropout_draws_from(
    at_joint: Begin,
) -> None:
    running, again = at_joint(), at_joint()
    torch.manual_seed(1)
    running.trainer.step(lr=1e-3, triplet_weight=2.0)
    first = torch.initial_seed()
    running.trainer.step(lr=1e-3, triplet_weight=2.0)
    assert torch.initial_seed() != first
    torch.manual_seed(2)
    again.trainer.step(lr=1e-3, triplet_weight=2.0)
    assert torch.initial_seed() == first


def test_the_triplet_gradient_reaches_the_generator_and_nothing_else(at_joint: Begin) -> None:
    running = at_joint()
    images, latent = batch(running)
    running.trainer.triplet_hinge(images, latent.labels, 0).mean().backward()
    gan = running.state.gan
    for name, parameter in gan.generator.named_parameters():
        assert parameter.grad is not None, name
    assert any(bool((p.grad != 0).any()) for p in gan.generator.parameters() if p.grad is not None)
    for network in (*others(running).values(), gan.discriminator, gan.ema):
        assert all(parameter.grad is None for parameter in network.parameters())


def test_a_gan_step_leaves_weights_buffers_modes_and_gradients_of_classifiers(
    at_joint: Begin,
) -> None:
    running = at_joint()
    running.state.classifier.train()
    for parameter in running.state.classifier.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    before = {name: copy_weights(network) for name, network in others(running).items()}
    optimizer = copy_weights(running.state.classifier)
    for _ in range(3):
        running.trainer.step(lr=1e-3, triplet_weight=2.0)
    for name, network in others(running).items():
        assert differences(before[name], copy_weights(network)) == [], name
        assert all(module.training == (name == "F") for module in network.modules()), name
    assert differences(optimizer, copy_weights(running.state.classifier)) == []
    for parameter in running.state.classifier.parameters():
        assert parameter.grad is not None
        assert bool((parameter.grad == 7).all())
    assert all(parameter.grad is None for parameter in running.state.snapshot.parameters())
    assert running.state.optimizer.state_dict()["state"] == {}


def test_the_snapshot_is_in_eval_mode_whenever_it_is_asked(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = trial(digits, joint={"refresh": 1})
    snapshot = running.state.snapshot
    modes = []
    original = snapshot.features

    def watched(images: Tensor) -> Tensor:
        modes.append(any(module.training for module in snapshot.modules()))
        return original(images)

    monkeypatch.setattr(snapshot, "features", watched)
    for _ in running.run():
        assert not any(module.training for module in snapshot.modules())
        assert not any(parameter.requires_grad for parameter in snapshot.parameters())
    assert len(modes) > 15
    assert not any(modes)


def test_the_hinge_is_the_loss_of_features_pairs_and_margin(at_joint: Begin) -> None:
    running = at_joint(joint={"margin": 0.4, "pairing": "class"})
    images, latent = batch(running)
    sets = running.state.sets
    assert sets is not None
    anchors = running.state.snapshot.features(images)
    pairs = pair(anchors, latent.labels, sets, "class", stream(0, "pairing", 5))
    expected = triplet_loss(
        anchors, sets.features[pairs.hard], sets.features[pairs.easy], margin=0.4, unit=sets.scale
    )
    assert torch.equal(running.trainer.triplet_hinge(images, latent.labels, 5), expected)


def test_the_triplet_loss_is_float32_inside_autocast(at_joint: Begin) -> None:
    running = at_joint()
    images, latent = batch(running)
    exact = running.trainer.triplet_hinge(images, latent.labels, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = running.trainer.triplet_hinge(images.bfloat16().float(), latent.labels, 0)
        same = running.trainer.triplet_hinge(images, latent.labels, 0)
    assert inside.dtype == torch.float32
    assert torch.equal(exact, same)


def test_the_active_share_grows_with_the_margin(at_joint: Begin) -> None:
    shares = []
    for margin in (0.0, 0.2, 0.5, 1.0, 2.0, 5.0):
        running = at_joint(joint={"margin": margin, "pairing": "class"})
        images, latent = batch(running, 100)
        hinge = running.trainer.triplet_hinge(images, latent.labels, 0)
        shares.append((hinge > 0).float().mean().item())
    assert shares == sorted(shares)
    assert shares[0] < 0.9 < shares[-1] == 1


def test_a_step_without_weight_reports_no_triplet_loss(at_joint: Begin) -> None:
    losses = at_joint().trainer.step(lr=1e-3, triplet_weight=0.0)
    assert losses.triplet.item() == losses.active.item() == 0
    with_weight = at_joint().trainer.step(lr=1e-3, triplet_weight=1.0)
    assert with_weight.triplet.item() > 0
    assert with_weight.generator.item() == losses.generator.item()


def test_a_step_depends_on_the_state_and_nothing_else(at_joint: Begin) -> None:
    one, other = at_joint(), at_joint()
    one.trainer.step(lr=1e-3, triplet_weight=0.5)
    torch.rand(1000)
    other.trainer.step(lr=1e-3, triplet_weight=0.5)
    assert differences(one.state.gan.state_dict(), other.state.gan.state_dict()) == []


def test_the_learning_rate_is_that_of_the_step(at_joint: Begin) -> None:
    running = at_joint()
    for lr in (1e-4, 1e-3):
        before = copy_weights(running.state.gan.generator)
        running.trainer.step(lr=lr, triplet_weight=0.0)
        after = copy_weights(running.state.gan.generator)
        move = (after["to_image.weight"] - before["to_image.weight"]).abs().max().item()
        assert lr / 10 < move < 10 * lr
        gan = running.state.gan
        for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer):
            assert [group["lr"] for group in optimizer.param_groups] == [lr]


def averaged(old: Tensor, new: Tensor, count: int, decay: float) -> Tensor:
    weight = 1 - min(decay, (1 + count) / (10 + count))
    return torch.lerp(old, new, weight)


def test_the_average_follows_weights_and_buffers_alike(digits: ImageData) -> None:
    running = trial(digits, gan={"ema_decay": 0.3})
    gan = running.state.gan
    running.trainer.step(lr=1e-2, triplet_weight=0.0)
    expected = copy_weights(gan.generator)
    assert differences(expected, copy_weights(gan.ema.module)) == []
    for count in (1, 2, 3, 4):
        running.trainer.step(lr=1e-2, triplet_weight=0.0)
        for name, value in copy_weights(gan.generator).items():
            is_float = value.is_floating_point()
            expected[name] = averaged(expected[name], value, count, 0.3) if is_float else value
    assert differences(expected, copy_weights(gan.ema.module)) == []
    for name in ("norm.running_mean", "blocks.0.norm1.norm.running_var"):
        assert not torch.equal(expected[name], copy_weights(gan.generator)[name])
    assert isinstance(gan.ema, AveragedModel)
    assert not any(module.training for module in gan.ema.modules())


def test_the_class_signal_is_ramped_in_over_the_first_steps(digits: ImageData) -> None:
    running = trial(digits, gan={"class_ramp_steps": 4})
    signals = []
    for step in range(7):
        running.state.gan.step = step
        signals.append(running.trainer.class_signal())
    assert signals == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    for warmup_steps in (0, "auto"):
        gan = {"class_ramp_steps": 0, "warmup_steps": warmup_steps}
        assert trial(digits, gan=gan).trainer.class_signal() == 1


def test_an_automatic_number_of_discriminator_steps_depends_on_the_device() -> None:
    assert Sngan().num_discriminator_steps(is_gpu=True) == 2
    assert Sngan().num_discriminator_steps(is_gpu=False) == 1
    assert Sngan(discriminator_steps=3).num_discriminator_steps(is_gpu=False) == 3


def test_every_discriminator_step_has_its_own_images(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = trial(digits, gan={"discriminator_steps": 3})
    drawn = []
    original = GanDraws.real_batch

    def watched(self: GanDraws, step: int, repeat: int) -> tuple[Tensor, Tensor]:
        real = original(self, step, repeat)
        drawn.append(real[0])
        return real

    monkeypatch.setattr(GanDraws, "real_batch", watched)
    running.trainer.step(lr=1e-3, triplet_weight=0.0)
    assert len(drawn) == 3
    assert not torch.equal(drawn[0], drawn[1])


def test_the_discriminator_sees_all_training_images_class_by_class(digits: ImageData) -> None:
    running = trial(digits, gan={"batch_size": 2000})
    images, labels = running.trainer.real_batch(0, 0)
    counts = torch.bincount(labels)
    assert 150 < counts.min().item() <= counts.max().item() < 250
    assert len(images.flatten(1).unique(dim=0)) == 160
    shown = {tuple(row.tolist()): int(label) for row, label in zip(images.flatten(1), labels)}  # noqa: B905
    train = running.data.train
    for row, label in zip(train.images.flatten(1).float() / 127.5 - 1, train.labels, strict=True):
        assert shown[tuple(row.tolist())] == int(label)
