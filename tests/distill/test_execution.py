"""Precision and compilation: the same method, a little rounding, and what is never changed."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from distill_tune.distill.compute.execution import Execution, require_compiler
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.metrics.best_weights import StateDict, copy_weights
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import Compute
from distill_tune.errors import InputError
from tests.distill.conftest import Begin
from tests.distill.tiny import CPU, differences, packed, unpacked

COMPILER = any(shutil.which(name) for name in ("g++", "clang++", "c++"))
needs_compiler = pytest.mark.skipif(not COMPILER, reason="no C++ compiler on the PATH")
FIXED = {"ramp_epochs": 0, "epochs": 2}


class Epoch(NamedTuple):
    """What a joint epoch reported, and the state after it."""

    metrics: dict[str, float]
    state: bytes


def epochs(running: Trial) -> list[Epoch]:
    stage = JointStage(running.trainer, Reference.measure(running.trainer))
    return [Epoch(metrics, packed(running.state_dict())) for metrics in stage.epochs()]


def classifier_of(epoch: Epoch) -> Tensor:
    """Return all weights of the classifier in a row."""
    weights: StateDict = unpacked(epoch.state)["classifier"]
    return torch.cat([value.flatten().float() for value in weights.values()])


def relative(one: Epoch, other: Epoch) -> float:
    """Return the distance of two classifiers, relative to their length."""
    first, second = classifier_of(one), classifier_of(other)
    return float((first - second).norm() / second.norm())


def test_on_a_cpu_the_default_is_eager_float32_bit_for_bit(at_joint: Begin) -> None:
    assert not Compute().compile
    assert not Compute().is_bfloat16(is_native=False)
    default = epochs(at_joint(joint=FIXED))
    named = epochs(at_joint(joint=FIXED, compute={"precision": "float32", "compile": False}))
    assert [epoch.metrics for epoch in default] == [epoch.metrics for epoch in named]
    assert differences(unpacked(default[-1].state), unpacked(named[-1].state)) == []


def test_torch_rounds_float32_as_the_documentation_says() -> None:
    """Convolutions to TF32, matrix products not at all: torch's defaults, which nothing changes."""
    assert torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("is_native", [True, False])
def test_auto_is_bfloat16_on_a_gpu_that_computes_in_it_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, *, is_native: bool
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return including_emulation or is_native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    seen: list[tuple[str, torch.dtype]] = []

    def watched(device: str, *, dtype: torch.dtype) -> Any:
        seen.append((device, dtype))
        return nullcontext()

    monkeypatch.setattr(torch, "autocast", watched)
    rounded = []
    for precision in ("auto", "float32", "bfloat16"):
        compute = Compute.model_validate({"precision": precision})
        Execution(compute, torch.device("cuda"))(nn.Identity(), torch.ones(1))
        rounded.append(seen == [("cuda", torch.bfloat16)])
        seen.clear()
    assert rounded == [is_native, False, True]


def test_bfloat16_is_float32_but_for_rounding(at_joint: Begin) -> None:
    exact = epochs(at_joint(joint=FIXED))
    rounded = epochs(at_joint(joint=FIXED, compute={"precision": "bfloat16"}))
    for one, other in zip(rounded, exact, strict=True):
        assert one.metrics["loss/classifier"] != other.metrics["loss/classifier"]
        for name in ("loss/classifier", "loss/generator", "loss/discriminator", "loss/triplet"):
            assert one.metrics[name] == pytest.approx(other.metrics[name], rel=0.03, abs=0.02), name
        assert 0 < relative(one, other) < 0.05


