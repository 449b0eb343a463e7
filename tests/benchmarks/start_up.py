"""How soon the command line answers: seconds above those of a Python that does nothing."""

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from distill_tune.records.directory import STUDY_FILE, StudyDirectory
from tests.benchmarks.processes import ROOT, environment, timed
from tests.benchmarks.results import Result, spread

CEILING_S = 0.3
NUM_TRIALS, NUM_EPOCHS, NUM_METRICS = 48, 5, 36

_REPEATS = 15
_NOTHING = ("-c", "pass")
PARTS = {
    "import typer": ("-c", "import typer"),
    "import typer, and pydantic as typer does for arguments": ("-c", "import typer._adapters"),
    "import typer, and rich as typer does for help": ("-c", "import typer.rich_utils"),
}
_TINY = """\
study: tiny
data: {kind: digits, train_per_class: 6, val_per_class: 10}
backbones: [shufflenet_v2_x0_5]
trial:
  classifier: {epochs: 1, batch_size: 30}
  gan: {generator_width: 8, generator_min_width: 4, discriminator_width: 4,
        warmup_steps: 1, triplet_steps: 1, batch_size: 10, judge_steps: 1}
  joint: {epochs: 1, ramp_epochs: 1, min_hard: 2, monitor_images: 20}
space: {joint.margin: "uniform(0.05, 0.9)"}
search: {num_trials: 1, controls: []}
resources: {gpus: 0}
"""


def run(runs: int, scratch: Path) -> list[Result]:
    """Measure ``--help``, ``status`` and nothing at all in turns, many times a run."""
    study = write_study(scratch / "finished")
    commands = {
        "help": ("-m", "distill_tune.cli", "--help"),
        "status": ("-m", "distill_tune.cli", "status", study.root),
    }
    rounds = [medians({"nothing": _NOTHING, **commands, **PARTS}) for _ in range(runs)]
    searches = [first_signs(scratch / f"search-{turn}") for turn in range(runs)]
    above = {
        name: [found[name] - found["nothing"] for found in rounds] for name in (*commands, *PARTS)
    }
    numbers = {f"{name}, s": spread(above[name], 3) for name in PARTS}
    numbers["python -c pass, s"] = spread([found["nothing"] for found in rounds], 3)
    numbers["search to its first line, s"] = spread([line for line, _ in searches])
    numbers["search to its first epoch, s"] = spread([epoch for _, epoch in searches])
    called = {"help": "--help", "status": f"status of {NUM_TRIALS} trials"}
    return [
        Result(
            name=f"start-up/{name}",
            what=f"seconds of distill-tune {called[name]} - of python -c pass",
            ratios=above[name],
            floor=CEILING_S,
            bound="at most",
            numbers=numbers if name == "status" else {},
        )
        for name in commands
    ]


def medians(commands: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the median seconds of each command of Python, all run in turns."""
    rounds = [
        {name: timed(*arguments).seconds for name, arguments in commands.items()}
        for _ in range(_REPEATS)
    ]
    return {name: statistics.median(found[name] for found in rounds) for name in commands}


def write_study(root: Path) -> StudyDirectory:
    """Write the records of a finished study, as a search leaves them."""
    directory = StudyDirectory(str(root))
    directory.write_text(STUDY_FILE, "study: finished\n")
    directory.append({"event": "session_started", "command": "distill-tune search"})
    for number in range(NUM_TRIALS):
        params = {"joint.margin": 0.3, "joint.gan_lr": 1e-5, "joint.synthetic_ratio": 0.5}
        name = {"name": f"resnet50-{number:04d}", "backbone": "resnet50", "params": params}
        directory.append({"event": "trial_started", "trial": number, **name})
        for epoch in range(1, NUM_EPOCHS + 1):
            metrics = {f"metric/{index}": 0.123456789 for index in range(NUM_METRICS)}
            metrics["objective"] = (number + epoch) / 100
            directory.append(
                {"event": "epoch", "trial": number, "epoch": epoch, "metrics": metrics}
            )
        directory.append(
            {"event": "trial_ended", "trial": number, "status": "complete", "reason": ""}
        )
    directory.append({"event": "session_ended", "status": "finished"})
    directory.write_tables()
    return directory


def first_signs(folder: Path) -> tuple[float, float]:
    """Return the seconds from a search's start to its first line and to its first epoch."""
    folder.mkdir()
    space, runs = folder / "tiny.yaml", folder / "runs"
    space.write_text(_TINY, encoding="utf-8")
    command = ("-m", "distill_tune.cli", "search", "--space", str(space), "--storage", str(runs))
    started = time.time()
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment(), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    line = time.time() - started
    process.communicate()
    events = StudyDirectory(str(runs / "tiny")).events()
    epoch = next(event["time"] for event in events if event["event"] == "epoch")
    return line, epoch - started
