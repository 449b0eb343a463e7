"""Where torchvision keeps the files of its data sets, and how they get there whole."""

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
    RuntimeError,  # torchvision's: a wrong checksum, no mirror left.
    EOFError,
    tarfile.TarError,
    zlib.error,
    http.client.HTTPException,
)
READ_ERRORS = (
    OSError,
    RuntimeError,  # torchvision's: a file is missing or has a wrong checksum.
    EOFError,
    ValueError,
    TypeError,
    AssertionError,  # torchvision's, for a file cut short.
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
        dataset: torchvision's class, narrowed so that it opens this part's files only: its own
            would checksum the test images of CIFAR and STL-10 before it reads the others.
        files: Every file that has to be there.
        archives: Files as downloaded with their MD5; whoever copied them here needs no network.
        urls: Where they are from.
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
        # The class's own name is the folder's, so it has to stay.
        dataset=type(base.__name__, (base,), {"resources": resources}),
        files=tuple(f"{folder}/{Path(name).stem}" for name, _ in resources),
        archives=tuple((f"{folder}/{name}", md5) for name, md5 in resources),
        urls=tuple(f"{base.mirrors[0]}{name}" for name, _ in resources),
    )


def has_archives(root: Path, archives: tuple[tuple[str, str], ...]) -> bool:
    """Return whether all archives are there and whole."""
    from torchvision.datasets.utils import check_integrity

    return bool(archives) and all(check_integrity(root / name, md5) for name, md5 in archives)


def fetch(kind: str, part: Literal["train", "test"], root: Path, *, download: bool) -> None:
    """Bring the files into ``root`` from archives that lie there, or else from the network.

    From the network both parts come, so that the test images are there when the network is not;
    nothing reads them here. The files are made in a folder beside and moved in when whole, so
    whatever breaks off leaves nothing that looks like data.

    Raises:
        FETCH_ERRORS: It did not work; ``root`` is as it was.
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
    """Limit the silence of a server; torchvision itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
