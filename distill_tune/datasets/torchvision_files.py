"""Locations of torchvision's data set files, and downloads that leave only whole files."""

import http.client
import socket
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

TIMEOUT_S = 20.0
"""How long a server may stay silent before a download counts as failed."""
FETCH_ERRORS = (
    OSError,  # No network, no such host, a time-out, a full disk.
    RuntimeError,  # From torchvision: a wrong checksum, no mirror left.
    EOFError,
    tarfile.TarError,
    zlib.error,
    http.client.HTTPException,
)
READ_ERRORS = (
    OSError,
    RuntimeError,  # From torchvision: a file is missing or has a wrong checksum.
    EOFError,
    ValueError,
    TypeError,
    AssertionError,  # From torchvision, for a truncated file.
)
_CLASS_NAMES = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "fashion_mnist": "FashionMNIST",
    "mnist": "MNIST",
    "stl10": "STL10",
    "svhn": "SVHN",
}


@dataclass(frozen=True)
class Layout:
    """The files of one part of one data set, relative to the root.

    Attributes:
        dataset: torchvision's class, narrowed to open only the files of this part; the original
            would checksum the test images of CIFAR and STL-10 before it reads the others.
        files: All required files.
        archives: Files as downloaded, with their MD5; if they are present, no network is needed.
        urls: Sources of the files.
    """

    dataset: Any
    files: tuple[str, ...]
    archives: tuple[tuple[str, str], ...]
    urls: tuple[str, ...]


def layout(kind: str, part: Literal["train", "test"]) -> Layout:
    """Return the files of a part of the data set ``kind``."""
    base = dataset_class(kind)
    if kind in {"mnist", "fashion_mnist"}:
        return _mnist_layout(base, part)
    if kind == "svhn":
        url, file, _ = base.split_list[part]
        return Layout(base, (file,), (), (url,))
    train = base.train_list if part == "train" else []
    test = base.test_list if part == "test" else []
    extra = base.class_names_file if kind == "stl10" else base.meta["filename"]
    if kind == "stl10":
        train = [item for item in train if not item[0].startswith("unlabeled")]
    narrowed = type(base.__name__, (base,), {"train_list": train, "test_list": test})
    names = [name for name, _ in train + test] + [extra]
    files = tuple(f"{base.base_folder}/{name}" for name in names)
    return Layout(narrowed, files, ((base.filename, base.tgz_md5),), (base.url,))


def dataset_class(kind: str) -> Any:
    """Return torchvision's own class."""
    from torchvision import datasets

    return getattr(datasets, _CLASS_NAMES[kind])


def _mnist_layout(base: Any, part: Literal["train", "test"]) -> Layout:
    prefix = "train" if part == "train" else "t10k"
    resources = [item for item in base.resources if item[0].startswith(prefix)]
    folder = f"{base.__name__}/raw"
    return Layout(
        # torchvision names the folder after the class, so the name must stay.
        dataset=type(base.__name__, (base,), {"resources": resources}),
        files=tuple(f"{folder}/{Path(name).stem}" for name, _ in resources),
        archives=tuple((f"{folder}/{name}", md5) for name, md5 in resources),
        urls=tuple(f"{base.mirrors[0]}{name}" for name, _ in resources),
    )


def has_archives(root: Path, archives: tuple[tuple[str, str], ...]) -> bool:
    """Return whether all archives are present and intact."""
    from torchvision.datasets.utils import check_integrity

    return bool(archives) and all(check_integrity(root / name, md5) for name, md5 in archives)


def fetch(kind: str, part: Literal["train", "test"], root: Path, *, download: bool) -> None:
    """Fetch the files into ``root`` from archives there, or else from the network.

    A download covers both parts, so that the test images are available offline later; nothing reads
    them here. Files are made in a temporary folder and moved when complete, so an interruption
    leaves nothing that looks like data.

    Raises:
        FETCH_ERRORS: The fetch failed; ``root`` is unchanged.
    """
    here = layout(kind, part)
    local = has_archives(root, here.archives)
    if not (local or download):
        return
    is_new = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(dir=root, prefix=".download-") as folder, _time_limit():
            _make_files(kind, Path(folder), archives_in=root, only=here if local else None)
            _move_files(Path(folder), root)
    except FETCH_ERRORS:
        if is_new:
            with suppress(OSError):
                root.rmdir()
        raise


def _make_files(kind: str, folder: Path, *, archives_in: Path, only: Layout | None) -> None:
    """Let torchvision unpack or download into ``folder``: one layout or everything."""
    from torchvision.datasets.utils import download_url

    base = dataset_class(kind)
    if kind == "svhn":
        for part in ("train", "test"):
            url, file, md5 = base.split_list[part]
            download_url(url, str(folder), file, md5)
        return
    if only:
        for name, _ in only.archives:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(archives_in / name)
    (only.dataset if only else base)(str(folder), download=True)


def _move_files(folder: Path, root: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.is_symlink() or path.suffix == ".gz":
            continue
        target = root / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


@contextmanager
def _time_limit() -> Iterator[None]:
    """Limit the wait for a silent server; torchvision itself would wait forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
