"""Compiled networks are passed on from trial to trial; a trial that has them is the same."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from distill_tune.distill import trial_state
from distill_tune.distill.backbones import Classifier
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData
from tests.distill.test_execution import needs_compiler
from tests.distill.tiny import CPU, config, differences

COMPILED = {"compute": {"compile": True}, "joint": {"ramp_epochs": 0}}
NAMES = ("classifier", "reference", "snapshot")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Stand in for the compiler: note what is compiled, and leave it as it is."""
    seen: list[object] = []

    def compile_nothing(call: Callable[..., Tensor], **_: Any) -> Callable[..., Tensor]:
        seen.append(call)
        return call

    monkeypatch.setattr(torch, "compile", compile_nothing)
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)
    return seen


def networks(running: Trial) -> list[object]:
    gan = running.state.gan
    own = [getattr(running.state, name) for name in NAMES]
    return [*own, gan.generator, gan.ema, gan.discriminator]


def test_a_second_trial_compiles_nothing_and_is_that_of_a_new_process(
    digits: ImageData, compiled: list[object]
) -> None:
    first = Trial(config(**COMPILED), digits, CPU)
    list(first.run())
    assert first.state.classifier in compiled
    assert first.state.snapshot.features in compiled
    compiled.clear()
    other = config(**COMPILED, seed=5)
    second = Trial(other, digits, CPU, first.reusable)
    assert networks(second) == networks(first)
    metrics = [report.metrics for report in second.run()]
    assert compiled == []
    alone = Trial(other, digits, CPU)
    assert [report.metrics for report in alone.run()] == metrics
    assert differences(alone.state_dict(), second.state_dict()) == []


def test_fields_of_training_leave_networks_as_they_are(
    digits: ImageData, compiled: list[object]
) -> None:
    first = Trial(config(**COMPILED), digits, CPU)
    changes = {"gan": {"lr": 1e-3, "lecam": 0.0}, "joint": {"margin": 0.1, "ramp_epochs": 0}}
    second = Trial(config(**{**COMPILED, **changes}), digits, CPU, first.reusable)
    assert networks(second) == networks(first)
    assert compiled == []


def test_networks_are_left_before_torch_has_compiled_them_for_too_many_sizes(
    digits: ImageData, compiled: list[object]
) -> None:
    del compiled
    trials = [Trial(config(**COMPILED), digits, CPU)]
    for ratio in (0.5, 1.5, 2.0, 1.5, 2.5, 3.0, 3.5, 4.0):
        joint = {"ramp_epochs": 0, "synthetic_ratio": ratio}
        following = config(**{**COMPILED, "joint": joint})
        trials.append(Trial(following, digits, CPU, trials[-1].reusable))
    # Ratios up to 1 ask for as many images as there are real ones. Torch compiles a function eight
    # times: the generator for its own two kinds of steps, and for six numbers of extra images.
    owners = [trials[0].state.classifier is one.state.classifier for one in trials]
    assert owners == [True] * 8 + [False]
    assert trials[-1].data is trials[0].data


def test_a_trial_after_one_that_failed_within_a_step_can_train(
    digits: ImageData, compiled: list[object]
) -> None:
    del compiled
    first = Trial(config(**COMPILED), digits, CPU)
    # As while the generator learns from the discriminator's judgement.
    first.state.gan.discriminator.requires_grad_(requires_grad=False)
    second = Trial(config(**COMPILED), digits, CPU, first.reusable)
    alone = Trial(config(**COMPILED), digits, CPU)
    expected = alone.trainer.step(lr=1e-3, triplet_weight=0.0)
    assert second.trainer.step(lr=1e-3, triplet_weight=0.0) == expected
    assert differences(alone.state_dict(), second.state_dict()) == []


@pytest.mark.parametrize(
    "changes",
    [{"gan": {"latent_dim": 12}}, {"compute": {"compile": True, "precision": "bfloat16"}}],
)
def test_a_trial_with_other_networks_builds_and_compiles_its_own(
    digits: ImageData, compiled: list[object], changes: dict[str, Any]
) -> None:
    first = Trial(config(**COMPILED), digits, CPU)
    second = Trial(config(**{**COMPILED, **changes}), digits, CPU, first.reusable)
    assert not set(map(id, networks(second))) & set(map(id, networks(first)))
    assert second.data is first.data
    assert second.reusable.networks is not first.reusable.networks
    next(second.run())
    assert compiled == [second.state.classifier]


def test_without_compilation_only_networks_that_are_not_trained_are_kept(
    digits: ImageData,
) -> None:
    first = Trial(config(), digits, CPU)
    list(first.run())
    second = Trial(config(seed=5), digits, CPU, first.reusable)
    assert second.data is first.data
    both = set(map(id, networks(second))) & set(map(id, networks(first)))
    assert both == {id(second.state.reference), id(second.state.snapshot)}
    alone = Trial(config(seed=5), digits, CPU)
    assert differences(alone.state_dict(), second.state_dict()) == []
    metrics = [report.metrics for report in second.run()]
    assert [report.metrics for report in alone.run()] == metrics


@pytest.mark.storm
@needs_compiler
def test_torch_compiles_nothing_for_a_second_trial_and_little_for_another_size(
    digits: ImageData,
) -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    graphs, reusable = [0], None
    for changes in ({}, {"seed": 5}, {"joint": {"ramp_epochs": 0, "synthetic_ratio": 2.0}}):
        running = Trial(config(**{**COMPILED, **changes}), digits, CPU, reusable)
        list(running.run())
        reusable = running.reusable
        graphs.append(counters["stats"]["unique_graphs"])
    first, second, third = (after - before for before, after in itertools.pairwise(graphs))
    assert first > 4
    assert second == 0
    # The averaged generator's images, and the classifier's step with them.
    assert 0 < third <= 3


def test_initial_weights_are_drawn_once_for_a_seed_and_nobody_changes_them(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    build = trial_state._build_classifier

    def noted(config: TrialConfig, data: ImageData) -> Classifier:
        drawn.append(config.seed)
        return build(config, data)

    monkeypatch.setattr(trial_state, "_build_classifier", noted)
    first = Trial(config(), digits, CPU)
    list(first.run())
    second = Trial(config(), digits, CPU, first.reusable)
    fresh = Trial(config(), digits, CPU)
    assert drawn == [0, 0], "the second took over the first's"
    assert differences(second.state_dict(), fresh.state_dict()) == []
    Trial(config(seed=5), digits, CPU, second.reusable)
    assert drawn == [0, 0, 5]
