"""The hours that the spaces for CIFAR-10 foretell are the forecast of the times beside them."""

import re

import pytest

from distill_tune.study.study import Study
from distill_tune.study.validation import parse
from distill_tune.study.yaml.files import read_yaml
from distill_tune.training.stages import shared_jobs
from distill_tune.tuning.dry_run.forecast import TrialCost, forecast
from tests.readme_commands import ROOT

HOURS = r"About ([\d.]+) hours on one H100, one trial at a time \(([\d.]+) without pruning\)"
STEPS = (
    r"steps of (\d+) ms in stage 1, (\d+) ms in the warm-up, (\d+) ms in the triplet stage and "
    r"(\d+) ms in stage 3, and ([\d.]+) s at an epoch's end"
)


@pytest.mark.parametrize("name", ["alexnet", "densenet", "resnet"])
def test_hours_are_reckoned_from_the_steps_that_are_named(name: str) -> None:
    path = ROOT / f"search_spaces/cifar10/{name}.yaml"
    text = path.read_text("utf-8").partition("study:")[0]
    words = " ".join(line.removeprefix("# ") for line in text.splitlines())
    hours, whole = numbers(HOURS, words)
    classifier, warmup, triplet, joint, end_s = numbers(STEPS, words)
    study = parse(Study, read_yaml(path))
    trial, images = study.trial, study.data.model_dump()["train_per_class"] * 10
    steps = images // trial.classifier.batch_size
    seconds = {
        "setup": 0.0,
        "classifier": trial.classifier.epochs * (steps * classifier / 1000 + end_s),
        "warmup": trial.gan.warmup_limit * warmup / 1000,
        "triplet": trial.gan.triplet_steps * triplet / 1000,
        "joint": trial.joint.epochs * (steps * joint / 1000 + end_s),
    }
    costs = {study.backbones[0].name: TrialCost(seconds, 0, 0)}
    found = forecast(study, costs, 1, [(job, False) for job in shared_jobs(study)])
    assert hours == pytest.approx(found.pruned_s / 3600, abs=0.051)
    assert whole == pytest.approx(found.unpruned_s / 3600, abs=0.051)
    assert study.resources.gpus == "fit"
    assert study.resources.cpus in {1, 2}


def numbers(pattern: str, words: str) -> list[float]:
    found = re.search(pattern, words)
    assert found is not None, words
    return [float(one) for one in found.groups()]
