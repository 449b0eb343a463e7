"""Whoever outgrows our command line keeps our trial: it is a trainable of Ray's like any other."""

import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.utils import validate_save_restore

from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.trainable import DistillTrial
from tests.commands import STUDY, Run, is_whole

pytestmark = pytest.mark.usefixtures("our_ray")

README = Path(__file__).parents[2] / "distill_tune/tuning/README.md"
TEXT = (
    STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    .replace("joint: {epochs: 4", "joint: {epochs: 8")
    .replace("num_trials: 6, checkpoint_share: 1", "num_trials: 6")
)
ASHA = "scheduler = tune.schedulers.ASHAScheduler(max_t=study.max_epochs)\n"
OWN_RAY = "import ray\nray.init(address='local', num_cpus=2, include_dashboard=False)\n"


@pytest.mark.slow
def test_rays_own_check_of_save_and_restore_passes() -> None:
    study = parse(Study, read_yaml_text(TEXT, "tiny.yaml"))
    images = PlacedImages.of(study.data.load())
    trial = tune.with_parameters(DistillTrial, study=study, images=images)
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


def is_saved(experiment: Path) -> bool:
    """Whether a trial has a whole checkpoint, of which the experiment's stored state knows."""
    saved = [path / "trial.json" for path in experiment.glob("*/checkpoint_*") if is_whole(path)]
    states = list(experiment.glob("experiment_state-*.json"))
    if not saved or not states:
        return False
    first = min(path.stat().st_mtime for path in saved)
    return max(path.stat().st_mtime for path in states) > first + 2


@pytest.mark.parametrize(
    "scheduler",
    [
        pytest.param("population", marks=pytest.mark.slow),
        pytest.param("asha", marks=pytest.mark.storm),
    ],
)
def test_the_readmes_example_goes_on_when_it_is_killed_and_restored(
    example: list[str], tmp_path: Path, scheduler: str
) -> None:
    begin, restore = example
    if scheduler == "asha":
        pattern = r"scheduler = PopulationBasedTraining\(\n.*?^\)\n"
        begin, count = re.subn(pattern, ASHA, begin, flags=re.MULTILINE | re.DOTALL)
        assert count == 1
    script = tmp_path / "example.py"
    script.write_text(OWN_RAY + begin)
    variables = {"RAY_AUTH_MODE": "disabled", "TUNE_GLOBAL_CHECKPOINT_S": "1"}
    killed = Run(before=(sys.executable, str(script)), **variables)
    experiment = tmp_path / "results/population"
    killed.wait_until(lambda: is_saved(experiment))
    killed.send(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    killed.wait_for_silence(but_for="Agent")

    names: dict[str, Any] = {}
    exec(begin.partition("params = {")[0] + restore, names)  # noqa: S102 - our own text
    results: tune.ResultGrid = names["tuner"].get_results()
    assert not results.errors
    found = [results[number].metrics or {} for number in range(len(results))]
    epochs = [metrics["training_iteration"] for metrics in found]
    assert len(epochs) == 3
    last = names["study"].max_epochs
    if scheduler == "asha":
        assert max(epochs) == last
        # It is not begun anew.
        assert any(m["iterations_since_restore"] < m["training_iteration"] for m in found)
    else:
        assert epochs == [last] * 3
        # Some trial went on from the checkpoint of another, with other params.
        assert list(experiment.rglob("pbt_global.txt"))
    assert list(experiment.rglob("*dict_checkpoint.pkl")) == []
