"""What a search will take, worked by hand from made-up times."""

import pytest

from distill_tune.tuning.dry_run.estimate import (
    Estimate,
    Judge,
    Measured,
    SharedWork,
    Sizes,
    StageTimes,
    StartUp,
    Work,
)
from distill_tune.tuning.dry_run.forecast import estimate, play, shared_span
from distill_tune.tuning.scheduler import AshaPerBackbone, RungEvent

START = StartUp(driver=5.0, worker=3.0, tune=2.0, turn=0.5)


def measured(scale: float = 1.0, epochs: int = 4) -> Measured:
    """Classifier 10 s, warm-up 40 s, triplet 2 s, a joint epoch 1 s; all of them times a number."""
    times = StageTimes(10 * scale, 40 * scale, 2 * scale, 0.5, (1.0 * scale,) * epochs, 0.25)
    sizes = Sizes({"classifier": 100, "warmup": 50, "triplet": 60}, int(300 * scale), 90, 10)
    return Measured(times, build_s=0.5, first_s=1.0, model_s=0.0, sizes=sizes)


def work(num_trials: int = 4, slots: int = 1, rungs: tuple[int, ...] = ()) -> Work:
    return Work(
        backbones=("a",),
        num_trials=num_trials,
        slots=slots,
        rungs=rungs,
        shared=(SharedWork("warmup", "warmup", "a"), SharedWork("classifier/a", "classifier", "a")),
        own={"a": ("triplet",)},
        keep_top=3,
    )


def never(*_report: object) -> bool:
    return False


A_TRIAL_S = 0.5 + 0.5 + 2.0 + 0.5 + 4 * 1.0 + 0.25
"""Turn, building, triplet pre-training, what comes before stage 3, four epochs, what follows."""


@pytest.mark.parametrize(
    ("num_trials", "slots", "in_a_row"), [(4, 1, 4), (4, 2, 2), (5, 2, 3), (4, 4, 1), (3, 8, 1)]
)
def test_trials_take_turns_in_the_slots(num_trials: int, slots: int, in_a_row: int) -> None:
    found = play(work(num_trials, slots), {"a": measured()}, START, never, [0.0] * num_trials)
    assert found.seconds == pytest.approx(in_a_row * A_TRIAL_S)
    assert found.epochs == 4 * num_trials


def test_a_trial_that_stops_at_a_rung_gives_its_slot_to_the_next() -> None:
    heard: list[tuple[int, str, int, float]] = []

    def judge(number: int, backbone: str, epoch: int, value: float) -> bool:
        heard.append((number, backbone, epoch, value))
        return number == 1

    found = play(work(3, 1, (2,)), {"a": measured()}, START, judge, [0.5, 0.1, 0.7])
    # The one that stops is two epochs and what follows the last one shorter.
    assert found.seconds == pytest.approx(3 * A_TRIAL_S - 2 * 1.0 - 0.25)
    assert found.epochs == 4 + 2 + 4
    assert (found.came, found.passed) == ({2: 3}, {2: 2})
    assert heard == [(0, "a", 2, 0.5), (1, "a", 2, 0.1), (2, "a", 2, 0.7)]


def test_writing_a_model_counts_at_every_rung_and_at_the_end() -> None:
    slow = measured()._replace(model_s=0.5)
    found = play(work(1, 1, (1, 3)), {"a": slow}, START, never, [0.0])
    assert found.seconds == pytest.approx(A_TRIAL_S + 3 * 0.5)


def test_backbones_take_turns_each_with_its_own_times() -> None:
    both = work(4, 2)._replace(backbones=("a", "b"), own={"a": (), "b": ("classifier", "triplet")})
    found = play(both, {"a": measured(), "b": measured(2.0)}, START, never, [0.0] * 4)
    quick = A_TRIAL_S - 2.0
    slow = 1.0 + 20 + 4 + 0.5 + 8 + 0.25
    # Slot 1: a, then a, then nothing; slot 2: b. The second b follows both trials of a.
    assert found.seconds == pytest.approx(max(2 * quick + slow, slow))


