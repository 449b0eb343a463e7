"""A step of the GAN can be captured as CUDA graphs: here by recording and repeating it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from distill_tune.distill.classifier_stage import set_lr
from distill_tune.distill.compute.averaging import MovingAverage
from distill_tune.distill.compute.fixed_buffers import FixedBuffers, Ramps
from distill_tune.distill.compute.optimizers import load_adam, make_adam
from distill_tune.distill.gan_draws import GanDraws
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData
from tests.distill.conftest import Begin
from tests.distill.graphs import RecordedGraph, replaying, with_fixed_buffers
from tests.distill.tiny import CPU, differences, networks, trial

RAMPS = {"class_ramp_steps": 100, "lecam_start": 2, "mode_seeking": 0.3, "mismatch": 0.7}


class Recorder(TorchDispatchMode):
    """Records the operations of a step with the numbers that they are given on the host."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[tuple[str, str]] = []
        self.is_paused = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if not self.is_paused and not str(func).startswith("profiler."):
            self.seen.append((str(func), _host_numbers([args, kwargs or {}])))
        return func(*args, **(kwargs or {}))

    @contextmanager
    def paused(self) -> Iterator[None]:
        before, self.is_paused = self.is_paused, True
        try:
            yield
        finally:
            self.is_paused = before


def _host_numbers(given: Any) -> str:
    if isinstance(given, Tensor):
        return f"{tuple(given.shape)} {given.dtype}"
    if isinstance(given, dict):
        return str({name: _host_numbers(value) for name, value in given.items()})
    if isinstance(given, list | tuple):
        return str([_host_numbers(value) for value in given])
    return repr(given)


def left_out(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, owner: type, *names: str) -> None:
    """Leave out what a capture does not hold: draws, buffers, the average's own decay."""
    for name in names:
        original: Callable[..., Any] = getattr(owner, name)

        def quiet(*args: Any, original: Callable[..., Any] = original, **options: Any) -> Any:
            with recorder.paused():
                return original(*args, **options)

        monkeypatch.setattr(owner, name, quiet)


@pytest.mark.parametrize("pairing", ["assign", "class"])
def test_steps_repeat_each_other_but_for_their_buffers(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch, pairing: str
) -> None:
    running = at_joint(gan=RAMPS, joint={"pairing": pairing})
    running.trainer.step(lr=1e-3, triplet_weight=0.125)  # As before a capture.
    recorder = Recorder()
    left_out(recorder, monkeypatch, GanDraws, "for_discriminator", "for_generator")
    left_out(recorder, monkeypatch, FixedBuffers, "hold")
    left_out(recorder, monkeypatch, Ramps, "tensor")
    left_out(recorder, monkeypatch, MovingAverage, "move")
    steps = []
    for weight in (0.25, 0.5):
        recorder.seen = []
        with recorder:
            running.trainer.step(lr=1e-3, triplet_weight=weight)
        steps.append(recorder.seen)
    assert len(steps[0]) > 100
    assert running.trainer.class_signal() < 1
    assert steps[0] == steps[1]


STEPS = ((0.125, 1e-3), (0.25, 1e-3), (0.5, 5e-4), (0.75, 2e-3))
"""Weight of the triplet loss and learning rate of some steps, of which the first is captured."""


