"""A search whose trials do nothing: what is left is what the search itself costs.

``python -m tests.benchmarks.empty_search FOLDER NUM_TRIALS`` searches as the command line does,
in a process of its own whose memory is the driver's, and prints that as JSON. What Ray reads from
the environment as it is imported is set by whoever starts it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console

from distill_tune.cluster.resources import cluster, slots
from distill_tune.interfaces import plain
from distill_tune.records.directory import STUDY_FILE, StudyDirectory
from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text, to_yaml
from distill_tune.terminal.search_view import ConsoleSearchView
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.tuner import TuneOptions, tune_trials

NUM_REPORTS = 2
# The shipped spaces' four dimensions; a factor of next to 1 judges every trial and stops next to
# none; two at a time on every machine, so that their number is no part of the comparison.
SPACE = f"""\
study: empty
data: {{kind: digits, train_per_class: 6, val_per_class: 10}}
backbones: [resnet50]
trial: {{joint: {{epochs: {NUM_REPORTS}, ramp_epochs: 1}}}}
space:
  joint.margin:          uniform(0.05, 0.9)
  joint.synthetic_ratio: uniform(0, 2)
  joint.hard_threshold:  uniform(0.1, 0.5)
  joint.gan_lr:          loguniform(1e-6, 2e-4)
search: {{num_trials: 1, reduction_factor: 1.01, controls: []}}
resources: {{cpus: 0.5, gpus: 0, max_concurrent: 2}}
"""


class EmptyTrial(tune.Trainable):
    """Reports a formula of its params; as large a report as a real epoch's."""

    def setup(self, config: dict[str, Any], **_given: object) -> None:
        self._params = config["params"]

    def step(self) -> dict[str, Any]:
        epoch = self.iteration + 1
        value = 1 - (self._params["joint.margin"] - 0.4) ** 2 - 0.1 / epoch
        names = ["val/accuracy", *(f"metric/{number}" for number in range(30))]
        return {
            OBJECTIVE: value,
            "epoch": epoch,
            "training_iteration": epoch,
            "done": epoch == NUM_REPORTS,
            "metrics": dict.fromkeys(names, value),
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "epoch").write_text(str(self.iteration))

    def load_checkpoint(self, checkpoint: Any) -> None:
        raise AssertionError(f"{checkpoint}: no trial of this search is lost")

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True


def search(folder: str, num_trials: int) -> None:
    """Run a whole session, but for the stages that real trials share."""
    document = read_yaml_text(SPACE, "empty.yaml")
    document.set(f"search.num_trials={num_trials}")
    study = parse(Study, document)
    directory = StudyDirectory(folder)
    directory.create()
    plain_study = plain(study)
    directory.write_text(STUDY_FILE, to_yaml(plain_study))
    console = Console(file=(Path(folder).parent / "progress.txt").open("w"))
    with directory.lock(), cluster(None), ConsoleSearchView(console, study) as progress:
        journal = Journal(directory, progress.listen)
        journal.emit("session_started", command="empty", study=plain_study)
        bundle = slots(study.resources)
        options = TuneOptions(trainable=EmptyTrial)
        tune_trials(study, study.data.load(), journal, bundle, options)
        journal.emit("session_ended", status="finished")
        directory.write_tables()


if __name__ == "__main__":
    search(sys.argv[1], int(sys.argv[2]))
    # Of getrusage's a process inherits what its parent had come to.
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    sys.stdout.write(json.dumps({"rss_mib": int(fields["VmHWM"].split()[0]) / 1024}) + "\n")
