"""The forecast of a search, worked by hand from made-up costs."""

import pytest

from distill_tune.records.gpu_use import GpuUse
from distill_tune.study.sections import Finalists
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.training.stages import Job, shared_jobs
from distill_tune.tuning.dry_run.forecast import StartUp, TrialCost, forecast, mean_epochs, span
from distill_tune.tuning.dry_run.plan import mean_cost
from tests.commands import OWN_TRIPLETS, STUDY

A, B = "squeezenet1_1", "shufflenet_v2_x0_5"
BOTH = f"[{A}, {B}]"


def cost(scale: float = 1.0) -> TrialCost:
    """Return what a trial takes; an epoch of stage 3 takes a second, of four; then scaled."""
    stages = {"setup": 0.5, "classifier": 10, "warmup": 40, "triplet": 2, "joint": 4}
    scaled = {stage: scale * seconds for stage, seconds in stages.items()}
    return TrialCost(scaled, checkpoint_bytes=int(300 * scale), model_bytes=90)


def study(search: str = "num_trials: 6", *, backbones: str = BOTH, epochs: int = 4) -> Study:
    """Return the tests' study, whose trials share no triplet pre-training."""
    text = OWN_TRIPLETS.replace("num_trials: 6", search).replace(BOTH, backbones)
    text = text.replace("joint: {epochs: 4", f"joint: {{epochs: {epochs}")
    return parse(Study, read_yaml_text(text, "tiny.yaml"))


def jobs(found: Study, *ready: str) -> list[tuple[Job, bool]]:
    return [(job, job.name in ready) for job in shared_jobs(found)]


@pytest.mark.parametrize(
    ("num_trials", "search", "epochs", "expected"),
    [
        (3, "min_epochs: 2", 4, 2 + 2 / 3),
        (27, "min_epochs: 1", 9, 1 + 2 / 3 + 6 / 9),
        (27, "min_epochs: 2, reduction_factor: 2", 9, 2 + 2 / 2 + 4 / 4 + 1 / 8),
        # One trial always passes.
        (4, "min_epochs: 1", 9, 1 + 2 / 3 + 6 / 4),
        (1, "min_epochs: 1", 9, 9),
        # No rungs.
        (8, "min_epochs: 4", 4, 4),
    ],
)
def test_one_in_so_many_trials_passes_each_rung(
    num_trials: int, search: str, epochs: int, expected: float
) -> None:
    found = study(f"num_trials: 6, {search}", epochs=epochs)
    assert mean_epochs(found, num_trials) == pytest.approx(expected)


def with_controls(names: str) -> Study:
    found = study(backbones=f"[{A}]")
    search = found.search.model_copy(update={"controls": tuple(names.split())})
    return found.model_copy(update={"search": search})


@pytest.mark.parametrize(
    ("arm", "seconds"),
    [
        # Two epochs of stage 1 take 10 s, four of stage 3 on real images 20 s.
        ("equal_steps", 0.5 + 10 + 20),
        ("baseline", 0.5 + 10),
        ("hard_oversampling", 0.5 + 10 + 2 * 20),
        ("gan_augmentation", 0.5 + 10 + 40 + 2 + 4),
    ],
)
def test_a_control_costs_what_its_arm_does(arm: str, seconds: float) -> None:
    found = with_controls(arm)
    alone = forecast(with_controls(""), {A: cost()}, 1, [])
    beside = forecast(found, {A: cost()}, 1, [])
    assert beside.controls_s == {f"control-{A}-{arm}": pytest.approx(seconds)}
    assert beside.pruned_s - alone.pruned_s == pytest.approx(seconds)
    assert beside.unpruned_s - alone.unpruned_s == pytest.approx(seconds)


def test_finalists_cost_their_runs_and_their_stages_for_each_seed() -> None:
    found = with_controls("")
    finalists = Finalists(top=2, seeds=3)
    search = found.search.model_copy(update={"finalists": finalists})
    with_finalists = found.model_copy(update={"search": search})
    shared = jobs(found)
    alone = forecast(found, {A: cost()}, 1, shared)
    beside = forecast(with_finalists, {A: cost()}, 1, shared)
    # Two seeds; the classifier and the warm-up are shared by the two runs of a seed.
    assert beside.finalists_s == pytest.approx(2 * (10 + 40) + 4 * (0.5 + 2 + 4))
    assert beside.pruned_s - alone.pruned_s == pytest.approx(beside.finalists_s)
    assert alone.finalists_s == 0


def test_a_control_shares_the_stages_of_the_trials() -> None:
    found = with_controls("equal_steps")
    guess = forecast(found, {A: cost()}, 1, jobs(found))
    assert guess.controls_s == {f"control-{A}-equal_steps": pytest.approx(0.5 + 20)}


@pytest.mark.parametrize(
    ("count", "slots", "in_a_row"), [(4, 1, 4), (4, 2, 2), (5, 2, 3), (4, 4, 1), (3, 8, 1)]
)
def test_trials_take_turns_in_the_slots(count: int, slots: int, in_a_row: int) -> None:
    assert span([7.0] * count, slots) == 7.0 * in_a_row
    assert span([], slots) == 0


