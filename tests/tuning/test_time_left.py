"""The time left of a search and of a confirmation, worked by hand from made-up reports."""

import math
from typing import Any

import pytest

from distill_tune.distill.trial import Report
from distill_tune.records.replay import Fold, fold
from distill_tune.records.trials import Event
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.training.run_times import ALL_STAGES
from distill_tune.training.stages import Job, SharedStage, shared_jobs
from distill_tune.tuning.time_left import RunsTimeLeft, SearchTimeLeft
from tests.commands import OWN_TRIPLETS

A, B = "squeezenet1_1", "shufflenet_v2_x0_5"
NUM_TRAIN = 60  # two steps an epoch
TRIPLET = 1 + 2 / 2  # a step, guessed from 2 s a step of the classifier and 1 s of the warm-up
JOINT = 2 * 4 + 2 * TRIPLET  # an epoch
MEAN_EPOCHS = 2 + 2 / 3  # one trial in three passes the rung at epoch 2 of 4
TRIAL = 2 * TRIPLET + MEAN_EPOCHS * JOINT


def study(**changes: object) -> Study:
    """Return one backbone, six trials."""
    document = read_yaml_text(OWN_TRIPLETS, "tiny.yaml")
    for path, value in {"backbones": f"[{B}]", **changes}.items():
        document.set(f"{path.replace('__', '.')}={value}")
    return parse(Study, document)


class Searching:
    """A search that is told what happens."""

    def __init__(self, study: Study, slots: int = 2, *, is_sharing: bool = True) -> None:
        self.study, self.log = study, Fold()
        self.jobs = shared_jobs(study) if is_sharing else []
        self.left = SearchTimeLeft(study, NUM_TRAIN, fold([]))
        self.left.expect(self.jobs, slots)

    def seconds(self) -> float:
        return self.left.seconds(self.log.state)

    def tell(self, what: str, **fields: Any) -> None:
        event: Event = {"event": what, "time": 1.0, "kind": "control", **fields}
        self.log.add(event)
        self.left.listen(event, self.log.state)

    def report(self, name: str, step: int, total: int, seconds: float) -> float:
        stage: Any = name.partition("/")[0]
        return self.left.stage_report(name, Report(stage, step, total, {}, seconds))

    def stage(self, name: str, **fields: Any) -> None:
        facts = {"key": name, "seconds": 0.0, "cost_s": 0.0, "cached": False}
        self.tell("stage", name=name, **{**facts, **fields})

    def start(self, number: int) -> None:
        self.tell("trial_started", trial=number, name=f"t-{number}", backbone=B, params={})

    def epoch(self, number: int, epoch: int, **seconds: float) -> None:
        metrics = {f"seconds/{stage}": value for stage, value in seconds.items()}
        self.tell("epoch", trial=number, epoch=epoch, metrics=metrics)

    def end(self, number: int) -> None:
        self.tell("trial_ended", trial=number, status="pruned", reason="rung 2")

    def warmed_up(self) -> None:
        """Compute both shared stages: 4 s an epoch, 1 s a step."""
        self.report(f"classifier/{B}", 2, 2, 4.0)
        self.report("warmup", 10, 10, 10.0)
        for job in self.jobs:
            self.stage(job.name)


def test_nothing_is_known_before_the_first_report() -> None:
    assert math.isnan(Searching(study()).seconds())


def test_shared_stages_run_side_by_side_and_all_trials_follow() -> None:
    search = Searching(study())
    assert math.isnan(search.report("warmup", 2, 10, 60.0)), "with the training of the judge"
    assert search.report("warmup", 4, 10, 2.0) == 6.0
    epoch = 2 * 4 * 1  # as guessed from the steps of the warm-up
    triplet = 1 + 4 / 2
    trial = 2 * triplet + MEAN_EPOCHS * (2 * epoch + 2 * triplet)
    assert search.seconds() == pytest.approx(max(6, 2 * epoch) + 3 * trial)
    assert search.report(f"classifier/{B}", 1, 2, 4.0) == 4.0
    assert search.seconds() == pytest.approx(6 + 3 * TRIAL)
    search.stage("warmup")
    assert search.seconds() == pytest.approx(4 + 3 * TRIAL)


def test_on_one_slot_everything_follows_one_another() -> None:
    search = Searching(study(), slots=1)
    search.report("warmup", 2, 10, 60.0)
    search.report("warmup", 4, 10, 2.0)
    search.report(f"classifier/{B}", 1, 2, 4.0)
    assert search.seconds() == pytest.approx(6 + 4 + 6 * TRIAL)


def test_stages_that_are_found_ready_tell_what_they_took() -> None:
    search = Searching(study())
    search.stage("warmup", cached=True, steps=10, cost_s=10.0)
    search.stage(f"classifier/{B}", cached=True, steps=2, cost_s=8.0)
    assert search.seconds() == pytest.approx(3 * TRIAL)


def test_a_stage_that_failed_is_not_waited_for() -> None:
    search = Searching(study())
    search.report(f"classifier/{B}", 2, 2, 4.0)
    before = search.seconds()
    search.left.stage_over("warmup")
    assert search.seconds() < before


