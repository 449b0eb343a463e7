"""What a benchmark found: a ratio of paired runs, its limit, and the text that records it."""

import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

RESULTS = Path(__file__).with_name("RESULTS.md")
FEWEST_RUNS = 5
"""Paired runs below which nothing is written into the results."""

_PACKAGES = ("torch", "torchvision", "ray", "optuna", "distill-tune")


@dataclass(frozen=True)
class Result:
    """One comparison.

    Attributes:
        name: What it is called, such as ``joint-step``; several comparisons of one benchmark are
            told apart by a slash, such as ``search-cost/ray``.
        what: The ratio in words, such as ``seconds of plain Ray Tune / of distill-tune``.
        ratios: Of each paired run.
        floor: The limit that the median has to keep.
        bound: Whether the floor is the least (``at least``) or the greatest (``at most``) value.
        numbers: What else was measured, by name with its unit, such as ``ours, s``.
        notes: What a reader has to know to believe it.
        data: What ``--json`` prints beside all this, by name, at the top of its object.
    """

    name: str
    what: str
    ratios: Sequence[float]
    floor: float
    bound: Literal["at least", "at most"]
    numbers: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The median of the paired runs."""
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        """Whether the median keeps the floor."""
        return self.ratio >= self.floor if self.bound == "at least" else self.ratio <= self.floor

    @property
    def slack(self) -> float:
        """How far the median is on the right side of the floor: below 1 it is missed."""
        return self.ratio / self.floor if self.bound == "at least" else self.floor / self.ratio

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {
            "name": self.name,
            "ratio": round(self.ratio, 4),
            "floor": self.floor,
            "bound": self.bound,
            "is_met": self.is_met,
            "ratios": [round(ratio, 4) for ratio in self.ratios],
            "numbers": dict(self.numbers),
        }


def as_object(results: Sequence[Result]) -> dict[str, Any]:
    """Return one JSON object: the result nearest to its floor (or farthest below), and all.

    The ``data`` of every result stands beside them.
    """
    hardest = min(results, key=lambda result: result.slack)
    data = {name: value for result in results for name, value in result.data.items()}
    return data | hardest.as_json() | {"results": [result.as_json() for result in results]}


def paired(
    first: Callable[[], float], second: Callable[[], float], runs: int
) -> list[tuple[float, float]]:
    """Measure two things in turns, A B A B, so that a machine's moods hit both alike.

    Args:
        first: Runs once and returns what it took.
        second: The same of the other.
        runs: Number of pairs.
    """
    return [(first(), second()) for _ in range(runs)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return ``median (least-greatest)``."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def table(results: Sequence[Result]) -> Table:
    """Return the ratios as a table for the terminal."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("benchmark", "ratio", "spread", "floor", "", "what"):
        shown.add_column(heading, justify="right" if heading in {"ratio", "floor"} else "left")
    for result in results:
        shown.add_row(
            result.name,
            f"{result.ratio:.3g}",
            f"{min(result.ratios):.3g}-{max(result.ratios):.3g} (n={len(result.ratios)})",
            f"{'>=' if result.bound == 'at least' else '<='} {result.floor:g}",
            "met" if result.is_met else "[bold red]missed[/]",
            result.what,
        )
    return shown


def machine() -> str:
    """Return processor, GPUs, Python and the versions that the numbers depend on."""
    import os

    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    parts = [_processor(), f"{os.cpu_count()} cores", ", ".join(names) or "no GPU"]
    parts.append(f"Python {platform.python_version()}")
    for package in _PACKAGES:
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        for line in cpus.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_results(name: str, command: str, results: Sequence[Result], path: Path = RESULTS) -> None:
    """Replace a benchmark's section in the results, which keep all others as they are."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    heading = f"## {name}\n"
    section = f"{heading}\n{_section(command, results)}\n"
    before, found, rest = text.partition(f"\n{heading}")
    if not found:
        path.write_text(f"{text.rstrip()}\n\n{section}", encoding="utf-8")
        return
    _, mark, after = rest.partition("\n## ")
    path.write_text(f"{before}\n{section}{mark}{after}", encoding="utf-8")


def _section(command: str, results: Sequence[Result]) -> str:
    today = datetime.now(UTC).date().isoformat()
    lines = [f"`{command}`, {today}, {machine()}.", ""]
    lines += ["| ratio | median (spread) | floor | |", "|---|---|---|---|"]
    for result in results:
        lines.append(
            f"| {result.what} | **{result.ratio:.3g}** ({min(result.ratios):.3g}-"
            f"{max(result.ratios):.3g}, {len(result.ratios)} pairs) | {result.bound} "
            f"{result.floor:g} | {'met' if result.is_met else 'missed'} |"
        )
    for result in results:
        if result.numbers:
            lines += ["", f"{result.name}:", ""]
            lines += [f"- {name}: {value}" for name, value in result.numbers.items()]
        lines += ["", *result.notes] if result.notes else []
    return "\n".join(lines) + "\n"
