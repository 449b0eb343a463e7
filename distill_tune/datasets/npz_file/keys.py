"""Names of the arrays in an ``.npz`` file: which hold the images and the labels of which part."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.errors import InputError, Text

Pair = tuple[str, str]
"""Keys of images and of their labels."""

EXPECTED_KEYS: Final = (
    "x_train and y_train (also _val, _test), train_images and train_labels (also val_, test_), "
    "x and y, or images and labels"
)
_POOLS: Final[tuple[Pair, ...]] = (("x", "y"), ("images", "labels"))
_WORDS: Final[dict[Part, tuple[str, ...]]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
}
_LABELS: Final = frozenset({"y", "label", "labels", "classes"})
_MAYBE_USED: Final = ("x", "y", "images", "label", "train_", "val_", "valid", "test_")


def part_keys(found: Sequence[str]) -> dict[Part, Pair]:
    """Return the keys of images and labels for the parts that exist, as the file spells them.

    Upper and lower case are the same.

    Args:
        found: Keys in the file.

    Raises:
        InputError: There is no train part, or a part is there twice, or without labels or images.
    """
    spelled: dict[str, list[str]] = {}
    for key in found:
        spelled.setdefault(key.casefold(), []).append(key)
    keys: dict[Part, Pair] = {}
    for part, words in _WORDS.items():
        whole = [pair for pair in _pairs(words) if set(pair) <= spelled.keys()]
        plain = (f"x_{part}", f"y_{part}")
        if whole or set(plain) & set(found):
            keys[part] = _only(part, whole or [plain], spelled)
    if not keys:
        pools = [pair for pair in _POOLS if set(pair) <= spelled.keys()]
        keys = {"train": _only("train", pools, spelled)} if pools else {}
    begun = [pair for pair in _pairs(_WORDS["train"]) if set(pair) & spelled.keys()]
    wanted = [key for pair in (keys.values() or begun[:1]) for key in pair]
    missing = [key for key in wanted if key not in found and key not in spelled]
    if missing or "train" not in keys:
        listed = ", ".join(sorted(found)) or "nothing"
        got = f"the keys {listed}" + (f" without {', '.join(missing)}" if missing else "")
        raise InputError("data.root", got=Text(got), expected=EXPECTED_KEYS)
    return keys


def is_named_for_labels(key: str) -> bool:
    """Return whether a key stands for labels or class names: ``y_val``, ``train_labels``."""
    return not _LABELS.isdisjoint(key.casefold().split("_"))


def looks_used(key: str) -> bool:
    """Return whether a key that no part has looks like images, labels or class names."""
    return key.casefold().startswith(_MAYBE_USED) or "class" in key.casefold()


def _pairs(words: Sequence[str]) -> Iterator[Pair]:
    """Yield every spelling of a part's keys, in lower case."""
    for word in words:
        for images, labels in _POOLS:
            yield f"{images}_{word}", f"{labels}_{word}"
            yield f"{word}_{images}", f"{word}_{labels}"


def _only(part: Part, pairs: Sequence[Pair], spelled: Mapping[str, list[str]]) -> Pair:
    """Return the only pair, as the file spells it; refuse several."""
    for place, noun in enumerate(("images", "labels")):
        double = [key for pair in pairs for key in spelled.get(pair[place], [])]
        if len(double) > 1:
            raise InputError(
                "data.root",
                got=Text(f"{' and '.join(double)}, which each hold {noun} of {part}"),
                expected="one of them; leave the others out, or give them other names",
            )
    images, labels = pairs[0]
    return spelled.get(images, [images])[0], spelled.get(labels, [labels])[0]
