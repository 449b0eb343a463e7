"""The smallest study that goes through all stages, and commands as an installed one begins."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import distill_tune

SPACE = """\
study: tiny
data: {kind: digits, train_per_class: 6, val_per_class: 10, test_fraction: 0.3}
backbones: [shufflenet_v2_x0_5]
trial:
  classifier: {epochs: 1, batch_size: 30}
  gan: {generator_width: 8, generator_min_width: 4, discriminator_width: 4,
        warmup_steps: 5, triplet_steps: 2, batch_size: 10, judge_steps: 5}
  joint: {epochs: 2, ramp_epochs: 1, min_hard: 2, monitor_images: 20}
space:
  joint.margin: uniform(0.05, 0.9)
search: {num_trials: 1, controls: []}
resources: {cpus: 1, gpus: 0, max_concurrent: 1}
"""
ROOT = str(Path(distill_tune.__file__).parents[1])


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which this very package is found, and nothing of this machine's."""
    from tests.commands import untouched

    own = {"PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}
    return untouched() | own | variables


def started(
    folder: Path, *arguments: str, program: Sequence[str] = ("-m", "distill_tune.cli"), **more: str
) -> "subprocess.Popen[str]":
    """Start a command in a folder that is not on its path, as none is of an installed one."""
    return subprocess.Popen(
        [sys.executable, "-P", *program, *arguments],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def done(folder: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    """Run a command in a folder to its end; return its exit status, stdout and stderr."""
    process = started(folder, *arguments, **more)
    stdout, stderr = process.communicate(timeout=1200)
    return process.returncode, stdout, stderr


def children(number: int) -> dict[str, int]:
    """Return the processes that a process has started: name to number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == number:
            found[name] = int(folder.name)
    return found