def test_the_slot_that_is_free_first_takes_the_next_trial() -> None:
    assert span([3.0, 1.0, 1.0, 1.0], 2) == 3.0
    assert span([1.0, 1.0, 1.0, 3.0], 2) == 4.0


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_pruning_saves_epochs_of_stage_3_alone(slots: int) -> None:
    found = forecast(study(backbones=f"[{A}]"), {A: cost()}, slots, [])
    turns = 6 / slots
    assert found.shared_s == 0
    assert found.trial_s == {A: 56.5}
    assert found.unpruned_s == pytest.approx(turns * 56.5)
    # Two of six trials pass the rung after the second of four epochs.
    assert found.pruned_s == pytest.approx(turns * (56.5 - 4 + 2 + 2 / 3))


def test_the_longest_trial_is_waited_for() -> None:
    found = forecast(study(), {A: cost(), B: cost(2)}, 6, [])
    assert found.pruned_s == found.unpruned_s == found.trial_s[B] == 113


def test_backbones_take_turns() -> None:
    found = forecast(study("num_trials: 5"), {A: cost(), B: cost(2)}, 1, [])
    assert found.unpruned_s == pytest.approx(3 * 56.5 + 2 * 113)


@pytest.mark.parametrize(
    ("slots", "ready", "seconds"),
    [
        (1, (), 40 + 10 + 20),
        (2, (), 40),
        (2, ("warmup",), 20),
        (2, ("warmup", f"classifier/{B}"), 10),
        (8, ("warmup", f"classifier/{A}", f"classifier/{B}"), 0),
    ],
)
def test_shared_stages_count_once_and_those_that_are_ready_nothing(
    slots: int, ready: tuple[str, ...], seconds: float
) -> None:
    costs = {A: cost(), B: cost(2)}
    found = forecast(study(), costs, slots, jobs(study(), *ready))
    assert found.shared_s == seconds
    assert found.trial_s == {A: 0.5 + 2 + 4, B: 1 + 4 + 8}
    alone = forecast(study(), costs, slots, jobs(study(), "warmup", *jobs_of(study())))
    assert found.pruned_s == pytest.approx(seconds + alone.pruned_s)
    assert found.unpruned_s == pytest.approx(seconds + alone.unpruned_s)


def jobs_of(found: Study) -> list[str]:
    return [job.name for job in shared_jobs(found)]


def test_a_shared_triplet_pre_training_follows_the_other_shared_stages() -> None:
    before, _, after = STUDY.partition("space:\n")
    rest = after[after.index("search:") :]
    text = f"{before}space:\n  joint.gan_lr: loguniform(1e-6, 1e-4)\n{rest}"
    found = parse(Study, read_yaml_text(text, "tiny.yaml"))
    assert forecast(found, {A: cost(), B: cost(2)}, 2, jobs(found)).shared_s == 40 + 4


def test_disk_counts_running_checkpoints_and_kept_models() -> None:
    found = forecast(study("num_trials: 5, keep_top: 2"), {A: cost(), B: cost(2)}, 2, [])
    assert found.checkpoint_bytes == 2 * 2 * 600
    assert found.model_bytes == 2 * 90 + 2 * 90
    found = forecast(study("num_trials: 3, keep_top: 2"), {A: cost(), B: cost(2)}, 8, [])
    assert found.checkpoint_bytes == 2 * 3 * 600
    assert found.model_bytes == 2 * 90 + 1 * 90


def test_trials_of_a_backbone_are_averaged_and_the_one_with_most_memory_tells_the_sizes() -> None:
    small = cost()._replace(gpu=GpuUse(2, 80, None))
    large = cost(3)._replace(gpu=GpuUse(5, 80, None))
    assert mean_cost([large, small]) == large._replace(stages_s=cost(2).stages_s)
    assert mean_cost([cost()]) == cost()


@pytest.mark.parametrize(
    ("finalists", "ready", "num_starts"),
    [
        (None, (), 2),
        # Stages and trials, then stages and finalists.
        (Finalists(top=2, seeds=2), (), 4),
        (Finalists(top=2, seeds=2), ("warmup", f"classifier/{A}"), 3),
    ],
)
def test_workers_start_for_stages_and_for_runs(
    finalists: Finalists | None, ready: tuple[str, ...], num_starts: int
) -> None:
    found = with_controls("")
    search = found.search.model_copy(update={"finalists": finalists})
    found = found.model_copy(update={"search": search})
    plan = ({A: cost()}, 1, jobs(found, *ready))
    guess = forecast(found, *plan, StartUp(ray_s=5.0, worker_s=3.0))
    assert guess.start_s == 5 + 3 * num_starts
    rest = forecast(found, *plan)
    assert (rest.start_s, guess.pruned_s) == (0, rest.pruned_s + guess.start_s)
    assert guess.unpruned_s == rest.unpruned_s + guess.start_s