@pytest.mark.parametrize("pairing", ["assign", "class"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_that_is_captured_and_replayed_is_the_step(
    at_joint: Begin, pairing: str, precision: str
) -> None:
    changes = {"gan": {**RAMPS, "discriminator_steps": 2}, "joint": {"pairing": pairing}}
    usual, captured = (at_joint(**changes, compute={"precision": precision}) for _ in range(2))
    for running in (usual, captured):
        rates_as_tensors(running)
    same = with_fixed_buffers(captured.trainer)
    for trainer in (usual.trainer, same):
        # Before a capture, what is computed once is computed.
        trainer.step(lr=1e-3, triplet_weight=0.1)
    graphed = replaying(same, RecordedGraph)
    for weight, lr in STEPS:
        expected = usual.trainer.step(lr=lr, triplet_weight=weight)
        assert graphed.step(lr=lr, triplet_weight=weight) == expected
    # Another labelling of hard images keeps the capture valid.
    for running in (usual, captured):
        JointStage(running.trainer, None).refresh(1)
    expected = usual.trainer.step(lr=1e-3, triplet_weight=1.0)
    assert graphed.step(lr=1e-3, triplet_weight=1.0) == expected
    assert graphed.class_signal() < 1
    assert differences(networks(usual), networks(captured)) == []


def test_a_warmup_step_is_captured_and_replayed(partly_labelled: ImageData) -> None:
    usual, captured = (trial(partly_labelled, gan=RAMPS) for _ in range(2))
    same = with_fixed_buffers(captured.trainer)
    for trainer in (usual.trainer, same):
        # LeCam regularisation begins with the third step.
        for _ in range(2):
            trainer.step(lr=1e-3, triplet_weight=0.0)
    graphed = replaying(same, RecordedGraph)
    for _ in range(3):
        expected = usual.trainer.step(lr=1e-3, triplet_weight=0.0)
        assert graphed.step(lr=1e-3, triplet_weight=0.0) == expected
    assert differences(networks(usual), networks(captured)) == []


def rates_as_tensors(running: Trial) -> None:
    """Give the optimisers of the GAN their learning rates as tensors, as on a GPU."""
    gan = running.state.gan
    for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer):
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"])


def refused(work: Callable[[Tensor], object]) -> None:
    with pytest.raises(AssertionError, match="cannot"):
        RecordedGraph().capture(lambda: work(torch.ones(3)))


def test_what_a_gpu_cannot_capture_is_refused_by_what_stands_for_it() -> None:
    refused(lambda one: one.sum().item())
    refused(lambda one: bool(one.any()))
    refused(lambda one: one.nonzero())
    refused(lambda one: one[one > 0])
    refused(torch.rand_like)
    refused(lambda one: one * torch.tensor([1.0, 2.0, 3.0]))


def test_a_replay_repeats_the_numbers_and_branches_of_its_capture() -> None:
    held, graph = torch.ones(2), RecordedGraph()
    number = 3.0
    result = graph.capture(lambda: held * number)
    held.fill_(5.0)
    number = 4.0
    graph.replay()
    assert result.tolist() == [15.0, 15.0]


def test_buffers_change_no_bit_of_a_step(partly_labelled: ImageData, at_joint: Begin) -> None:
    for weight in (0.5, 0.0):
        usual, buffered = (
            at_joint(gan=RAMPS) if weight else trial(partly_labelled, gan=RAMPS) for _ in range(2)
        )
        trainer = with_fixed_buffers(buffered.trainer)
        for _ in range(3):
            expected = usual.trainer.step(lr=1e-3, triplet_weight=weight)
            assert trainer.step(lr=1e-3, triplet_weight=weight) == expected
        assert differences(networks(usual), networks(buffered)) == []


def test_the_input_of_every_step_is_at_the_same_addresses(at_joint: Begin) -> None:
    running = at_joint(gan=RAMPS)
    buffers, draws = (
        FixedBuffers(is_active=True),
        GanDraws(running.config, running.data, running.state),
    )
    first = buffers.hold("discriminator", draws.for_discriminator(0))
    before = first.latent.z.clone()
    running.state.gan.step += 1
    again = buffers.hold("discriminator", draws.for_discriminator(0))
    assert _addresses(first) == _addresses(again)
    assert not torch.equal(again.latent.z, before)
    assert torch.equal(again.latent.z, draws.for_discriminator(0).latent.z)
    assert torch.equal(again.real, draws.for_discriminator(0).real)


def _addresses(given: Any) -> list[int]:
    if isinstance(given, Tensor):
        return [given.data_ptr()]
    return [] if given is None else [one for part in given for one in _addresses(part)]


def test_a_ramp_is_one_tensor_that_is_written_when_its_value_changes() -> None:
    ramps = Ramps(CPU)
    one = ramps.tensor("signal", 0.25)
    version = one._version
    assert ramps.tensor("signal", 0.25) is one
    assert one._version == version
    assert ramps.tensor("signal", 0.5) is one
    assert one.item() == 0.5
    assert ramps.tensor("weight", 0.5) is not one


def test_the_optimizer_is_capturable_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    on_host = torch.tensor
    monkeypatch.setattr(torch, "tensor", lambda value, device: on_host(value))  # noqa: ARG005
    gpu, cpu = (make_adam(nn.Linear(2, 1), 0.5, torch.device(name)) for name in ("cuda", "cpu"))
    (of_gpu,), (of_cpu,) = gpu.param_groups, cpu.param_groups
    assert (of_gpu["capturable"], of_cpu["capturable"]) == (True, False)
    rate = of_gpu["lr"]
    set_lr(gpu, 0.25)
    assert of_gpu["lr"] is rate
    assert rate.item() == 0.25
    set_lr(cpu, 0.25)
    assert of_cpu["lr"] == 0.25
    assert not isinstance(of_cpu["lr"], Tensor)


def test_an_optimizer_saved_on_a_gpu_continues_on_a_cpu_bit_for_bit() -> None:
    weights = []
    for of_gpu in (False, True):
        torch.manual_seed(0)
        network = nn.Linear(3, 2)
        first = make_adam(network, 0.5, CPU)
        _learn(network, first)
        saved = copy.deepcopy(first.state_dict())
        if of_gpu:
            saved["param_groups"][0] |= {"lr": torch.tensor(0.5), "capturable": True}
        resumed = make_adam(network, 0.1, CPU)
        load_adam(resumed, saved)
        assert resumed.param_groups[0]["lr"] == 0.5
        _learn(network, resumed)
        weights.append(network.weight.detach().clone())
    assert torch.equal(*weights)


def _learn(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    network(torch.ones(4, 3)).square().sum().backward()
    optimizer.step()
