"""The rivals of the search-cost benchmark do the same work and come to the same accuracy."""

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData, plain
from distill_tune.study.changes import differences
from distill_tune.study.opening import read_study
from tests.benchmarks.rivals import classifier as rival
from tests.benchmarks.rivals.images import augment, make_loaders
from tests.benchmarks.rivals.plain_optuna import search
from tests.benchmarks.rivals.procedure import read, run_trial
from tests.benchmarks.rivals.report import default_params, described
from tests.benchmarks.search_cost import (
    CIFAR10,
    RIVALS,
    STUDIES,
    STUDY,
    Found,
    search_ours,
    search_rival,
    write_seeded,
)
from tests.commands import TRIAL

TINY = f"""\
study: tiny
data: {{kind: digits, train_per_class: 6, val_per_class: 10}}
backbones: [shufflenet_v2_x0_5]
{TRIAL}\
space:
  joint.margin: uniform(0.05, 0.9)
  joint.gan_lr: loguniform(1e-6, 2e-4)
search: {{num_trials: 2, controls: []}}
"""


def given(folder: Path, text: str = TINY) -> tuple[TrialConfig, ImageData]:
    file = folder / "study.yaml"
    file.write_text(text, encoding="utf-8")
    study, images = read(file)
    return study.trial_config(study.backbones[0].name, {}), images


@pytest.fixture
def steps() -> Iterator[Counter[str]]:
    """Count the steps of every kind of optimiser."""
    counts: Counter[str] = Counter()
    hook = register_optimizer_step_post_hook(
        lambda optimizer, *_: counts.update([type(optimizer).__name__])
    )
    yield counts
    hook.remove()


@pytest.mark.slow
def test_a_rivals_trial_takes_the_same_steps_and_epochs(
    tmp_path: Path, steps: Counter[str]
) -> None:
    config, images = given(tmp_path)
    reports = list(Trial(config, images, torch.device("cpu")).run())
    ours = dict(steps)
    steps.clear()
    epochs = list(run_trial(config, images))
    # The judge is trained by ours alone.
    assert ours == steps | {"AdamW": steps["AdamW"] + config.gan.judge_steps}
    assert ours["Adam"] == 2 * (10 + 2 + 4 * 2)  # Both networks; 2 batches an epoch.
    assert steps["AdamW"] == (2 + 4) * 2
    assert len(epochs) == sum(report.stage == "joint" for report in reports) == 4
    assert set(epochs[0].seconds) == {"classifier", "warmup", "triplet", "joint"}
    assert set(epochs[1].seconds) == {"joint"}


@pytest.mark.slow
def test_a_frozen_generator_is_not_trained(tmp_path: Path, steps: Counter[str]) -> None:
    config, images = given(tmp_path)
    frozen = config.joint.model_copy(update={"gan_lr": 0.0})
    list(run_trial(config.model_copy(update={"joint": frozen}), images))
    assert steps["Adam"] == 2 * (10 + 2)


@pytest.mark.slow
def test_the_rivals_hard_samples_follow_the_same_rule(tmp_path: Path) -> None:
    config, images = given(tmp_path, TINY.replace("train_per_class: 6", "train_per_class: 60"))
    network = rival.build_classifier(config, images)
    samples = rival.find_hard_samples(network, config, make_loaders(config, images))
    assert [len(members) for members in samples.hard] == [18] * 10  # A share of 0.3.
    assert [len(members) for members in samples.easy] == [30] * 10
    for number, (hard, easy) in enumerate(zip(samples.hard, samples.easy, strict=True)):
        assert set(images.train.labels[torch.cat([hard, easy])].tolist()) == {number}
        assert not set(hard.tolist()) & set(easy.tolist())
    assert samples.scale > 0


@pytest.mark.slow
def test_the_rivals_images_are_ours_and_move_as_ours(tmp_path: Path) -> None:
    config, images = given(tmp_path)
    loaders = make_loaders(config, images)
    plain = torch.cat([batch for batch, _ in loaders.plain])
    torch.testing.assert_close(plain, images.train.images.float() / 127.5 - 1)
    moved = augment(plain, config, flip=False)
    ways = [
        torch.nn.functional.pad(plain, (1, 1, 1, 1), mode="replicate")[..., y : y + 8, x : x + 8]
        for y in range(3)
        for x in range(3)
    ]
    is_way = torch.stack([(moved == way).flatten(1).all(1) for way in ways])
    assert bool(is_way.any(0).all())
    assert int(is_way.any(1).sum()) > 3


