"""What speed and quality are worth: each benchmark a file, compared in pairs within one run.

``python -m tests.benchmarks [NAME ...] [--runs N] [--json]``. A new benchmark is a file with a
function ``run(runs, scratch)`` and its line in ``BENCHMARKS``.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.benchmarks.results import Result

Benchmark = Callable[[int, Path], list[Result]]

BENCHMARKS: dict[str, str] = {
    "search-cost": "search_cost",
    "joint-step": "joint_step",
    "overhead": "overhead",
    "checkpoints": "checkpoints",
    "scale": "scale",
    "slots": "slots",
    "start-up": "start_up",
    "quality": "quality",
    "fidelity": "fidelity",
    "influence": "influence",
}
"""Name on the command line -> module of this folder, in the order in which all are run."""


def load(name: str) -> Benchmark:
    """Return a benchmark: it takes the number of paired runs and an empty folder of its own."""
    benchmark: Benchmark = import_module(f"tests.benchmarks.{BENCHMARKS[name]}").run
    return benchmark