def test_weights_optimizers_losses_and_readings_stay_float32(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = at_joint(joint=FIXED, compute={"precision": "bfloat16"})
    seen: set[torch.dtype] = set()
    original: Callable[..., Tensor] = torch.nn.functional.cross_entropy

    def watched(logits: Tensor, *args: Any, **options: Any) -> Tensor:
        seen.add(logits.dtype)
        assert not torch.is_autocast_enabled("cpu")
        return original(logits, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", watched)
    state = unpacked(epochs(running)[0].state)
    assert seen == {torch.float32}
    kept = [state[name] for name in ("classifier", "optimizer", "gan", "sets")]
    assert {tensor.dtype for tensor in tensors(kept) if tensor.is_floating_point()} == {
        torch.float32
    }


def tensors(nested: Any) -> list[Tensor]:
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, list | tuple):
        return [tensor for one in nested for tensor in tensors(one)]
    return [nested] if isinstance(nested, Tensor) else []


def test_spectral_norm_is_the_same_under_autocast(at_joint: Begin) -> None:
    running = at_joint()
    images, labels = running.trainer.real_batch(0, 0)
    vectors = []
    for precision in ("float32", "bfloat16"):
        running.state.gan.discriminator.load_state_dict(
            at_joint().state.gan.discriminator.state_dict()
        )
        execution = Execution(Compute(precision=precision), CPU)
        logits = execution(running.state.gan.discriminator.train(), images, labels, 1.0)
        assert logits.dtype == torch.float32
        vectors.append(copy_weights(running.state.gan.discriminator))
    assert differences(vectors[0], vectors[1]) == []


def test_a_network_that_is_compiled_keeps_its_names_and_every_other_call_of_it() -> None:
    network = nn.Sequential(nn.Linear(3, 2))
    execution = Execution(Compute(compile=True), CPU)
    assert execution.uncompiled(network, torch.ones(1, 3)).shape == (1, 2)
    execution._compiled_call(network)
    assert list(network.state_dict()) == ["0.weight", "0.bias"]
    assert type(network) is nn.Sequential
    assert network._compiled_call_impl is None


def test_an_execution_without_compilation_is_its_own_uncompiled_one() -> None:
    execution = Execution(Compute(precision="bfloat16"), CPU)
    assert execution.uncompiled is execution


def test_compilation_waits_until_batches_have_their_final_size(at_joint: Begin) -> None:
    for joint, expected in (
        ({"synthetic_ratio": 2.0}, [False, True, True]),
        ({"synthetic_ratio": 0.5}, [True, True, True]),
        ({"synthetic_ratio": 0.5, "selection": "agree"}, [False, False, False]),
    ):
        changes = {"ramp_epochs": 2, "epochs": 3, **joint}
        running = at_joint(joint=changes, compute={"compile": True})
        stage = JointStage(running.trainer, Reference.measure(running.trainer))
        whole = running.trainer.execution
        assert [stage.execution(epoch) is whole for epoch in range(3)] == expected


def test_without_a_compiler_compilation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    require_compiler(Compute(), is_gpu=False)
    for is_gpu, what in ((True, "C"), (False, r"C\+\+")):
        text = rf"compute\.compile: got true on a machine without a {what} compiler"
        with pytest.raises(InputError, match=text):
            require_compiler(Compute(compile=True), is_gpu=is_gpu)


@pytest.mark.storm
@needs_compiler
def test_a_compiled_trial_is_the_eager_one_but_for_rounding_and_resumes_bit_for_bit(
    at_joint: Begin,
) -> None:
    compiled = at_joint(joint=FIXED, compute={"compile": True})
    whole = epochs(compiled)
    eager = epochs(at_joint(joint=FIXED))
    for one, other in zip(whole, eager, strict=True):
        for name in ("loss/classifier", "loss/generator", "loss/discriminator", "loss/triplet"):
            assert one.metrics[name] == pytest.approx(other.metrics[name], rel=1e-3, abs=1e-3), name
        # Adam makes whole steps of gradients that are rounding only, as before a batch norm.
        assert relative(one, other) < 0.02
    resumed = at_joint(joint=FIXED, compute={"compile": True})
    resumed.load_state_dict(unpacked(whole[0].state))
    rest = epochs(resumed)
    assert [epoch.metrics for epoch in rest] == [epoch.metrics for epoch in whole[1:]]
    assert differences(unpacked(rest[0].state), unpacked(whole[1].state)) == []
