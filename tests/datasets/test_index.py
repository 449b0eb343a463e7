"""Every kind of the index keeps the contract; a new kind is tested by being listed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ValidationError

from distill_tune.datasets import DATASETS, Dataset, ImageSource

Source = Callable[[str], ImageSource]


class Study(BaseModel):
    data: Dataset


@pytest.fixture
def source(
    tmp_path: Path,
    photo_folder: Callable[[Path, dict[str, int]], Path],
    stored: Callable[[str, Path], Path],
) -> Source:
    def build(kind: str) -> ImageSource:
        values: dict[str, Any] = {"kind": kind}
        if kind == "folder":
            values["root"] = str(photo_folder(tmp_path, {"ape": 9, "bee": 7}))
        elif kind == "npz":
            labels = np.repeat([3, 5], 8)
            images = np.random.default_rng(0).random((16, 8, 8, 3))
            np.savez(tmp_path / "some.npz", x=images, y=labels)
            values["root"] = str(tmp_path / "some.npz")
        elif "root" in DATASETS[kind].model_fields:
            values |= {"root": str(stored(kind, tmp_path)), "download": False}
        return Study.model_validate({"data": values}).data

    return build


def as_rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


@pytest.mark.parametrize("kind", DATASETS)
def test_a_kind_keeps_the_contract_of_image_data(kind: str, source: Source) -> None:
    data = source(kind).load()
    for split in (data.train, data.val):
        assert split.images.dtype == torch.uint8
        assert split.images.is_contiguous()
        assert split.images.shape[1:] == (data.channels, data.image_size, data.image_size)
        assert split.labels.dtype == torch.int64
        assert len(split.labels) == len(split.images)
        assert split.labels.unique().tolist() == list(range(data.num_classes))
    assert len(data.digest) == 16
    assert data.skipped == ()


@pytest.mark.parametrize("kind", DATASETS)
def test_the_splits_of_a_kind_share_no_image_and_come_out_the_same_again(
    kind: str, source: Source
) -> None:
    chosen = source(kind)
    data, again, test = chosen.load(), chosen.load(), chosen.load_test()
    assert data.digest == again.digest
    assert torch.equal(chosen.load_test().images, test.images)
    assert test.images.shape[1:] == data.train.images.shape[1:]
    train, val, held_out = (as_rows(part.images) for part in (data.train, data.val, test))
    assert not train & val
    assert not (train | val) & held_out
    assert held_out


@pytest.mark.parametrize("kind", DATASETS)
def test_a_kind_is_listed_under_its_own_name(kind: str) -> None:
    assert kind in get_args(DATASETS[kind].model_fields["kind"].annotation)


@pytest.mark.parametrize(
    ("kind", "flips"),
    [
        *[(kind, False) for kind in ("digits", "mnist5k", "mnist", "svhn", "npz")],
        *[(kind, True) for kind in ("folder", "cifar10", "cifar100", "stl10", "fashion_mnist")],
    ],
)
def test_only_pictures_that_keep_their_meaning_are_mirrored(
    kind: str, flips: bool, make: Callable[..., ImageSource]
) -> None:
    values = {"root": "here"} if "root" in DATASETS[kind].model_fields else {}
    assert make(kind=kind, **values).flip is flips
    assert make(kind=kind, flip=not flips, **values).flip is not flips


def test_a_kind_survives_being_written_down_and_read_again(
    make: Callable[..., ImageSource],
) -> None:
    first = make(kind="cifar10", train_per_class=20, seed=3)
    assert make(**first.model_dump(mode="json")) == first


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "photos"},
        {"kind": "digits", "root": "unknown key"},
        {"kind": "digits", "train_per_class": 1},
        {"kind": "digits", "val_fraction": 0.0},
        {"kind": "digits", "val_fraction": 0.5, "test_fraction": 0.5},
        {"kind": "digits", "seed": -1},
        {"kind": "digits", "color": "blue"},
        {"kind": "digits", "image_size": "16"},
        {"kind": "folder"},
        {"kind": "folder", "root": "here", "image_size": None},
    ],
)
def test_a_configuration_that_means_nothing_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Study.model_validate({"data": values})
