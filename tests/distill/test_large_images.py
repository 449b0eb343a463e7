"""Many large images: batches and blocks of bounded memory, with the same numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from distill_tune.distill.compute import large_images
from distill_tune.distill.compute.batches import ExtraBatch
from distill_tune.distill.compute.large_images import (
    column_blocks,
    forward_batch,
    joined,
    made_together,
    pixels_of,
)
from distill_tune.distill.extra_images import ExtraImages
from distill_tune.distill.hardness import score
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring import evaluation
from distill_tune.distill.monitoring.by_class import class_results
from distill_tune.distill.monitoring.diversity import effective_rank, within_class_distance
from distill_tune.distill.monitoring.evaluation import batch_size, reestimate_batch_norm
from distill_tune.distill.monitoring.fidelity import FidelityTest
from distill_tune.distill.trial import Trial
from distill_tune.training.tensorboard.image_grid import image_grid
from tests.distill.conftest import Begin
from tests.distill.tiny import CPU


class _Largest(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that was computed."""

    num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for one in found if isinstance(found, tuple | list) else (found,):
            if isinstance(one, Tensor):
                self.num_bytes = max(self.num_bytes, one.numel() * one.element_size())
        return found


@contextmanager
def limits(forward: int, whole: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_images, "_FORWARD", forward)
        patch.setattr(large_images, "_WHOLE", whole)
        patch.setattr(large_images, "_BLOCK", whole)
        yield