@pytest.mark.slow
def test_the_rival_of_optuna_begins_with_the_studys_own_values(tmp_path: Path) -> None:
    given(tmp_path)
    study, images = read(tmp_path / "study.yaml")
    trials = search(study, images).trials
    assert len(trials) == 2
    assert trials[0].params == default_params(study)
    assert trials[1].params != trials[0].params
    assert all(study.min_epochs <= len(trial.intermediate_values) <= 4 for trial in trials)
    one = described(trials[0].params, list(trials[0].intermediate_values.values()), {"joint": 1.0})
    assert json.loads(json.dumps(one))["values"] == one["values"]


def test_what_a_search_found_is_counted() -> None:
    found = Found(2.0, [[0.5, 0.75], [0.25]], {"joint": 2.0})
    assert (found.best, found.num_complete(2)) == (0.75, 1)


def test_a_round_has_one_seed_for_everything(tmp_path: Path) -> None:
    study, _ = read_study(write_seeded(tmp_path, 3), [], {})
    first, _ = read_study(STUDY, [], {})
    changed = [f"{path}.seed: 0 -> 3" for path in ("trial", "search")]
    assert list(differences(plain(first), plain(study)).values()) == changed


def test_the_study_has_the_shipped_dimensions_and_rungs() -> None:
    shipped, _ = read_study(STUDY.parents[2] / "search_spaces/resnet.yaml", [], {})
    study, _ = read_study(STUDY, [], {})
    assert study.space == shipped.space
    # The recorded comparison is of a few more trials.
    assert (
        study.search.model_copy(update={"num_trials": 12, "controls": shipped.search.controls})
        == shipped.search
    )
    assert (study.min_epochs, study.max_epochs) == (shipped.min_epochs, shipped.max_epochs)


# Measured over five seeds and more on either side: the standard deviation of one seed's accuracy.
_STAGE_1_NOISE, _TRIAL_NOISE = 0.03, 0.04


@pytest.mark.storm
def test_stage_1_of_both_sides_is_as_accurate(tmp_path: Path) -> None:
    config, images = given(tmp_path, STUDY.read_text(encoding="utf-8"))
    ours, theirs = [], []
    for seed in range(4):
        seeded = config.model_copy(update={"seed": seed})
        *_, last = Trial(seeded, images, torch.device("cpu")).run_stage("classifier")
        ours.append(last.metrics["val/best_accuracy"])
        torch.manual_seed(seed)
        network = rival.build_classifier(seeded, images)
        theirs.append(rival.pretrain(network, seeded, make_loaders(seeded, images)))
    tolerance = 3 * _STAGE_1_NOISE * math.sqrt(2 / len(ours))
    assert statistics.mean(ours) == pytest.approx(statistics.mean(theirs), abs=tolerance)
    assert min(*ours, *theirs) > 0.6


def test_the_second_study_has_the_proportions_of_cifar10() -> None:
    ours, _ = read_study(CIFAR10, [], {})
    shipped, _ = read_study(STUDY.parents[2] / "search_spaces/cifar10/resnet.yaml", [], {})
    shares = []
    for study, train, val in ((ours, 200, 80), (shipped, 5000, 2000)):
        trial = study.trial
        steps = train // trial.classifier.batch_size
        joint = trial.joint.epochs * steps
        gan = (trial.gan.warmup_limit, trial.gan.triplet_steps)
        shares.append([count / joint for count in (trial.classifier.epochs * steps, *gan)])
        shares[-1] += [val / train, trial.joint.monitor_images / train]
        shares[-1] += [trial.gan.batch_size / trial.classifier.batch_size]
    assert shares[0] == pytest.approx(shares[1], rel=0.02)
    first, _ = read_study(STUDY, [], {})
    assert (ours.space, ours.search) == (first.space, first.search)


@pytest.mark.storm
@pytest.mark.parametrize("original", [one.study for one in STUDIES.values()], ids=STUDIES)
def test_all_three_searches_come_to_the_same_accuracy(tmp_path: Path, original: Path) -> None:
    study = tmp_path / "study.yaml"
    text = original.read_text(encoding="utf-8").replace("num_trials: 16", "num_trials: 1")
    # The warm-up takes longest, and a shorter one is as short for all three.
    text = re.sub("warmup_steps: [0-9]+", "warmup_steps: 50", text).replace(
        "epochs: 10\n", "epochs: 5\n"
    )
    study.write_text(text.replace("reduction_factor: 3", "reduction_factor: 3, min_epochs: 5"))
    found = [search_ours(study, tmp_path / "runs"), *(search_rival(name, study) for name in RIVALS)]
    # The first trial of each is the study's own configuration.
    assert [list(map(len, one.values)) for one in found] == [[5]] * 3
    values = [max(one.values[0]) for one in found]
    assert max(values) - min(values) < 3 * _TRIAL_NOISE * math.sqrt(2)
    assert min(values) > 0.6
    assert all(set(one.stages) == {"classifier", "warmup", "triplet", "joint"} for one in found)
