"""Images that occur in two splits: scores on them measure memory, not skill."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from distill_tune.datasets.folder_tree.listing import files_below
from distill_tune.datasets.folder_tree.warnings import shown_path
from distill_tune.datasets.image_pool import Indices, Pool
from distill_tune.datasets.images.image_files import image_paths
from distill_tune.datasets.images.printable import counted

_NOUNS = {"train": "training", "val": "validation", "test": "test"}


_TOLD = re.compile(r"\d+ (validation|test) (image|file)s? (is|are) in (train|val) too")


def is_of_shared(warning: str) -> bool:
    """Return whether a warning is one that this module gives."""
    return _TOLD.match(warning) is not None


def digests(pool: Pool, indices: Indices | None = None) -> list[tuple[bytes, str]]:
    """Return each image's digest and file name; the name is empty if there is none.

    Args:
        pool: Images after scaling and cropping, as they are used.
        indices: Positions of the images; None for all. No split is built from them.
    """
    names = pool.names or ("",) * len(pool.images)
    chosen = range(len(pool.images)) if indices is None else indices
    return [
        (hashlib.blake2b(pool.images[index].tobytes(), digest_size=16).digest(), names[index])
        for index in chosen
    ]


def shared_images(splits: dict[str, list[tuple[bytes, str]]]) -> tuple[str, ...]:
    """Return a warning for each pair of splits with images that are equal pixel for pixel.

    Args:
        splits: ``train``, ``val``, ``test``, each with its images' ``digests``.
    """
    known: dict[str, dict[bytes, str]] = {}
    warnings: list[str] = []
    for part, images in splits.items():
        for earlier, others in known.items():
            both = [(name, others[digest]) for digest, name in images if digest in others]
            warnings += _warnings(both, f"{_NOUNS[part]} image", earlier)
        known[part] = dict(images)
    return tuple(warnings)


def shared_files(part: str, folder: Path, tests: Path, root: Path) -> tuple[str, ...]:
    """Return a warning if another part has byte-identical test files; no image is decoded.

    Args:
        part: ``train`` or ``val``.
        folder: Folder of that part.
        tests: Folder of the test part.
        root: Directory of all parts; the warning gives paths relative to it.
    """
    images, others = image_paths(folder), list(files_below(tests))
    # Only files of equal length can be equal; the others are not read.
    lengths = _lengths(images) & _lengths(others)
    known = dict(_contents(images, lengths))
    both = [
        tuple(shown_path(path, root) for path in (other, known[digest]))
        for digest, other in _contents(others, lengths)
        if digest in known
    ]
    return tuple(_warnings([(name, other) for name, other in both], "test file", part))


def _warnings(both: list[tuple[str, str]], noun: str, earlier: str) -> Iterator[str]:
    if both:
        name, other = both[0]
        example = f", such as {name} (same as {other})" if name else ""
        yield f"{counted(len(both), noun)} in {earlier} too{example}"


def _lengths(paths: Iterable[Path]) -> set[int]:
    return {path.stat().st_size for path in paths if path.is_file()} - {0}


def _contents(paths: Iterable[Path], lengths: set[int]) -> Iterator[tuple[bytes, Path]]:
    """Yield the digest and path of each readable file that has one of the lengths."""
    for path in paths:
        with suppress(OSError):
            if path.is_file() and path.stat().st_size in lengths:
                with path.open("rb") as file:
                    yield hashlib.file_digest(file, "blake2b").digest(), path
