"""The line that tells users where the images of each split come from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from distill_tune.datasets.folder_tree.part_names import Part

_NOUNS: Final[dict[Part, str]] = {"train": "train", "val": "validation", "test": "test"}


def origin(places: Mapping[Part, str], passed: Sequence[str], *, has_test: bool) -> str:
    """Return where train, validation and test come from, and what was passed over.

    Args:
        places: Origin of each part that the source provides; empty text: all of the data.
        passed: Names of the files and folders that were passed over, one each.
        has_test: Whether test images are drawn if the source has no test part.
    """
    texts = [f"{noun} from {places[part]}" for part, noun in _NOUNS.items() if places.get(part)]
    drawn = [_NOUNS[part] for part in _NOUNS if part not in places and (part != "test" or has_test)]
    if drawn:
        texts.append(f"{' and '.join(drawn)} drawn from {places['train'] or 'the same images'}")
    texts += passed_over(passed)
    return ", ".join(texts)


def passed_over(names: Sequence[str]) -> tuple[str, ...]:
    """Return which names were passed over, in a text; none if there are none."""
    counts = Counter(names)
    listed = (f"{name} ({count})" if count > 1 else name for name, count in sorted(counts.items()))
    return (f"passed over: {', '.join(listed)}",) if names else ()
