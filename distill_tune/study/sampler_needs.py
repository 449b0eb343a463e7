"""What a sampler needs: of a study's space, and of this machine."""

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Final

from distill_tune.errors import InputError, Text
from distill_tune.study.dimensions import Choice, Dimension, Range, Scalar
from distill_tune.study.sections import Search
from distill_tune.study.validation import scalar_text

MAX_GRID_POINTS: Final = 100_000

_WHERE: Final = "search.sampler"


def space_errors(
    search: Search, dimensions: Mapping[str, Dimension], num_backbones: int
) -> Iterator[InputError]:
    """Yield the errors in a study whose sampler cannot search its space."""
    if search.sampler == "cmaes":
        yield from _cmaes_errors(dimensions)
    if search.sampler == "grid" and dimensions:
        yield from _grid_errors(search, dimensions, num_backbones)


def objective_errors(search: Search) -> Iterator[InputError]:
    """Yield the errors in a study's objectives."""
    where, wanted = "search.objectives", (search.metric, "-seconds")
    if not search.objectives:
        return
    if search.objectives != wanted:
        expected = f"[{', '.join(wanted)}], or none: the metric of the search, and less time"
        yield InputError(where, got=list(search.objectives), expected=expected)
    elif search.sampler in {"gp", "cmaes"}:
        got = Text(f"two objectives, and the sampler {search.sampler}")
        yield InputError(where, got=got, expected="one of the samplers tpe, random, qmc, grid")


def noise_errors(search: Search) -> Iterator[InputError]:
    """Yield why the noise of a seed is no reason to stop a search that stops for it."""
    if not search.stop.gain_below_noise:
        return
    where, got = "search.stop.gain_below_noise", Text("true")
    if not search.controls:
        expected = "false, or a control (search.controls), on whose seeds the noise is measured"
        yield InputError(where, got=got, expected=expected)
    if search.objectives:
        expected = "false, as the gain is one of the metric alone, or no search.objectives"
        yield InputError(where, got=got, expected=expected)


def require_package(search: Search) -> None:
    """Raise InputError if this machine lacks the package of the sampler."""
    if search.sampler == "cmaes" and find_spec("cmaes") is None:
        raise InputError(
            _WHERE,
            got=Text("cmaes without the package cmaes"),
            expected="the optional package: pip install 'distill-tune[samplers]'",
        )


def grid_values(dimension: Dimension) -> Sequence[Scalar]:
    """Return all values of a dimension, as the grid has them; empty if they are endless."""
    if isinstance(dimension, Choice):
        return dimension.choices
    return range(int(dimension.min), int(dimension.max) + 1) if dimension.integer else ()


def most_trials(search: Search, dimensions: Mapping[str, Dimension], num_backbones: int) -> int:
    """Return the number of trials of a study; with ``grid``, at most one for each point."""
    if search.sampler != "grid" or not dimensions:
        return search.num_trials
    return min(search.num_trials, _num_points(dimensions) * num_backbones)


def fits_grid(dimensions: Mapping[str, Dimension], num_trials: int, num_backbones: int) -> bool:
    """Return whether so many trials can try every point of a space for every backbone."""
    return 0 < _num_points(dimensions) * num_backbones <= num_trials


def coverage(search: Search, dimensions: Mapping[str, Dimension], num_backbones: int) -> str:
    """Return which part of its grid a study tries; empty if all of it, or with other samplers."""
    if search.sampler != "grid":
        return ""
    size = _num_points(dimensions) * num_backbones
    if search.num_trials >= size:
        return ""
    return f"sampler grid: {search.num_trials} of {size} points are tried, chosen at random"


def _cmaes_errors(dimensions: Mapping[str, Dimension]) -> Iterator[InputError]:
    lists = [path for path, dimension in dimensions.items() if isinstance(dimension, Choice)]
    if lists:
        got = Text(f"cmaes, and a list of values for {', '.join(lists)}")
        expected = "ranges only, as CMA-ES knows no lists; tpe and gp search both"
        yield InputError(_WHERE, got=got, expected=expected)


def _grid_errors(
    search: Search, dimensions: Mapping[str, Dimension], num_backbones: int
) -> Iterator[InputError]:
    endless = {
        path: one for path, one in dimensions.items() if isinstance(one, Range) and not one.integer
    }
    if endless:
        path, one = next(iter(endless.items()))
        few = ", ".join(scalar_text(value) for value in sorted({*one.examples(), one.probe()}))
        got = Text(f"grid, and endlessly many values of {', '.join(endless)}")
        expected = f"lists and randint only, such as {path}: [{few}]"
        yield InputError(_WHERE, got=got, expected=expected)
        return
    size = _num_points(dimensions)
    most = most_trials(search, dimensions, num_backbones)
    if size > MAX_GRID_POINTS:
        got = Text(f"grid, and {size:,} points")
        expected = f"at most {MAX_GRID_POINTS:,}; qmc covers such a space evenly"
        yield InputError(_WHERE, got=got, expected=expected)
    elif search.num_trials > most:
        each = f" for each of {num_backbones} backbones" if num_backbones > 1 else ""
        expected = f"at most {most}: the grid has {size} points{each}"
        yield InputError("search.num_trials", got=search.num_trials, expected=expected)


def _num_points(dimensions: Mapping[str, Dimension]) -> int:
    return math.prod(len(grid_values(dimension)) for dimension in dimensions.values())
