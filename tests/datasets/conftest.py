"""Small data sets on disk, in the formats that real ones have."""

import gzip
import hashlib
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter

from distill_tune.datasets import Dataset, ImageSource, unsealed

Make = Callable[..., ImageSource]
Array = NDArray[Any]


@pytest.fixture(autouse=True)
def _unsealed() -> Iterator[None]:
    """Let the tests look at test splits."""
    with unsealed():
        yield


@pytest.fixture(scope="session")
def make() -> Make:
    """Return what turns plain values into the kind they name."""
    adapter: TypeAdapter[ImageSource] = TypeAdapter(Dataset)
    return lambda **values: adapter.validate_python(values)


def photos(num: int, size: int, seed: int = 0) -> Array:
    """Return random colour images ``[n, size, size, 3]``."""
    return np.random.default_rng(seed).integers(0, 256, (num, size, size, 3), dtype=np.uint8)


@pytest.fixture
def photo_folder() -> Callable[[Path, dict[str, int]], Path]:
    """Return what writes a folder of PNG files, so many for each class."""

    def write(root: Path, counts: dict[str, int]) -> Path:
        for number, (name, count) in enumerate(counts.items()):
            (root / name).mkdir(parents=True)
            for index, pixels in enumerate(photos(count, 8, seed=number)):
                Image.fromarray(pixels).save(root / name / f"{index}.png")
        return root

    return write


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], Path]:
    """Return what writes a small set as torchvision keeps it, with checksums to match."""

    def write(kind: str, root: Path) -> Path:
        writers: dict[str, Callable[[], None]] = {
            "cifar10": lambda: _write_cifar(root, 10, monkeypatch),
            "cifar100": lambda: _write_cifar(root, 100, monkeypatch),
            "fashion_mnist": lambda: _write_mnist(root, "FashionMNIST", monkeypatch),
            "mnist": lambda: _write_mnist(root, "MNIST", monkeypatch),
            "stl10": lambda: _write_stl10(root, monkeypatch),
            "svhn": lambda: _write_svhn(root, monkeypatch),
        }
        writers[kind]()
        return root

    return write


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _write_cifar(root: Path, num_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    base = datasets.CIFAR10 if num_classes == 10 else datasets.CIFAR100
    folder = root / base.base_folder
    folder.mkdir(parents=True)
    key = "labels" if num_classes == 10 else "fine_labels"

    def entry(name: str, per_class: int, seed: int) -> list[str]:
        labels = [label for label in range(num_classes) for _ in range(per_class)]
        data = photos(len(labels), 32, seed).transpose(0, 3, 1, 2).reshape(len(labels), -1)
        (folder / name).write_bytes(pickle.dumps({"data": data, key: labels}))
        return [name, _md5(folder / name)]

    train_names = [name for name, _ in base.train_list]
    per_class = 1 if num_classes == 10 else 5
    train = [entry(name, per_class, seed) for seed, name in enumerate(train_names)]
    monkeypatch.setattr(base, "train_list", train)
    monkeypatch.setattr(base, "test_list", [entry(base.test_list[0][0], 2, seed=9)])
    meta = folder / base.meta["filename"]
    names = [f"class {label:02}" for label in range(num_classes)]
    meta.write_bytes(pickle.dumps({base.meta["key"]: names}))
    monkeypatch.setattr(base, "meta", {**base.meta, "md5": _md5(meta)})
    archive = root / base.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=base.base_folder)
    monkeypatch.setattr(base, "tgz_md5", _md5(archive))


def _write_mnist(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    base = getattr(datasets, name)
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    resources = []
    for part, per_class in (("train", 5), ("t10k", 2)):
        labels = np.repeat(np.arange(10, dtype=np.uint8), per_class)
        images = photos(len(labels), 28, per_class)[..., 0]
        for stem, magic, array in (
            (f"{part}-images-idx3-ubyte", 2051, images),
            (f"{part}-labels-idx1-ubyte", 2049, labels),
        ):
            header = np.array([magic, *array.shape], dtype=">i4").tobytes()
            (folder / stem).write_bytes(header + array.tobytes())
            archive = folder / f"{stem}.gz"
            archive.write_bytes(gzip.compress(header + array.tobytes()))
            resources.append((archive.name, _md5(archive)))
    monkeypatch.setattr(base, "resources", resources)


def _write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    root.mkdir(parents=True, exist_ok=True)
    split_list = {}
    for part, per_class in (("train", 5), ("test", 2)):
        url, name, _ = datasets.SVHN.split_list[part]
        labels = np.repeat(np.arange(1, 11, dtype=np.uint8), per_class)
        images = photos(len(labels), 32, per_class).transpose(1, 2, 3, 0)
        scipy.io.savemat(root / name, {"X": images, "y": labels[:, None]})
        split_list[part] = [url, name, _md5(root / name)]
    monkeypatch.setattr(datasets.SVHN, "split_list", split_list)


def _write_stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    folder = root / datasets.STL10.base_folder
    folder.mkdir(parents=True)
    (folder / "class_names.txt").write_text("".join(f"class {n}\n" for n in range(10)))
    for part, per_class in (("train", 5), ("test", 2)):
        labels = np.repeat(np.arange(1, 11, dtype=np.uint8), per_class)
        (folder / f"{part}_y.bin").write_bytes(labels.tobytes())
        columns_first = photos(len(labels), 96, per_class).transpose(0, 3, 2, 1)
        (folder / f"{part}_X.bin").write_bytes(columns_first.tobytes())
        files = [[name, _md5(folder / name)] for name in (f"{part}_X.bin", f"{part}_y.bin")]
        extra = [["unlabeled_X.bin", "0"]] if part == "train" else []
        monkeypatch.setattr(datasets.STL10, f"{part}_list", files + extra)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Refuse every connection; the list tells which were tried."""
    tried: list[str] = []

    def refuse(request: Any, *_: object, **__: object) -> None:
        tried.append(request.full_url)
        raise OSError("Network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return tried
