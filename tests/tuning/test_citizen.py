"""Whoever outgrows our command line keeps our trial: it is a trainable of Ray's like any other."""

import re
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.utils import validate_save_restore

from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.trainable import DistillTrial
from tests.commands import STUDY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("our_ray")]

README = Path(__file__).parents[2] / "distill_tune/tuning/README.md"
TEXT = (
    STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    .replace("joint: {epochs: 4", "joint: {epochs: 6")
    .replace("num_trials: 6, checkpoint_share: 1", "num_trials: 6")
)


@pytest.fixture(scope="module")
def study() -> Study:
    return parse(Study, read_yaml_text(TEXT, "tiny.yaml"))


@pytest.fixture
def trial(study: Study) -> Any:
    images = PlacedImages.of(study.data.load())
    return tune.with_parameters(DistillTrial, study=study, images=images)


def test_rays_own_check_of_save_and_restore_passes(trial: Any) -> None:
    config = {"backbone": "shufflenet_v2_x0_5", "params": {"joint.margin": 0.5}}
    assert validate_save_restore(trial, config)


@pytest.fixture
def example(tmp_path: Path) -> list[str]:
    """Return the blocks of the README, for a study of seconds and a folder of the test's."""
    (tmp_path / "tiny.yaml").write_text(TEXT)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    for there, here in (
        ("search_spaces/resnet.yaml", str(tmp_path / "tiny.yaml")),
        ("/shared/results", str(tmp_path / "results")),
        ("resnet50", "shufflenet_v2_x0_5"),
        ("num_samples=4", "num_samples=3"),
    ):
        assert there in blocks[0]
        blocks = [block.replace(there, here) for block in blocks]
    return blocks


def epochs(results: tune.ResultGrid) -> list[int]:
    assert not list(results.errors)
    return sorted(result.metrics["training_iteration"] for result in results if result.metrics)


def test_the_readmes_population_is_trained_and_goes_on_when_it_is_restored(
    example: list[str], study: Study, tmp_path: Path
) -> None:
    names: dict[str, Any] = {}
    exec(example[0], names)  # noqa: S102 - our own text
    results = names["tuner"].get_results()
    assert epochs(results) == [study.max_epochs] * 3
    # Some trial went on from the checkpoint of another, with other params.
    assert names["scheduler"]._num_perturbations > 0
    kept = list((tmp_path / "results").rglob("checkpoint_*/trial.pt"))
    assert kept
    assert list((tmp_path / "results").rglob("*dict_checkpoint.pkl")) == []
    exec(example[1], names)  # noqa: S102 - our own text
    assert epochs(names["tuner"].get_results()) == [study.max_epochs] * 3


class Interrupting(tune.Callback):
    """Ends the experiment, as a kill would, once a trial has been saved so often."""

    def __init__(self, saves: int) -> None:
        self.left = saves

    def on_trial_save(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_with_rays_asha_it_is_restored_from_rays_own_checkpoints(
    trial: Any, study: Study, tmp_path: Path
) -> None:
    placed = tune.with_resources(trial, {"cpu": 1})
    tuner = tune.Tuner(
        placed,
        param_space={
            "backbone": "shufflenet_v2_x0_5",
            "params": {"joint.margin": tune.grid_search([0.1, 0.4, 0.8])},
        },
        tune_config=tune.TuneConfig(
            metric="objective",
            mode="max",
            scheduler=ASHAScheduler(max_t=study.max_epochs, grace_period=2, reduction_factor=2),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="asha",
            storage_path=str(tmp_path),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=2),
            callbacks=[Interrupting(6)],
        ),
    )
    with pytest.raises(KeyboardInterrupt):
        tuner.fit()
    saved = list(tmp_path.rglob("checkpoint_*/trial.pt"))
    assert 2 <= len(saved) <= 2 * 3 + 2
    again = tune.Tuner.restore(str(tmp_path / "asha"), placed)
    results = again.fit()
    assert len(results) == 3
    assert max(epochs(results)) == study.max_epochs
    restored = [result.metrics["iterations_since_restore"] for result in results if result.metrics]
    assert any(
        since < result.metrics["training_iteration"]
        for since, result in zip(restored, results, strict=True)
        if result.metrics
    )
