"""Continuation of other studies: what fits, what is left out and why, and what the sampler sees."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distill_tune.cluster.resources import Slots
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError, StudyError
from distill_tune.interfaces import plain
from distill_tune.records.continued import continued_fields, continued_sentences
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import CONTINUED, TrialRecord
from distill_tune.study.continuing import continuation as module
from distill_tune.study.continuing import source_code
from distill_tune.study.continuing.continuation import Continuation, continuation, is_untouched
from distill_tune.study.continuing.source_code import code_digest, running_code
from distill_tune.study.rungs import RungEvent
from distill_tune.study.space import apply
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text, to_yaml
from distill_tune.tuning.dry_run import plan
from distill_tune.tuning.sampling.proposals import PastTrial
from distill_tune.tuning.tuner import make_sampler, make_scheduler
from tests.refusals import GOOD, search, write
from tests.tuning.scripted_search import Search, scripted_plan

DIGEST = "0123456789abcdef"
NO_VIEWS: Any = None


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def study(**changes: Any) -> Study:
    """Return the good study with changes: dotted path with ``__`` -> value; ``space`` replaces."""
    raw = read_yaml_text(GOOD, "good.yaml").value
    space = changes.pop("space", None)
    raw = apply(raw, {path.replace("__", "."): value for path, value in changes.items()})
    if space is not None:
        raw["space"] = space
    return parse(Study, read_yaml_text(to_yaml(raw), "good.yaml"))


def source(root: str = "old", of: Study | None = None, **session: Any) -> StudyDirectory:
    """Write a study without trials."""
    directory = StudyDirectory(root)
    directory.write_text("study.yaml", to_yaml(plain(of or study())))
    started = {"command": "search", "study": plain(of or study()), "code": code_digest()}
    directory.append({"event": "session_started", **started, **session})
    directory.append({"event": "data", "digest": DIGEST})
    return directory


def add(
    directory: StudyDirectory, number: int, margin: float = 0.3, epochs: int = 3, **fields: Any
) -> None:
    """Record a trial, complete if not said otherwise; its value grows with its number."""
    backbone, status = fields.pop("backbone", "resnet18"), fields.pop("status", "complete")
    params = fields.pop("params", {"joint.margin": margin, "joint.gan_lr": 1e-5})
    head = {"trial": number, "name": f"{backbone}-{number:04d}", "backbone": backbone}
    directory.append({"event": "trial_started", **head, "params": params})
    for epoch in range(1, epochs + 1):
        value = 0.5 + number / 100 + epoch / 1000
        metrics = {"objective": value, "val/accuracy": value, "seconds/joint": 2.0, "loss": 1.0}
        directory.append({"event": "epoch", "trial": number, "epoch": epoch, "metrics": metrics})
    if status:
        directory.append({"event": "trial_ended", "trial": number, "status": status, **fields})


def taken(ours: Study | None = None, *roots: str) -> Continuation:
    return continuation(roots or ("old",), ours or study(), DIGEST)


def refusal(ours: Study | None = None) -> str:
    with pytest.raises(StudyError) as caught:
        taken(ours)
    return str(caught.value)


def begun(ours: Study, found: Continuation) -> StudyDirectory:
    """Write a study that has taken trials over."""
    directory = StudyDirectory("new")
    trials = continued_fields(found.trials)
    directory.append({"event": CONTINUED, "code": code_digest(), "trials": trials})
    session = {"command": "search", "study": plain(ours), "code": code_digest()}
    directory.append({"event": "session_started", **session})
    directory.append({"event": "data", "digest": DIGEST})
    return directory


def values(trials: tuple[TrialRecord, ...]) -> list[Any]:
    return [trial.params["joint.margin"] for trial in trials]


def test_ended_trials_of_the_same_study_count() -> None:
    old = source()
    add(old, 0)
    add(old, 1, 0.4, 1, status="pruned", reason="rung 1")
    add(old, 2, 0.5, 1, status="failed", reason="diverged")
    add(old, 3, 0.6, 1, status="failed", reason="worker_lost")
    add(old, 4, 0.7, 2, status=None)
    found = taken()
    assert [trial.name for trial in found.trials] == [f"old/resnet18-000{n}" for n in range(3)]
    assert [trial.number for trial in found.trials] == [-1, -2, -3]
    assert [trial.status for trial in found.trials] == ["complete", "pruned", "failed"]
    assert set(found.trials[0].history[1]) == {"objective", "val/accuracy", "seconds/joint"}
    assert found.words == (
        "continue from old: 3 of 5 trials count (resnet18 3)",
        "  1 left out: it failed for a reason outside its params (worker_lost)",
        "  1 left out: it is not over",
    )


@pytest.mark.parametrize(
    ("space", "fitting", "reason"),
    [
        ({"joint.margin": "uniform(0.01, 2)"}, [0.2, 0.5, 0.8], ""),
        ({"joint.margin": "uniform(0.4, 0.6)"}, [0.5], "joint.margin is outside uniform(0.4, 0.6)"),
        (
            {"joint.margin": "uniform(0.4, 2)"},
            [0.5, 0.8],
            "joint.margin is outside uniform(0.4, 2)",
        ),
        ({"joint.margin": "choice(0.2, 0.9)"}, [0.2], "joint.margin is outside choice(0.2, 0.9)"),
    ],
)
def test_a_space_may_be_wider_narrower_or_shifted(
    space: Mapping[str, str], fitting: list[float], reason: str
) -> None:
    old = source()
    for number, margin in enumerate((0.2, 0.5, 0.8)):
        add(old, number, margin)
    whole = {"joint.gan_lr": "loguniform(1e-6, 2e-4)", **space}
    found = taken(study(space=whole))
    assert values(found.trials) == fitting
    count = 3 - len(fitting)
    assert found.words[1:] == ((f"  {count} left out: {reason}",) if reason else ())


def test_a_dimension_that_was_fixed_there_has_that_value() -> None:
    old = source(of=study(space={"joint.margin": "uniform(0.05, 0.9)"}, trial__joint__gan_lr=3e-5))
    add(old, 0, params={"joint.margin": 0.3})
    (trial,) = taken().trials
    assert trial.params == {"joint.margin": 0.3, "joint.gan_lr": 3e-5}


def test_a_dimension_that_is_fixed_here_must_have_had_that_value() -> None:
    old = source(of=study(search__triplet="per_trial"))
    add(old, 0, 0.3)
    add(old, 1, 0.5)
    ours = study(space={"joint.gan_lr": "loguniform(1e-6, 2e-4)"}, trial__joint__margin=0.5)
    found = taken(ours)
    assert [trial.params for trial in found.trials] == [{"joint.gan_lr": 1e-5}]
    assert found.words[1] == "  1 left out: joint.margin is 0.3 there, 0.5 here"


_WIDE = {"joint.margin": "uniform(0.05, 0.9)", "joint.gan_lr": "loguniform(1e-6, 2e-4)"}
_NARROW = {"joint.gan_lr": "loguniform(1e-6, 2e-4)"}


@pytest.mark.parametrize("triplet", ["shared", "per_trial"])
def test_what_stage_2_inherits_is_compared_by_its_value(triplet: str) -> None:
    fixed = study(space=_NARROW, search__triplet=triplet)
    searched = study(space=_WIDE, search__triplet=triplet)
    own = fixed.trial.joint.margin
    old = source(of=fixed)
    add(old, 0, params={"joint.gan_lr": 1e-5})
    (trial,) = taken(searched).trials
    assert trial.params == {"joint.margin": own, "joint.gan_lr": 1e-5}
    wide = source("wide", of=searched)
    add(wide, 0, own)
    add(wide, 1, own / 2)
    found = taken(fixed, "wide")
    assert [trial.params for trial in found.trials] == [{"joint.gan_lr": 1e-5}]
    assert found.words[1] == f"  1 left out: joint.margin is {own / 2} there, {own} here"
    other = study(space=_WIDE, search__triplet=triplet, trial__gan__triplet_margin=own / 2)
    said = f"1 left out: gan.triplet_margin is {own} there, {own / 2} here"
    assert said in refusal(other)


def test_a_threshold_that_was_fixed_there_may_be_searched_here() -> None:
    fixed = study(space=_NARROW, trial__joint__hard_rule="confidence")
    old = source(of=fixed)
    add(old, 0, params={"joint.gan_lr": 1e-5})
    space = {**_NARROW, "joint.hard_threshold": "uniform(0.1, 0.9)"}
    (trial,) = taken(study(space=space, trial__joint__hard_rule="confidence")).trials
    assert trial.params["joint.hard_threshold"] == fixed.trial.joint.hard_threshold


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trial__classifier__epochs": 4}, "classifier.epochs is 3 there, 4 here"),
        ({"trial__joint__epochs": 4}, "joint.epochs is 3 there, 4 here"),
        ({"trial__seed": 1}, "seed is 0 there, 1 here"),
        ({"data__flip": True}, "data.flip is False there, True here"),
        # By default, the agreement of these images decides what an unfit generator counts.
        ({"trial__joint__monitor_images": 90}, "joint.monitor_images is 1000 there, 90 here"),
        ({"backbones": ["alexnet"]}, "resnet18 is no backbone of this study"),
        (
            {"backbones": [{"name": "resnet18", "stem": "small"}]},
            "backbone.stem is 'imagenet' there, 'small' here",
        ),
        (
            {"search__metric": "val/balanced_accuracy"},
            "it compares trials by val/accuracy, this study by val/balanced_accuracy",
        ),
    ],
)
def test_other_fields_do_not_fit(changes: dict[str, Any], reason: str) -> None:
    old = source()
    add(old, 0)
    said = refusal(study(**changes))
    assert said.startswith("continue_from: got old, expected a study with the same images")
    assert f"  1 left out: {reason}" in said


def test_fields_that_change_no_result_may_differ() -> None:
    old = source(of=study(trial__joint__unfit_policy="warn"))
    add(old, 0)
    places = {"data__seed": 7, "data__val_fraction": 0.3, "trial__joint__monitor_every": 1}
    monitors = {"trial__joint__monitor_images": 90, "trial__joint__unfit_policy": "warn"}
    assert values(taken(study(**places, **monitors)).trials) == [0.3]


def test_each_configuration_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    old = source()
    for number in range(5):
        add(old, number, 0.3 + number / 10)
    asked: list[str] = []
    compute = Study.trial_config

    def counted(study: Study, backbone: str, params: Mapping[str, object]) -> TrialConfig:
        asked.append(backbone)
        return compute(study, backbone, params)

    monkeypatch.setattr(Study, "trial_config", counted)
    assert len(taken().trials) == 5
    # One of each trial, and that of this study.
    assert len(asked) == 5 + 1


def test_other_images_do_not_fit() -> None:
    old = source()
    add(old, 0)
    old.append({"event": "data", "digest": DIGEST})
    with pytest.raises(StudyError, match=r"it has other images \(digest 0123456789abcdef, here f"):
        continuation(("old",), study(), "fedcba9876543210")


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        ({"code": "other"}, "it was computed by other code"),
        ({"code": ""}, "the log does not record the code of its stages"),
    ],
)
def test_other_code_does_not_fit(session: dict[str, Any], reason: str) -> None:
    old = source(**session)
    add(old, 0)
    assert f"1 left out: {reason}" in refusal()


def test_a_plugin_is_part_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    old = source()
    add(old, 0)
    assert running_code() == code_digest()
    monkeypatch.setattr(source_code, "digests", lambda: {"my_gan": "0123"})
    assert "1 left out: it was computed by other code" in refusal()
    add(source("with", code=running_code()), 0)
    assert len(taken(None, "with").trials) == 1
    monkeypatch.setattr(source_code, "digests", lambda: {"my_gan": "4567"})
    with pytest.raises(StudyError, match="1 left out: it was computed by other code"):
        taken(None, "with")


def test_a_trial_that_went_on_under_other_code_does_not_fit() -> None:
    old = source()
    add(old, 0)
    add(old, 1, 0.4, status=None)
    session = {"event": "session_started", "command": "resume", "study": plain(study())}
    old.append(session | {"code": "other"})
    old.append({"event": "epoch", "trial": 1, "epoch": 3, "metrics": {"objective": 0.9}})
    old.append({"event": "trial_ended", "trial": 1, "status": "complete"})
    found = taken()
    assert values(found.trials) == [0.3]
    assert found.words[1] == "  1 left out: it was computed by other code"


def test_a_trial_pruned_before_our_first_rung_does_not_fit() -> None:
    old = source()
    add(old, 0, 0.4, 1, status="pruned", reason="rung 1")
    assert "it was pruned before the first rung of this study, epoch 2" in refusal(
        study(search__min_epochs=2)
    )


def test_several_studies_and_what_they_took_over_count_once() -> None:
    old = source()
    add(old, 0)
    ours = study()
    middle = begun(ours, taken())
    add(middle, 0, 0.4)
    both = taken(ours, "new", "old")
    assert [trial.name for trial in both.trials] == ["new/resnet18-0000", "old/resnet18-0000"]
    # The old study may vanish: what the next one took over is in its log.
    Path("old/events.jsonl").unlink()
    Path("old/study.yaml").unlink()
    assert [trial.name for trial in taken(ours, "new").trials] == [t.name for t in both.trials]


def test_what_a_search_took_over_that_never_began_is_taken_over_anew() -> None:
    add(source(), 0)
    found = taken()
    directory = StudyDirectory("new")
    trials = continued_fields(found.trials)
    directory.append({"event": CONTINUED, "code": code_digest(), "trials": trials})
    assert is_untouched(directory)
    assert not is_untouched(begun(study(), found))


def test_the_log_gives_the_trials_back() -> None:
    old = source()
    add(old, 0)
    add(old, 1, 0.4, 1, status="pruned", reason="rung 1")
    found = taken()
    directory = begun(study(), found)
    state = directory.state()
    assert state.continued == found.trials
    assert state.trials == {}
    assert not is_untouched(directory)
    text = "resnet18 continues 2 trials of other studies, which were not run again"
    assert continued_sentences(state) == (
        f"{text}; the best of them, old/resnet18-0000, has 0.5030",
    )
    add(directory, 5)
    (sentence,) = continued_sentences(directory.state())
    assert sentence.endswith("has 0.5030, not above this study's 0.5530")
    directory.write_tables()
    _, own, *others = directory.read_text("trials.csv").splitlines()
    assert own.startswith("5,resnet18-0005,trial,resnet18,complete,")
    assert [row.split(",")[:4] for row in others] == [
        ["", "old/resnet18-0000", "continued", "resnet18"],
        ["", "old/resnet18-0001", "continued", "resnet18"],
    ]


def test_the_sampler_learns_from_them_and_does_not_try_them_again() -> None:
    ours = study(trial__joint__margin=0.3, trial__joint__gan_lr=1e-5, search__num_startup_trials=3)
    old = source()
    for number in range(4):
        # The first has the study's own values, which a search tries first.
        add(old, number, 0.3 + 0.1 * number)
    state = begun(ours, taken(ours)).state()
    sampler = make_sampler(ours, (), state.continued)
    optuna = sampler.sampler("resnet18").study
    assert [trial.params["joint.margin"] for trial in optuna.trials] == values(state.continued)
    assert [trial.value for trial in optuna.trials] == [trial.value for trial in state.continued]
    first = sampler.suggest("a")
    assert isinstance(first, dict)
    assert first["number"] == 0
    assert first["params"]["joint.margin"] not in values(state.continued)
    fresh = make_sampler(ours).suggest("a")
    assert isinstance(fresh, dict)
    assert fresh["params"] == {"joint.margin": 0.3, "joint.gan_lr": 1e-5}
    # The same observations, the same proposal: that is what a resume relies on.
    assert make_sampler(ours, (), state.continued).suggest("b") == first


@pytest.mark.parametrize("sampler", ["gp", "random", "qmc"])
def test_every_kind_of_sampler_takes_them(sampler: str) -> None:
    ours = study(search__sampler=sampler)
    old = source()
    for number in range(3):
        add(old, number, 0.3 + 0.1 * number)
    add(old, 3, 0.7, 1, status="failed", reason="diverged")
    found = make_sampler(ours, (), taken(ours).trials)
    assert len(found.sampler("resnet18").study.trials) == 4
    assert isinstance(found.suggest("a"), dict)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random", "qmc", "cmaes"])
@pytest.mark.parametrize("margin", ["uniform(0.05, 0.9)", "uniform(0.05, 1.8)"])
def test_no_random_proposal_of_theirs_is_made_again(sampler: str, margin: str) -> None:
    theirs = study(space=_WIDE, search__sampler=sampler, search__num_startup_trials=9)
    asked = make_sampler(theirs)
    old = source(of=theirs)
    for number in range(4):
        proposal = asked.suggest(str(number))
        assert isinstance(proposal, dict)
        add(old, number, params=proposal["params"])
    space = {**_WIDE, "joint.margin": margin}
    ours = study(space=space, search__sampler=sampler, search__num_startup_trials=9)
    trials = taken(ours).trials
    assert len(trials) == 4
    again = make_sampler(ours, (), trials)
    proposals = [again.suggest(str(number)) for number in range(4)]
    rates = {one["params"]["joint.gan_lr"] for one in proposals if isinstance(one, dict)}
    assert len(rates) == 4
    assert not rates & {trial.params["joint.gan_lr"] for trial in trials}


def test_a_dry_run_shows_the_proposals_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = study(trial__joint__gan_lr=1e-5)
    old = source()
    # The first has the study's own values, which a search tries first.
    for number in range(4):
        add(old, number, 0.3 + 0.1 * number)
    trials = taken(ours).trials
    monkeypatch.setattr(plan, "slots", lambda _: Slots({"CPU": 1}, 1))
    monkeypatch.setattr(plan, "_costs", lambda *_: ({}, 0.0))
    images, views = ours.data.load(), NO_VIEWS
    shown = plan.measure(ours, images, views, trials).proposals
    sampler = make_sampler(ours, (), trials)
    assert shown == [sampler.suggest(str(number)) for number in range(len(shown))]
    assert shown != plan.measure(ours, images, views).proposals


def test_trials_are_compared_with_them_at_the_rungs() -> None:
    ours = study()
    old = source()
    for number in range(10, 13):
        add(old, number, 0.3 + number / 100)
    trials = taken(ours).trials
    scheduler = make_scheduler(ours, trials)
    (first, *_) = scheduler.rungs("resnet18")
    assert {verdict.value for verdict in first.verdicts.values()} == {0.601, 0.611, 0.621}
    assert not any(verdict.stop for verdict in first.verdicts.values())
    event = RungEvent(0, "resnet18", first.epoch, 0.4)
    assert scheduler.judge(event)
    assert not make_scheduler(ours).judge(event)
    scheduler.replay([event])
    assert len(scheduler.rungs("resnet18")[0].verdicts) == 4


def test_a_missing_study_is_refused_with_a_neighbour() -> None:
    source("runs/narrow")
    write()
    said = search("--continue-from", "runs/narow")
    assert said == (
        "--continue-from: got 'runs/narow', expected the directory of a study. "
        "Did you mean 'runs/narrow'?"
    )


def test_a_study_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = source()
    add(old, 0)

    def fail(_directory: StudyDirectory) -> None:
        raise StudyError("no such field")

    monkeypatch.setattr(module, "stored_study", fail)
    with pytest.raises(InputError, match="old, which cannot be read \\(no such field\\)"):
        taken()


def test_nothing_is_written_if_nothing_fits() -> None:
    old = source("narrow")
    add(old, 0)
    write()
    said = search("--continue-from", "narrow")
    assert said.startswith("--continue-from: got narrow, expected a study with the same images")
    assert "for other ones there is --warm-start\ncontinue from narrow: 0 of 1 trials count" in said


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_a_resumed_search_proposes_the_same(sampler: str) -> None:
    past = PastTrial(
        number=-1,
        backbone="resnet50",
        raw={"joint.margin": 0.5, "joint.gan_lr": 1e-5, "joint.refresh": 2, "gan.steps": 3},
        status="complete",
        value=0.9,
        intermediate={1: 0.5, 2: 0.6, 3: 0.7, 4: 0.9},
    )
    others = {"resnet50": tuple(replace(past, number=-1 - n, value=0.9 - n / 9) for n in range(4))}
    plan = scripted_plan(sampler=sampler, continued=others, num_trials=8)
    undisturbed = Search(plan).run()
    assert Search(plan).run(stops={0, 3, 6}) == undisturbed
    if sampler != "qmc":
        assert Search(scripted_plan(sampler=sampler, num_trials=8)).run() != undisturbed
