"""What a search will take, from what was measured of its parts: arithmetic on plain numbers."""

import heapq
import random
import statistics
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from distill_tune.tuning.dry_run.estimate import (
    Disk,
    Estimate,
    Judge,
    Measured,
    Rung,
    StartUp,
    Work,
)

_DRAWS, _JUDGEMENTS = 60, 3_000
_EPOCH_BYTES = 4_000
"""Of an epoch's records: its line in the log and in the log's copy, its row in the table."""


def estimate(
    work: Work,
    measured: Mapping[str, Measured],
    start: StartUp,
    make_judge: Callable[[], Judge],
) -> Estimate:
    """Return what a search will take.

    Which trials are pruned is played through with the search's own scheduler: each trial has a
    value drawn at random, which it keeps from rung to rung. A sampler that gets better as it goes
    prunes less than that.

    Args:
        work: What there is to do.
        measured: By backbone.
        start: Times in which nothing is computed.
        make_judge: Returns a scheduler that has seen no trial.
    """
    whole = play(work, measured, start, lambda *_: False, [0.0] * work.num_trials)
    draws = max(5, min(_DRAWS, _JUDGEMENTS // work.num_trials))
    played = []
    for draw in range(draws):
        luck = random.Random(draw)  # noqa: S311 - the same estimate each time, no secret
        values = [luck.gauss(0, 1) for _ in range(work.num_trials)]
        played.append(play(work, measured, start, make_judge(), values))
    spans = sorted(one.seconds for one in played)
    first_s = max(one.first_s for one in measured.values())
    return Estimate(
        start=start.driver + start.tune + start.worker + first_s,
        shared=_shared_s(work, measured, start.worker + first_s),
        trials=statistics.mean(spans),
        trials_low=spans[len(spans) // 10],
        trials_high=spans[-1 - len(spans) // 10],
        trials_unpruned=whole.seconds,
        epochs=statistics.mean(one.epochs for one in played) / work.num_trials,
        rungs=tuple(_rung(epoch, played) for epoch in work.rungs),
        disk=_disk(work, measured),
    )


class Played(NamedTuple):
    """One made-up search: its seconds, its epochs, who came to each rung and who passed it."""

    seconds: float
    epochs: int
    came: Counter[int]
    passed: Counter[int]


def play(
    work: Work,
    measured: Mapping[str, Measured],
    start: StartUp,
    judge: Judge,
    values: list[float],
) -> Played:
    """Let trials with these values take their turns in the slots."""
    played = Played(0.0, 0, Counter(), Counter())
    waiting, running = iter(range(work.num_trials)), list[tuple[float, int, int]]()

    def begin(now: float) -> None:
        number = next(waiting, None)
        if number is not None:
            name = work.backbones[number % len(work.backbones)]
            one = measured[name]
            ready = now + start.turn + one.build_s + one.times.of(work.own[name])
            heapq.heappush(running, (ready + one.times.joint_start, number, 0))

    for _ in range(work.slots):
        begin(0.0)
    while running:
        now, number, epoch = heapq.heappop(running)
        backbone = work.backbones[number % len(work.backbones)]
        one = measured[backbone]
        if epoch in work.rungs:
            played.came[epoch] += 1
        if epoch == len(one.times.joint) or (
            epoch in work.rungs and judge(number, backbone, epoch, values[number])
        ):
            played = played._replace(seconds=now, epochs=played.epochs + epoch)
            begin(now)
            continue
        if epoch in work.rungs:
            played.passed[epoch] += 1
        until = min((rung for rung in work.rungs if rung > epoch), default=len(one.times.joint))
        takes = sum(one.times.joint[epoch:until]) + one.model_s
        takes += one.times.joint_end if until == len(one.times.joint) else 0.0
        heapq.heappush(running, (now + takes, number, until))
    return played


def _shared_s(work: Work, measured: Mapping[str, Measured], start_s: float) -> float:
    span = shared_span(work, measured)
    return span + start_s if span else 0.0


def shared_span(work: Work, measured: Mapping[str, Measured]) -> float:
    """Return how long the shared stages take, with the slots of the trials."""
    waiting, done, now = list(work.shared), set[str](), 0.0
    running: list[tuple[float, str]] = []
    while waiting or running:
        for job in list(waiting):
            if len(running) < work.slots and job.needs <= done:
                takes = 0.0 if job.is_ready else measured[job.backbone].times.of([job.stage])
                heapq.heappush(running, (now + takes, job.name))
                waiting.remove(job)
        now, name = heapq.heappop(running)
        done.add(name)
    return now


def _rung(epoch: int, played: list[Played]) -> Rung:
    came = statistics.mean(one.came[epoch] for one in played)
    passed = statistics.mean(one.passed[epoch] for one in played)
    return Rung(epoch, came, passed / came if came else 0.0)


def _disk(work: Work, measured: Mapping[str, Measured]) -> Disk:
    names = [work.backbones[n % len(work.backbones)] for n in range(work.num_trials)]
    kept = {name: min(work.keep_top, count) for name, count in Counter(names).items()}
    sizes = {name: one.sizes for name, one in measured.items()}
    running = sorted((sizes[name].checkpoint for name in names), reverse=True)[: work.slots]
    epochs = sum(len(measured[name].times.joint) for name in names)
    return Disk(
        checkpoints=2 * sum(running),
        models=sum(count * sizes[name].model for name, count in kept.items()),
        shared=sum(sizes[job.backbone].products[job.stage] for job in work.shared),
        board=sum(sizes[name].board for name in names),
        records=_EPOCH_BYTES * epochs,
    )
