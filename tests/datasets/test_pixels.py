"""Images above ``cache_bytes``: in a file instead of memory, with the same numbers."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distill_tune.cluster import shared_images
from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.datasets import unsealed
from distill_tune.datasets.folder import Folder
from distill_tune.datasets.images import pixels
from distill_tune.datasets.images.arrays import with_channels
from distill_tune.datasets.images.pixels import empty, file_of, is_mapped, taken
from distill_tune.distill.compute import large_images
from distill_tune.distill.compute.large_images import parts_of
from distill_tune.distill.trial import Trial
from tests.distill.tiny import CPU, config


@pytest.fixture
def root(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for number in range(20):
            image = random.integers(0, 100 + 100 * label, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path / "images"


@pytest.mark.parametrize("color", ["rgb", "grey"])
def test_the_images_are_the_same_and_lie_in_a_file(root: Path, color: str) -> None:
    kind = {"kind": "folder", "root": str(root), "image_size": 16, "color": color}
    cached, mapped = (
        Folder.model_validate(kind | {"cache_bytes": most}) for most in (1 << 31, 1000)
    )
    one, other = cached.load(), mapped.load()
    assert one.digest == other.digest
    assert one.warnings == other.warnings
    for here, there in ((one.train, other.train), (one.val, other.val)):
        assert torch.equal(here.images, there.images)
        assert torch.equal(here.labels, there.labels)
        assert not file_of(here.images)
        assert Path(file_of(there.images)).stat().st_size == there.images.numel()
    with unsealed():
        assert torch.equal(cached.load_test().images, mapped.load_test().images)


def test_a_trial_with_images_in_a_file_has_the_same_numbers(root: Path) -> None:
    data = {"kind": "folder", "root": str(root), "image_size": 16}
    numbers = []
    for most in (1 << 31, 0):
        own = config(data=data | {"cache_bytes": most}, backbone={"name": "squeezenet1_1"})
        training = own.classifier.model_copy(update={"epochs": 1, "batch_size": 8})
        joint = own.joint.model_copy(update={"epochs": 1, "min_hard": 2, "monitor_images": 20})
        gan = own.gan.model_copy(update={"warmup_steps": 1, "triplet_steps": 1, "judge_steps": 1})
        own = own.model_copy(update={"classifier": training, "joint": joint, "gan": gan})
        *_, last = Trial(own, own.data.load(), CPU).run()
        numbers.append(last.metrics)
    assert numbers[0] == numbers[1]


def test_workers_of_one_machine_read_the_same_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Folder(kind="folder", root=str(root), image_size=16, cache_bytes=0).load()
    for is_one, holds in ((True, str), (False, np.ndarray)):
        monkeypatch.setattr(shared_images, "_is_one_machine", lambda found=is_one: found)
        placed = PlacedImages.of(images)
        assert isinstance(placed.train[0], holds) or isinstance(placed.train[0][0], holds)
        assert torch.equal(placed.images().train.images, images.train.images)
        assert bool(file_of(placed.images().val.images)) is is_one


def test_parts_of_many_images_are_all_of_them_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.arange(7 * 3).view(7, 3)
    assert parts_of(images) == (images,)
    monkeypatch.setattr(large_images, "_MOST", 40)
    monkeypatch.setattr(large_images, "_EACH", 24)
    assert [len(part) for part in parts_of(images)] == [2, 2, 2, 1]
    assert torch.equal(torch.cat(parts_of(images)), images)


def test_a_part_of_a_mapped_array_is_not_taken_for_the_file() -> None:
    images = empty((6, 3, 4, 4), 0)
    images[:] = np.arange(images.size, dtype=np.uint8).reshape(images.shape)
    chosen = np.array([4, 1])
    assert is_mapped(images)
    assert not is_mapped(images[:3])
    assert np.array_equal(taken(images, chosen), np.asarray(images)[chosen])
    assert np.array_equal(taken(images[:3], chosen[1:]), np.asarray(images)[1:2])
    assert np.array_equal(with_channels(images, 1), with_channels(np.asarray(images).copy(), 1))


def test_files_of_killed_processes_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, own = (tmp_path / f"{pixels._PREFIX}{number}-x" for number in (4_194_303, os.getpid()))
    for file in (left, own):
        file.touch()
    empty((1, 3, 4, 4), 0)
    assert not left.exists()
    assert own.exists()
