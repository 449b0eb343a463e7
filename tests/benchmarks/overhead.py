"""What Ray, checkpoints and records add to an epoch: a search's trial against the trial alone."""

import json
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.records.directory import StudyDirectory
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml
from tests.benchmarks.results import Result, paired, spread

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "search_spaces" / "resnet.yaml"
EPOCHS = 8
SHORT = {
    "trial.classifier.epochs": 1,
    "trial.gan.warmup_steps": 10,
    "trial.gan.judge_steps": 20,
    "trial.gan.triplet_steps": 2,
    "trial.joint.epochs": EPOCHS,
    "search.num_trials": 1,
    "search.min_epochs": EPOCHS,
    "resources.gpus": 0,
    "resources.max_concurrent": 1,
}
"""One trial of the shipped space, its own values; its first stages are not measured."""

NOTE = (
    "ResNet-50 and the GAN of search_spaces/resnet.yaml through the command line, one trial of "
    f"{EPOCHS} epochs, one thread; epochs 2 to {EPOCHS - 1}, from the report of one to the report "
    "of the next: with TensorBoard, log and tables at each, and with checkpoints as often as they "
    "are due. The last epoch is told apart: what a trial costs once, the model's files above all, "
    "comes with it."
)


class Epochs(NamedTuple):
    """The epochs of a trial but for the first, in which a process warms up, and the last.

    Attributes:
        whole_s: Mean seconds from the end of one epoch to the end of the next.
        trial_s: Of these, within the trial itself.
        last_s: Seconds of the last epoch outside the trial itself.
    """

    whole_s: float
    trial_s: float
    last_s: float


def searched(scratch: Path, seen: list[Epochs]) -> float:
    """Return the seconds per epoch of a search with one trial, as its log tells them."""
    folder = scratch / f"search-{len(seen)}"
    settings = [text for path, value in SHORT.items() for text in ("--set", f"{path}={value}")]
    arguments = ["search", "--space", str(SPACE), "--storage", str(folder), "--name", "one"]
    _python("-m", "distill_tune.cli", *arguments, *settings)
    directory = StudyDirectory(str(folder / "one"))
    epochs = [event for event in directory.events() if event["event"] == "epoch"]
    inside = [event["metrics"]["seconds/joint"] for event in epochs]
    found = Epochs(
        (epochs[-2]["time"] - epochs[0]["time"]) / (len(epochs) - 2),
        statistics.mean(inside[1:-1]),
        epochs[-1]["time"] - epochs[-2]["time"] - inside[-1],
    )
    seen.append(found)
    return found.whole_s


def alone(seen: list[float]) -> float:
    """Return the seconds per epoch of the same trial in a process that does nothing else."""
    seconds: list[float] = json.loads(_python("-m", "tests.benchmarks.overhead"))
    seen.append(statistics.mean(seconds[1:-1]))
    return seen[-1]


def run(runs: int, scratch: Path) -> list[Result]:
    """Measure on a CPU with one thread, each side in processes of its own."""
    ours: list[Epochs] = []
    pairs = paired(partial(searched, scratch, ours), partial(alone, []), runs)
    outside = [epochs.whole_s - epochs.trial_s for epochs in ours]
    return [
        Result(
            "overhead",
            "seconds per epoch of a trial under Ray / of Trial.run() alone",
            [one / other for one, other in pairs],
            1.05,
            "at most",
            {
                "alone, s per epoch": spread([other for _, other in pairs]),
                "under Ray, s per epoch": spread([one for one, _ in pairs]),
                "of these outside the trial, s": spread(outside),
                "of these within the trial, s": spread([epochs.trial_s for epochs in ours]),
                "once, at the last epoch, s": spread([epochs.last_s for epochs in ours]),
            },
            notes=[NOTE],
        )
    ]


def _python(*arguments: str) -> str:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def joint_seconds() -> list[float]:
    """Run the trial that the search begins with, and return the seconds of its joint epochs."""
    import torch

    from distill_tune.distill.trial import Trial

    torch.set_num_threads(1)
    document = read_yaml(SPACE)
    for path, value in SHORT.items():
        document.set(f"{path}={value}")
    study = parse(Study, document)
    name = study.backbones[0].name
    trial = Trial(study.trial_config(name, _first(study)), study.data.load(), torch.device("cpu"))
    return [report.seconds for report in trial.run() if report.stage == "joint"]


def _first(study: Study) -> dict[str, Any]:
    """Return what the search proposes first: the study's own values, its dimensions permitting."""
    from distill_tune.tuning.tuner import make_sampler

    proposed = make_sampler(study).suggest("first")
    if not isinstance(proposed, dict):
        raise TypeError(f"got {proposed!r} instead of a proposal")
    return dict(proposed["params"])


if __name__ == "__main__":
    print(json.dumps(joint_seconds()))  # noqa: T201 - read by the process that started this one