def test_epochs_that_were_measured_replace_the_guess() -> None:
    search = Searching(study())
    search.warmed_up()
    for number in (0, 1):
        search.start(number)
    assert search.seconds() == pytest.approx(3 * TRIAL)
    search.epoch(0, 1, triplet=6.0, joint=3.0)
    trial = 6 + MEAN_EPOCHS * 3
    # Of two running trials one has done an epoch; four follow.
    assert search.seconds() == pytest.approx(max(3 * trial, (MEAN_EPOCHS - 1) * 3 + 2 * trial))


def test_a_trial_past_its_last_rung_runs_to_its_end() -> None:
    search = Searching(study(search__num_trials=1), slots=1)
    search.warmed_up()
    search.start(0)
    for epoch, left in ((1, 3), (2, 2), (3, 1), (4, 0)):
        search.epoch(0, epoch, joint=5.0)
        assert search.seconds() == 5 * left
    search.end(0)
    assert search.seconds() == 0


def test_trials_that_share_nothing_are_known_after_their_first_epoch() -> None:
    search = Searching(study(), is_sharing=False)
    search.start(0)
    assert math.isnan(search.seconds())
    search.epoch(0, 1, classifier=8.0, warmup=10.0, triplet=4.0, joint=5.0)
    trial = 8 + 10 + 4 + MEAN_EPOCHS * 5
    assert search.seconds() == pytest.approx(3 * trial)


def test_a_resumed_search_knows_what_its_earlier_sessions_took() -> None:
    search = Searching(study())
    search.warmed_up()
    search.start(0)
    search.epoch(0, 1, triplet=6.0, joint=3.0)
    resumed = Searching(search.study, is_sharing=False)
    resumed.left = SearchTimeLeft(search.study, NUM_TRAIN, search.log.state)
    resumed.left.expect(search.jobs, 2)
    for job in search.jobs:
        resumed.stage(job.name, cached=True)
    assert resumed.left.seconds(search.log.state) == search.seconds()


def test_a_trial_of_unknown_backbone_is_left_out() -> None:
    search = Searching(study())
    search.warmed_up()
    search.tell("epoch", trial=0, epoch=1, metrics={"seconds/joint": 900.0})
    assert search.seconds() == pytest.approx(3 * TRIAL)


class Confirming:
    """A confirmation of two seeds, which shares stages within each."""

    def __init__(self) -> None:
        self.left = RunsTimeLeft(NUM_TRAIN)
        self.study = study()
        self.configs = {
            f"{arm}-{seed}": self.study.trial_config(B, changes).model_copy(update={"seed": seed})
            for seed in (1000, 1001)
            for arm, changes in {"gan": {}, "equal": {"joint.extra_images": "none"}}.items()
        }
        stages: tuple[SharedStage, ...] = ("warmup", "classifier")
        self.left.expect(
            [
                Job(stage, config, f"{stage} seed={config.seed}")
                for name, config in self.configs.items()
                for stage in stages
                if name.startswith("gan")
            ],
            1,
        )
        for name, config in self.configs.items():
            self.left.expect_run(name, config, ALL_STAGES)


def test_a_confirmation_counts_shared_stages_once_and_each_arm_at_its_own_cost() -> None:
    left = Confirming().left
    assert math.isnan(left.seconds())
    left.stage_report("warmup seed=1000", Report("warmup", 10, 10, {}, 10.0))
    left.stage_report("classifier seed=1000", Report("classifier", 1, 2, {}, 4.0))
    gan, equal = 2 * TRIPLET + 4 * JOINT, 4 * 4
    assert left.seconds() == 4 + (10 + 8) + 2 * (gan + equal)
    left.run_report("equal-1000", Report("joint", 1, 4, {}, 6.0))
    assert left.seconds() == 4 + (10 + 8) + 2 * gan + 3 * 6 + 4 * 6
    left.run_over("equal-1000")
    assert left.seconds() == 4 + (10 + 8) + 2 * gan + 4 * 6


def test_a_run_with_images_of_its_own_shares_nothing() -> None:
    confirming = Confirming()
    left, config = confirming.left, confirming.configs["gan-1000"]
    left.times.add(config, "classifier", 1, 4.0)
    left.times.add(config, "warmup", 1, 1.0)
    before = left.seconds()
    left.expect_run("other", config.model_copy(update={"seed": 7}), ALL_STAGES)
    assert left.seconds() - before == 2 * 4 + 10 * 1 + 2 * TRIPLET + 4 * JOINT


def test_a_control_counts_until_it_is_over() -> None:
    search = Searching(study(search__controls="[equal_steps]"), slots=1)
    search.warmed_up()
    # An epoch on real images takes as long as one of stage 1.
    assert search.seconds() == pytest.approx(4 * 4 + 6 * TRIAL)
    name = f"control-{B}-equal_steps"
    arm = {"arm": "equal_steps", "words": "", "seed": 0, "trial": None, "params": {}}
    search.tell("extra_started", name=name, backbone=B, **arm)
    search.tell("extra_epoch", name=name, epoch=1, metrics={"seconds/joint": 3.0})
    left = search.seconds()
    search.tell("extra_ended", name=name, status="complete", reason="")
    assert left - search.seconds() == pytest.approx(3 * 3)
