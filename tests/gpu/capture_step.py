"""The step that captures the GAN's step as CUDA graphs, and replays it."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from distill_tune.distill.gan_loss_terms import GanLosses
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.trial import Trial
from tests.distill.graphs import (
    CudaGraph,
    Graph,
    RecordedGraph,
    replaying,
    with_fixed_buffers,
)
from tests.distill.tiny import differences, networks, packed, run_until
from tests.gpu.device_steps import large_config, stage_of
from tests.gpu.place import Place, noise, small_networks, small_trial, trial_at_joint
from tests.gpu.timing_steps import NUM_STEPS, median_s

_BEFORE, _REPLAYED = 3, 10


def capture(place: Place) -> None:
    """The GAN's step, captured and replayed as CUDA graphs, is the step; and how long it takes."""
    with small_networks():
        saved = packed(run_until(small_trial(place), "triplet").state_dict())
        for pairing in ("class", "assign"):
            joint = {"pairing": pairing}
            usual, captured = (trial_at_joint(place, saved, joint=joint) for _ in range(2))
            with _graphs(place) as new_graph:
                _compare(place, usual, captured, new_graph)
            if not place.is_gpu:
                assert differences(networks(usual), networks(captured)) == []
    if place.is_gpu:
        _time(place)


def _compare(place: Place, usual: Trial, captured: Trial, new_graph: Callable[[], Graph]) -> None:
    graphed = _captured(captured.trainer, new_graph)
    for _ in range(_BEFORE):
        usual.trainer.step(lr=1e-3, triplet_weight=0.5)
    for number in range(_REPLAYED):
        # On a CPU the rate is a plain number, which a capture would keep.
        lr = 1e-3 / (1 + number) if place.is_gpu else 1e-3
        weight = 0.5 + 0.1 * number
        expected, found = (
            _numbers(trainer.step(lr=lr, triplet_weight=weight))
            for trainer in (usual.trainer, graphed)
        )
        pairs = zip(expected, found, strict=True)
        apart = [abs(one - other) for one, other in pairs]
        place.note(apart=max(apart))
        close = 0.02 if place.is_gpu else 0.0
        for one, other in zip(expected, found, strict=True):
            assert math.isclose(one, other, rel_tol=close, abs_tol=close), (number, expected, found)


def _captured(trainer: GanTrainer, new_graph: Callable[[], Graph]) -> GanTrainer:
    """Return a trainer whose steps are replayed; it has taken some steps of its own."""
    same = with_fixed_buffers(trainer)
    for _ in range(_BEFORE):
        same.step(lr=1e-3, triplet_weight=0.5)
    return replaying(same, new_graph)


def _numbers(losses: GanLosses) -> list[float]:
    return [float(loss) for loss in losses]


@contextmanager
def _graphs(place: Place) -> Iterator[Callable[[], Graph]]:
    """Yield what makes graphs of one step; the work before a capture belongs inside, too."""
    if not place.is_gpu:
        yield RecordedGraph
        return
    stream, pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        yield partial(CudaGraph, stream, pool)
    torch.cuda.synchronize()


def _time(place: Place) -> None:
    trial = Trial(large_config("alexnet", pairing="contrast"), noise(), place.device)
    stage_of(trial)
    with _graphs(place) as new_graph:
        eager_s = _step_s(place, with_fixed_buffers(trial.trainer))
        replayed_s = _step_s(place, _captured(trial.trainer, new_graph))
    found = {"eager_ms": round(1000 * eager_s, 2), "replayed_ms": round(1000 * replayed_s, 2)}
    place.note(alexnet=found)


def _step_s(place: Place, trainer: GanTrainer) -> float:
    return median_s(place, lambda _: trainer.step(lr=1e-4, triplet_weight=1.0), NUM_STEPS)
