"""``python -m tests.benchmarks.rivals.plain_ray FILE``: a search with plain Ray Tune.

A function that reports, Optuna's searcher, ASHA and a tuner, as Ray Tune's user guides have it.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import ray
from optuna.samplers import TPESampler
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from distill_tune.interfaces import ImageData
from distill_tune.study.dimensions import Range
from distill_tune.study.study import Study
from tests.benchmarks.rivals.procedure import read, run_trial
from tests.benchmarks.rivals.report import default_params, described


def train(params: dict[str, Any], study: Study, images: ImageData) -> None:
    """Train one configuration in a process of Ray's."""
    config = study.trial_config(study.backbones[0].name, params)
    for accuracy, seconds in run_trial(config, images):
        tune.report({"accuracy": accuracy, "seconds": dict(seconds)})


def search(study: Study, images: ImageData, storage: str) -> tune.ResultGrid:
    """Run the trials of a study."""
    sampler = TPESampler(seed=study.search.seed, n_startup_trials=study.search.num_startup_trials)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(train, study=study, images=images), {"cpu": study.resources.cpus}
        ),
        param_space={path: _domain(one) for path, one in study.space.dimensions.items()},
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            search_alg=OptunaSearch(sampler=sampler, points_to_evaluate=[default_params(study)]),
            scheduler=ASHAScheduler(
                time_attr="training_iteration",
                max_t=study.max_epochs,
                grace_period=study.min_epochs,
                reduction_factor=study.search.reduction_factor,
            ),
            num_samples=study.search.num_trials,
            max_concurrent_trials=study.resources.max_concurrent or 0,
        ),
        run_config=tune.RunConfig(name=study.study, storage_path=storage, verbose=0),
    )
    return tuner.fit()


def _domain(dimension: Any) -> Any:
    assert isinstance(dimension, Range)
    kinds = {"uniform": tune.uniform, "loguniform": tune.loguniform}
    return kinds[dimension.kind](dimension.min, dimension.max)


def main() -> None:
    """Search, then print the trials as one line of JSON."""
    study, images = read(Path(sys.argv[1]))
    ray.init(address="local", include_dashboard=False)
    with tempfile.TemporaryDirectory() as storage:
        grid = search(study, images, storage)
        trials = []
        for result in (grid[index] for index in range(len(grid))):
            rows = result.metrics_dataframe
            assert rows is not None, result.error
            stages = [name for name in rows.columns if name.startswith("seconds/")]
            seconds = {name.removeprefix("seconds/"): rows[name].sum() for name in stages}
            trials.append(described(result.config or {}, rows["accuracy"].tolist(), seconds))
    ray.shutdown()
    print(json.dumps(trials))  # noqa: T201 - the benchmark reads it


if __name__ == "__main__":
    main()