@pytest.mark.parametrize(
    ("slots", "ready", "seconds"),
    [
        (1, (), 40 + 10 + 2),
        (2, (), 40 + 2),
        (8, (), 40 + 2),
        (2, ("warmup",), 10 + 2),
        (2, ("warmup", "classifier/a", "triplet/a"), 0),
    ],
)
def test_shared_stages_run_side_by_side_each_after_those_it_needs(
    slots: int, ready: tuple[str, ...], seconds: float
) -> None:
    shared = (
        *work().shared,
        SharedWork("triplet/a", "triplet", "a", frozenset({"warmup", "classifier/a"})),
    )
    jobs = tuple(job._replace(is_ready=job.name in ready) for job in shared)
    found = work(slots=slots)._replace(shared=jobs, own={"a": ()})
    assert shared_span(found, {"a": measured()}) == pytest.approx(seconds)


def estimated(what: Work, reduction_factor: float = 3.0) -> Estimate:
    def make_judge() -> Judge:
        scheduler = AshaPerBackbone(min_epochs=2, max_epochs=5, reduction_factor=reduction_factor)
        return lambda *report: scheduler.judge(RungEvent(*report))

    one = {name: measured(epochs=5) for name in what.backbones}
    return estimate(what, one, START, make_judge)


def test_as_many_trials_pass_a_rung_as_the_rule_lets_pass() -> None:
    (rung,) = estimated(work(16, 2, (2,))).rungs
    assert (rung.epoch, rung.trials) == (2, 16)
    # The k-th goes on if it is not below the 2/3 quantile of the k - 1 before it, all orders
    # being equally likely: (n - 2/3 (n - 1)) / (n + 1) with n = k - 1, and the first for sure.
    expected = 1 + sum((n - 2 / 3 * (n - 1)) / (n + 1) for n in range(1, 16))
    assert 16 * rung.share == pytest.approx(expected, rel=0.1)


def test_rungs_are_each_backbones_own() -> None:
    alone = estimated(work(8, 1, (2,)))
    # As many trials of each of two backbones; each has a first trial that goes on for sure.
    two = work(16, 1, (2,))._replace(backbones=("a", "b"), own={"a": (), "b": ()})
    assert estimated(two).rungs[0].share == pytest.approx(alone.rungs[0].share, rel=0.1)


def test_an_estimate_adds_start_up_shared_stages_and_trials() -> None:
    found = estimated(work(16, 2, (2,)))
    assert found.start == 5 + 2 + 3 + 1
    assert found.shared == 40 + 3 + 1
    # 2 epochs for each trial, 3 more for those that go on.
    assert found.epochs == pytest.approx(2 + 3 * found.rungs[0].share)
    assert found.trials_low < found.trials < found.trials_high < found.trials_unpruned
    assert found.trials_unpruned == pytest.approx(8 * (A_TRIAL_S + 1.0))
    assert found.total(found.trials) == found.start + found.shared + found.trials
    # All of a trial but its epochs is there in each of eight turns; so is the share of epochs.
    turns = 8 * (3.5 + found.epochs)
    assert found.trials == pytest.approx(turns, rel=0.15)


def test_the_same_study_is_estimated_the_same() -> None:
    assert estimated(work(9, 2, (2,))) == estimated(work(9, 2, (2,)))


def test_nothing_shared_means_no_wait_for_it() -> None:
    everything = work()._replace(shared=(), own={"a": ("classifier", "warmup", "triplet")})
    found = estimated(everything)
    assert found.shared == 0
    assert found.trials_unpruned == pytest.approx(4 * (A_TRIAL_S + 1.0 + 50))


def test_disk_counts_what_is_kept_and_what_runs() -> None:
    two = work(5, 2)._replace(backbones=("a", "b"), own={"a": (), "b": ()}, keep_top=2)
    small, large = measured(), measured(2.0)
    found = estimate(two, {"a": small, "b": large}, START, lambda: never).disk
    assert found.checkpoints == 2 * (600 + 600)
    assert found.models == 2 * 90 + 2 * 90
    assert found.shared == 100 + 50
    assert found.board == 5 * 10
    assert found.left == found.models + found.shared + found.board + found.records
