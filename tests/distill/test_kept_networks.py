"""Compiled networks are passed on from trial to trial; a trial that has them is the same."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData
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


def test_without_compilation_no_network_is_kept(digits: ImageData) -> None:
    first = Trial(config(), digits, CPU)
    second = Trial(config(seed=5), digits, CPU, first.reusable)
    assert second.data is first.data
    assert not set(map(id, networks(second))) & set(map(id, networks(first)))