def noise(count: int, *shape: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    return images // torch.arange(1, count + 1, dtype=torch.uint8).view(-1, *[1] * len(shape))


def test_the_batch_of_a_forward_pass_is_bounded_by_the_bytes_of_its_images() -> None:
    assert forward_batch((3, 64, 64), 250) == forward_batch((1, 128, 128), 250) == 250
    assert forward_batch((3, 224, 224), 250) == 27
    assert forward_batch((3, 1024, 1024), 250) == 8


def test_a_classifier_that_scales_images_up_gets_fewer_at_a_time(at_joint: Begin) -> None:
    classifier = at_joint().state.classifier
    small = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert batch_size(small, classifier) == 250
    classifier.input_size = 224
    assert batch_size(small, classifier) == 27
    assert batch_size(small, nn.Identity()) == 250


def test_measures_of_pixels_are_the_same_in_blocks_of_columns() -> None:
    images, labels = noise(12, 3, 40, 40), torch.arange(12) % 2
    for given in (images, pixels_of(images).view(images.shape)):
        whole = effective_rank(given), within_class_distance(given, labels)
        with limits(1 << 24, 1 << 14):
            assert len(column_blocks(given.flatten(1))) > 10
            parts = effective_rank(given), within_class_distance(given, labels)
        assert parts == pytest.approx(whole, rel=1e-5)
    assert effective_rank(images) == effective_rank(pixels_of(images))
    with limits(1 << 24, 1 << 14):
        assert effective_rank(torch.full_like(images, 7)) == 0
        # More rows than columns: their Gram matrix would be the larger one.
        assert effective_rank(torch.eye(2000, 4)) == pytest.approx(4, abs=0.01)


def test_measures_of_large_images_never_hold_them_all_as_numbers() -> None:
    images, labels = noise(20, 3, 64, 64), torch.arange(20) % 4
    with limits(1 << 24, 1 << 16), _Largest() as largest:  # type: ignore[no-untyped-call]
        effective_rank(images)
        within_class_distance(images, labels)
    # The bytes of the images themselves; as float32 they take four times as much.
    assert largest.num_bytes <= images.numel()


@pytest.mark.parametrize("count", [1, 7])
def test_joined_batches_are_their_concatenation(count: int) -> None:
    images = pixels_of(noise(count, 3, 8, 8)).view(count, 3, 8, 8)
    with limits(1 << 24, 1 << 9):
        assert torch.equal(joined(iter(images.split(2)), count), images)


def test_a_trial_measures_the_same_with_a_few_images_at_a_time(at_joint: Begin) -> None:
    running = at_joint()
    trainer, data = running.trainer, running.data
    latent = trainer.latent("monitor", 60)

    def measured() -> list[float]:
        test = FidelityTest.of(trainer.state.gan.judge, data)
        made = trainer.synthesise(trainer.latent("monitor", 500, 3)._replace(labels=test.labels))
        rows = class_results(trainer, copy_weights(running.state.reference))
        losses = score(running.state.reference, data, running.config, 0).losses
        by_class = [value for row in rows for value in row if value is not None]
        spread = trainer.synthesise(latent).std().item()
        fidelity = test.of_images(made, 1)
        return [*fidelity, test.rank_ratio(made), spread, *by_class, *losses.tolist()]

    whole, sizes = measured(), list[int]()
    networks = (running.state.gan.ema, running.state.gan.judge, running.state.reference.body)
    for network in networks:
        network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    with limits(forward=20 * 4 * 64, whole=60 * 4 * 64):
        assert measured() == pytest.approx(whole, rel=1e-4, abs=1e-5)
    assert max(sizes) == 20


def extra_batch(running: Trial, count: int) -> ExtraBatch:
    """Return the extra images of a step."""
    extra, execution = ExtraImages(running.trainer), running.trainer.execution
    found = extra.batch(count, 1.0, whole_step=3, weight=1.0, execution=execution)
    assert found is not None
    return found


def noted_sizes(network: nn.Module) -> list[int]:
    """Return the numbers of images of the network's batches from now on."""
    sizes = list[int]()
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


def test_large_synthetic_images_are_made_a_few_at_a_time(at_joint: Begin) -> None:
    running = at_joint()
    whole = extra_batch(running, 50)
    sizes = noted_sizes(running.state.gan.ema.module)
    with limits(forward=20 * 4 * 64, whole=49 * 4 * 64):
        parts = extra_batch(running, 50)
    assert sizes == [20, 20, 10]
    with limits(forward=20 * 4 * 64, whole=50 * 4 * 64):
        extra_batch(running, 50)
    assert sizes[3:] == [50], "what needs little memory stays in one piece"
    assert torch.equal(parts.labels, whole.labels)
    assert torch.allclose(parts.images, whole.images, atol=1e-6)


def test_a_gpu_makes_all_synthetic_images_at_once() -> None:
    shape = (3, 224, 224)
    assert made_together(1000, shape, torch.device("cuda")) == 1000
    assert made_together(1000, shape, CPU) == 27
    assert made_together(100, shape, CPU) == 100


@pytest.mark.parametrize("selection", ["agree", "hard"])
def test_candidates_are_selected_a_few_images_at_a_time(at_joint: Begin, selection: str) -> None:
    running = at_joint(joint={"selection": selection, "candidates": 4})
    whole = extra_batch(running, 40)
    sizes = noted_sizes(running.state.gan.ema.module)
    with limits(forward=1 << 24, whole=30 * 4 * 64):
        parts = extra_batch(running, 40)
    assert sizes == [28] * 5 + [20]
    assert torch.equal(parts.labels, whole.labels)
    assert torch.allclose(parts.images, whole.images, atol=1e-6)


def test_statistics_of_batch_norm_are_averages_over_equal_batches(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = at_joint()
    classifier, images = running.state.classifier, running.data.train.images[:41]
    sizes: list[int] = []
    classifier.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    monkeypatch.setattr(large_images, "_FEWEST", 2)
    with limits(forward=20 * 4 * 64, whole=1 << 27):
        reestimate_batch_norm(classifier, images)
    assert sizes == [14, 14, 13]
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 20)
    sizes.clear()
    reestimate_batch_norm(classifier, images)
    assert sizes == [14, 14, 13]


def test_a_grid_of_images_is_the_same_image_by_image() -> None:
    images = torch.linspace(-1.5, 1.5, 3 * 3 * 8 * 8).view(3, 3, 8, 8)
    images[0, 0, 0, 0] = torch.nan
    grid = image_grid(images, columns=3, min_pixels=16, gap=0)
    pixels = ((images.nan_to_num(0.0).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    for number, one in enumerate(pixels):
        large = one.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
        assert torch.equal(grid[:, :, 16 * number : 16 * (number + 1)], large)
