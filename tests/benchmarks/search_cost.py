"""What a search costs: ours against the same search written by hand, in plain Ray Tune and Optuna.

Same study (data, backbone, procedure, space, seeds, number of trials), each as one command, timed
from its start to its exit: ``search_cost.yaml``, whose warm-up is longest, and
``search_cost_cifar10.yaml``, whose stages have the proportions of ``search_spaces/cifar10``.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from distill_tune.interfaces import plain
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.opening import read_study
from distill_tune.study.validation import to_yaml
from tests.benchmarks.processes import timed
from tests.benchmarks.results import Result, spread

STUDY, CIFAR10 = (
    Path(__file__).with_name(f"{name}.yaml") for name in ("search_cost", "search_cost_cifar10")
)
RIVALS = {"ray": "plain Ray Tune", "optuna": "plain Optuna"}
FLOOR = 4.0

_NOTES = (
    """\
The scripts in `tests/benchmarks/rivals/` use our networks and losses, and fused optimisers; their
loops, `DataLoader` over PIL images, torchvision transforms and search are what the documentation of
torch, Ray Tune and Optuna shows. Every trial of theirs does every stage. They write neither
checkpoints nor models and measure no collapse; ours does.""",
    """\
Plain Ray Tune: two trials at a time with a core each, as ours. Plain Optuna: one process, torch
with all cores. A value is a trial's best validation accuracy. Every round has its own seed, the
same for all three; they draw other random numbers from it, so that values agree within the noise
of seeds only (one trial's standard deviation is 0.04).""",
)


class Compared(NamedTuple):
    """A study, and who searches it.

    Attributes:
        study: Its file.
        rivals: Names of those that search it too, in their order.
        remark: What tells its ratios apart from another study's.
    """

    study: Path
    rivals: tuple[str, ...]
    remark: str


STUDIES = {
    "search-cost": Compared(STUDY, tuple(RIVALS), ""),
    "search-cost/cifar10": Compared(CIFAR10, ("ray",), ", proportions of cifar10"),
}
"""By the name of their results."""


class Found(NamedTuple):
    """A search that is over.

    Attributes:
        seconds: Wall time from start to exit.
        values: Of every trial, the validation accuracy after each epoch of stage 3.
        stages: Seconds of each stage, summed over processes that run side by side.
    """

    seconds: float
    values: Sequence[Sequence[float]]
    stages: Mapping[str, float]

    @property
    def best(self) -> float:
        """The best value of any trial."""
        return max(max(values) for values in self.values)

    def num_complete(self, epochs: int) -> int:
        """Return how many trials were not pruned."""
        return sum(len(values) == epochs for values in self.values)


def run(runs: int, scratch: Path) -> list[Result]:
    """Compare the searches of each study."""
    results = []
    for name, compared in STUDIES.items():
        folder = scratch / compared.study.stem
        folder.mkdir()
        results += compare(name, compared, runs, folder)
    return [*results[:-1], replace(results[-1], notes=_NOTES)]


def compare(shown: str, compared: Compared, runs: int, scratch: Path) -> list[Result]:
    """Search in turns: ours, Ray Tune, Optuna, ours, ...; a round's number is its seed.

    Args:
        shown: First part of the results' names.
        compared: The study and the rivals.
        runs: Number of rounds.
        scratch: An empty folder.
    """
    rounds = []
    for seed in range(runs):
        study = write_seeded(scratch, seed, compared.study)
        ours = search_ours(study, scratch / f"runs-{seed}")
        rounds.append((ours, *(search_rival(name, study) for name in compared.rivals)))
    our_rounds = [found[0] for found in rounds]
    results = []
    for place, name in enumerate(compared.rivals, start=1):
        called = RIVALS[name]
        theirs = [found[place] for found in rounds]
        results.append(
            Result(
                name=f"{shown}/{name}",
                what=f"seconds of {called} / of distill-tune{compared.remark}",
                ratios=[b.seconds / a.seconds for a, b in zip(our_rounds, theirs, strict=True)],
                floor=FLOOR,
                bound="at least",
                numbers=_numbers("ours", our_rounds) | _numbers(called, theirs),
            )
        )
    return results


def write_seeded(folder: Path, seed: int, original: Path = STUDY) -> Path:
    """Write a study with this seed for its sampler and for every trial; return the file."""
    study, _ = read_study(original, [f"search.seed={seed}", f"trial.seed={seed}"], {})
    file = folder / f"study-{seed}.yaml"
    file.write_text(to_yaml(plain(study)), encoding="utf-8")
    return file


def search_ours(study: Path, storage: Path) -> Found:
    """Search as a user does and read what the study's records say."""
    command = ("-m", "distill_tune.cli", "search", "--space", str(study), "--storage", str(storage))
    seconds = timed(*command).seconds
    (found,) = storage.glob("*/study.yaml")
    state = StudyDirectory(str(found.parent)).state()
    stages = Counter({stage.name.partition("/")[0]: stage.seconds for stage in state.stages})
    values = []
    for trial in state.trials.values():
        stages.update(trial.seconds)
        values.append([metrics["val/accuracy"] for metrics in trial.history.values()])
    return Found(seconds, values, stages)


def search_rival(name: str, study: Path) -> Found:
    """Search with one of the scripts, whose last line says what it found."""
    done = timed("-m", f"tests.benchmarks.rivals.plain_{name}", str(study))
    trials = json.loads(done.stdout.splitlines()[-1])
    stages: Counter[str] = Counter()
    for trial in trials:
        stages.update(trial["seconds"])
    return Found(done.seconds, [trial["values"] for trial in trials], stages)


def _numbers(called: str, found: Sequence[Found]) -> dict[str, str]:
    epochs = max(len(values) for one in found for values in one.values)
    totals = Counter[str]()
    for one in found:
        totals.update(one.stages)
    shares = (f"{name} {seconds / totals.total():.0%}" for name, seconds in totals.items())
    return {
        f"{called}, s": spread([one.seconds for one in found], 1),
        f"{called}, best value": spread([one.best for one in found], 3),
        f"{called}, trials": spread([len(one.values) for one in found], 0),
        f"{called}, trials not pruned": spread([one.num_complete(epochs) for one in found], 0),
        f"{called}, epochs of stage 3": spread([sum(map(len, one.values)) for one in found], 0),
        f"{called}, shares of the stages": ", ".join(shares),
    }
