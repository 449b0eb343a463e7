"""Readable durations, paths, class sizes, params and their names."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from distill_tune.errors import abridged
from distill_tune.records.tables import flat
from distill_tune.records.trials import TrialRecord

_LONGEST, _MOST_SIZES = 40, 20


def cut(name: str) -> str:
    """Return the name of a class, shortened if it is very long."""
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."


def counted(number: int, noun: str) -> str:
    """Return a number of things, such as ``1 trial`` or ``2 trials``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def class_sizes(classes: Sequence[str], counts: Sequence[int]) -> str:
    """Return the sizes of classes in words, the largest first: ``cat 100, dog 40``."""
    pairs = sorted(zip(classes, counts, strict=True), key=lambda pair: -pair[1])
    return abridged([f"{cut(name)} {count}" for name, count in pairs], _MOST_SIZES)


def short_names(trials: Iterable[TrialRecord]) -> dict[str, str]:
    """Return each param's dotted path with its shortest ending that no other param shares."""
    paths = list(dict.fromkeys(path for trial in trials for path in flat(trial.params)))
    return {path: _ending(path, paths) for path in paths}


def _ending(path: str, paths: list[str]) -> str:
    parts = path.split(".")
    for count in range(1, len(parts)):
        ending = ".".join(parts[-count:])
        if sum(f".{other}".endswith(f".{ending}") for other in paths) == 1:
            return ending
    return path


def param_text(value: object) -> str:
    """Return a param as short text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def path_text(path: str) -> str:
    """Return the shortest path to copy: a relative one if it is below the working directory."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def with_spread(value: float | None, spread: float | None) -> str:
    """Return ``0.8120 ± 0.0060``, without a spread ``0.8120``, without a value ``-``."""
    shown = "-" if value is None else f"{value:#.4g}"
    return shown if spread is None else f"{shown} ± {spread:#.2g}"


def duration(seconds: float) -> str:
    """Return ``42s``, ``3m 05s`` or ``2h 07m``; ``?`` for a number that is not finite."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"


def distinct_durations(seconds: Sequence[float]) -> list[str]:
    """Return durations, all to a tenth of a second if some of them would look alike otherwise."""
    shown = [duration(one) for one in seconds]
    return shown if len(set(shown)) == len(shown) else [_to_tenths(one) for one in seconds]


def _to_tenths(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    whole, tenth = divmod(round(10 * seconds), 10)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m {rest:02}.{tenth}s"
    return f"{minutes}m {rest:02}.{tenth}s" if minutes else f"{rest}.{tenth}s"
