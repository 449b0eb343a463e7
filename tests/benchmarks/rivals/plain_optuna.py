"""``python -m tests.benchmarks.rivals.plain_optuna FILE``: a search with plain Optuna.

One process in which torch has all cores, and successive halving, as Optuna's tutorials have it.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import optuna

from distill_tune.interfaces import ImageData
from distill_tune.study.dimensions import Range
from distill_tune.study.study import Study
from tests.benchmarks.rivals.procedure import read, run_trial
from tests.benchmarks.rivals.report import default_params, described


def search(study: Study, images: ImageData) -> optuna.Study:
    """Run the trials of a study."""

    def objective(trial: optuna.Trial) -> float:
        params = {path: _suggest(trial, path, one) for path, one in space.items()}
        values: list[float] = []
        spent: Counter[str] = Counter()
        for accuracy, seconds in run_trial(study.trial_config(backbone, params), images):
            values.append(accuracy)
            spent.update(seconds)
            trial.set_user_attr("seconds", dict(spent))
            trial.report(accuracy, step=len(values))
            if len(values) < study.max_epochs and trial.should_prune():
                raise optuna.TrialPruned
        return max(values)

    space, backbone = study.space.dimensions, study.backbones[0].name
    found = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(
            seed=study.search.seed, n_startup_trials=study.search.num_startup_trials
        ),
        pruner=optuna.pruners.SuccessiveHalvingPruner(
            min_resource=study.min_epochs, reduction_factor=int(study.search.reduction_factor)
        ),
    )
    found.enqueue_trial(default_params(study))
    found.optimize(objective, n_trials=study.search.num_trials)
    return found


def _suggest(trial: optuna.Trial, path: str, dimension: Any) -> float:
    assert isinstance(dimension, Range)
    return trial.suggest_float(path, dimension.min, dimension.max, log=dimension.log)


def main() -> None:
    """Search, then print the trials as one line of JSON."""
    study, images = read(Path(sys.argv[1]))
    trials = [
        described(
            trial.params, list(trial.intermediate_values.values()), trial.user_attrs["seconds"]
        )
        for trial in search(study, images).trials
    ]
    print(json.dumps(trials))  # noqa: T201 - the benchmark reads it


if __name__ == "__main__":
    main()
