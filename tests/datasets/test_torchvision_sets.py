"""torchvision's sets: its formats on disk, the sealed test part, downloads that fail."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill_tune.datasets import ImageSource
from distill_tune.datasets.torchvision_sets import KINDS
from distill_tune.errors import InputError

Make = Callable[..., ImageSource]
Stored = Callable[[str, Path], Path]

TEST_FILES = {
    "cifar10": ["cifar-10-batches-py/test_batch"],
    "cifar100": ["cifar-100-python/test"],
    "fashion_mnist": ["FashionMNIST/raw/t10k-images-idx3-ubyte"],
    "mnist": ["MNIST/raw/t10k-images-idx3-ubyte", "MNIST/raw/t10k-images-idx3-ubyte.gz"],
    "stl10": ["stl10_binary/test_X.bin"],
    "svhn": ["test_32x32.mat"],
}


def unpacked_only(root: Path) -> None:
    for archive in root.rglob("*.gz"):
        archive.unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_the_images_are_those_that_torchvision_gives(
    kind: str, tmp_path: Path, stored: Stored, make: Make
) -> None:
    from torchvision import datasets

    stored(kind, tmp_path)
    ours = make(kind=kind, root=str(tmp_path), download=False).load_test()
    names = {"fashion_mnist": "FashionMNIST"}
    base = getattr(datasets, names.get(kind, kind.upper()))
    split: dict[str, Any] = {"split": "test"} if kind in {"svhn", "stl10"} else {"train": False}
    if kind == "stl10":
        base = type("STL10", (base,), {"train_list": []})
    theirs = base(str(tmp_path), **split)
    assert [int(label) for label in ours.labels] == [label for _, label in theirs]
    for image, (picture, _) in zip(ours.images, theirs, strict=True):
        pixels = np.asarray(picture).reshape(*picture.size[::-1], -1)
        np.testing.assert_array_equal(image.numpy(), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_needs_no_file_of_the_test_part(
    kind: str, tmp_path: Path, stored: Stored, make: Make
) -> None:
    stored(kind, tmp_path)
    unpacked_only(tmp_path)
    for name in TEST_FILES[kind]:
        (tmp_path / name).unlink(missing_ok=True)
    source = make(kind=kind, root=str(tmp_path), download=False)
    data = source.load()
    assert len(data.train.labels) == 4 * data.num_classes
    assert len(data.val.labels) == data.num_classes
    with pytest.raises(InputError, match=f" without .*{TEST_FILES[kind][0]}"):
        source.load_test()


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_absent_data_is_told_with_where_what_and_how(
    kind: str, download: bool, tmp_path: Path, make: Make, no_network: list[str]
) -> None:
    root = tmp_path / "absent"
    with pytest.raises(InputError) as caught:
        make(kind=kind, root=str(root), download=download).load()
    text = str(caught.value)
    assert text.startswith(f"data.root: got '{root}' (looked in {root}) without its files")
    assert f"expected {kind} as torchvision keeps it: " in text
    assert "made from http" in text
    assert f"('{root}', " in text
    assert "download=True)" in text
    assert ("the download failed: " in text) is download
    assert bool(no_network) is download
    assert not root.exists()


def test_the_command_in_the_message_is_python_that_torchvision_takes(
    tmp_path: Path, make: Make
) -> None:
    with pytest.raises(InputError) as caught:
        make(kind="svhn", root=str(tmp_path), download=False).load()
    command = str(caught.value).split('python -c "')[1].split('"')[0]
    compile(command, "command", "exec")
    assert command.endswith("split='train', download=True)")


@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "mnist", "fashion_mnist"])
def test_archives_copied_by_hand_are_unpacked_without_a_network(
    kind: str, tmp_path: Path, stored: Stored, make: Make, no_network: list[str]
) -> None:
    stored(kind, tmp_path)
    whole = make(kind=kind, root=str(tmp_path), download=False).load().digest
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix != ".gz":
            path.unlink()
    archives = {path: path.read_bytes() for path in tmp_path.rglob("*.gz")}
    assert make(kind=kind, root=str(tmp_path), download=False).load().digest == whole
    assert {path: path.read_bytes() for path in archives} == archives
    assert no_network == []


class Answer(io.BytesIO):
    """What a server sends."""

    def __init__(self, content: bytes, url: str) -> None:
        super().__init__(content)
        self.length, self.url = len(content), url


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Answer requests with the content that stands here under a file's name."""
    contents: dict[str, bytes] = {}

    def answer(request: Any, *_: object, **__: object) -> Answer:
        return Answer(contents[request.full_url.rsplit("/", 1)[-1]], request.full_url)

    monkeypatch.setattr("urllib.request.urlopen", answer)
    return contents


@pytest.mark.parametrize("kind", ["cifar10", "mnist", "svhn"])
def test_a_download_that_breaks_off_leaves_nothing_and_the_next_one_works(
    kind: str, tmp_path: Path, stored: Stored, make: Make, served: dict[str, bytes]
) -> None:
    original = stored(kind, tmp_path / "server")
    whole = make(kind=kind, root=str(original), download=False).load().digest
    sent = [*original.rglob("*.gz"), *original.rglob("*.mat")]
    for path in sent:
        served[path.name] = path.read_bytes()[: path.stat().st_size // 2]
    root = tmp_path / "here"
    source = make(kind=kind, root=str(root))
    with pytest.raises(InputError, match="the download failed"):
        source.load()
    assert not root.exists()
    for path in sent:
        served[path.name] = path.read_bytes()
    assert source.load().digest == whole
    served.clear()
    assert source.load().digest == whole
    assert len(source.load_test().labels) == 20
    assert not [path.name for path in root.rglob("*") if path.name.startswith(".download")]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_never_taken_for_data(
    kind: str, tmp_path: Path, stored: Stored, make: Make, no_network: list[str]
) -> None:
    stored(kind, tmp_path)
    unpacked_only(tmp_path)
    biggest = max(
        (path for path in tmp_path.rglob("*") if path.is_file() and "t10k" not in path.name),
        key=lambda path: ("test" not in path.name, path.stat().st_size),
    )
    biggest.write_bytes(biggest.read_bytes()[:-100])
    with pytest.raises(InputError, match="with files that are damaged"):
        make(kind=kind, root=str(tmp_path), download=False).load()
    assert no_network == []


def test_a_root_that_is_a_file_is_refused(
    tmp_path: Path, make: Make, no_network: list[str]
) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(InputError, match=r"data\.root"):
        make(kind="mnist", root=str(tmp_path / "file")).load()
    assert no_network == []
