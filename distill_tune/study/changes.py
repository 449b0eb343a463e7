"""Differences between two forms of a study, and which of them a resume accepts."""

from collections.abc import Mapping
from typing import Any

HARMLESS_CHANGES = (
    "search.num_trials",
    "search.time_budget_s",
    "search.max_failures",
    "search.keep_top",
    "search.checkpoint_share",
    "search.controls",
    "search.finalists",
    "search.stop",
    "resources.",
    "data.cache_bytes",
    "confirm",
)
"""Fields that may change when a study is resumed: they do not affect results."""

PLACES = frozenset({"data.root", "data.unlabelled"})
"""Fields that say where images are; their digest shows whether they are the same."""

ALLOWABLE_CHANGES = PLACES | frozenset(
    {
        "version",
        "plugins",
        "data.value_range",  # The images' digest shows whether this matters.
        "search.sampler",
        "search.seed",
        "search.num_startup_trials",
        "search.objectives",
    }
)
"""Fields that may change if the user allows it: they do not affect existing trials. (After a change
of ``data.root``, the digest shows whether the images are the same.)"""


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return ``path: old -> new``, by path, for every leaf in which two plain studies differ.

    Fields in ``HARMLESS_CHANGES`` are left out.
    """
    found: dict[str, str] = {}
    for key in [*old, *(key for key in new if key not in old)]:
        path = f"{prefix}{key}"
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found |= differences(before, after, f"{path}.")
        elif before != after and not path.startswith(HARMLESS_CHANGES):
            found[path] = f"{path}: {before!r} -> {after!r}"
    return found


def completed(stored: Any) -> Any:
    """Return a stored study, in plain data, with fields that were added after it was written.

    Only those whose default would make a resume do something else than the study began with.
    """
    search = stored.get("search") if isinstance(stored, Mapping) else None
    if not isinstance(search, Mapping):
        return stored
    return {**stored, "search": {"controls": [], "triplet": "per_trial", **search}}
