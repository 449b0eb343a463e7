"""What a sampler needs of a study is checked before anything is created, and is said."""

from pathlib import Path
from types import ModuleType

import pytest

from distill_tune.study import sampler_needs
from distill_tune.study.arms import ARMS
from distill_tune.study.opened_study import StudyRequest, open_new
from distill_tune.study.sampler_needs import coverage, grid_values, most_trials
from distill_tune.study.space import Choice, RandInt, Uniform
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from tests.refusals import GOOD, search

GRID = """\
space:
  joint.margin: [0.1, 0.3]
  joint.refresh: [1, 2, 5]
search: {sampler: grid, num_trials: 6}
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(space_and_search: str, backbones: str = "") -> None:
    text = GOOD[: GOOD.index("space:")] + space_and_search
    text = text.replace("[{name: resnet18, stem: imagenet}]", backbones or "[resnet18]")
    Path("bad.yaml").write_text(text, encoding="utf-8")


def read(text: str) -> Study:
    return parse(Study, read_yaml_text(text, "bad.yaml"))


def test_an_unknown_sampler_is_named() -> None:
    write("space:\n  joint.margin: uniform(0.1, 1)\nsearch: {sampler: tpee}\n")
    assert search() == (
        "bad.yaml:10:19: search.sampler: got 'tpee', expected one of tpe, random, qmc, gp, cmaes, "
        "grid. Did you mean 'tpe'?"
    )


def test_the_grid_needs_few_values_of_each_dimension() -> None:
    write(
        "space:\n  joint.margin: uniform(0.1, 1)\n  joint.refresh: [1, 2]\n"
        "  joint.gan_lr: loguniform(1e-6, 1e-4)\nsearch: {sampler: grid}\n"
    )
    assert search() == (
        "bad.yaml:12:19: search.sampler: got grid, and endlessly many values of joint.margin, "
        "joint.gan_lr, expected lists and randint only, such as joint.margin: [0.1, 0.55, 1.0]"
    )


def test_the_grid_must_not_be_too_large() -> None:
    write("space:\n  gan.warmup_steps: randint(1, 200000)\nsearch: {sampler: grid}\n")
    assert search() == (
        "bad.yaml:10:19: search.sampler: got grid, and 200,000 points, expected at most 100,000; "
        "qmc covers such a space evenly"
    )


def test_there_are_no_more_trials_than_points_of_the_grid() -> None:
    write(GRID.replace("num_trials: 6", "num_trials: 7"))
    assert search() == (
        "bad.yaml:11:37: search.num_trials: got 7, expected at most 6: the grid has 6 points"
    )
    write(GRID)
    assert search("--num-trials", "7") == (
        "--num-trials 7: search.num_trials: got 7, expected at most 6: the grid has 6 points"
    )
    write(GRID.replace("num_trials: 6", "num_trials: 13"), "[resnet18, alexnet]")
    assert search() == (
        "bad.yaml:11:37: search.num_trials: got 13, expected at most 12: the grid has 6 points for "
        "each of 2 backbones"
    )


def test_the_grid_of_a_whole_space_is_a_study() -> None:
    text = GOOD[: GOOD.index("space:")] + GRID
    study = read(text)
    assert most_trials(study.search, study.space.dimensions, 1) == 6
    assert most_trials(study.search, {"joint.refresh": Choice((1, 2, 5))}, 1) == 3
    assert most_trials(study.search, {}, 1) == 6
    assert list(grid_values(RandInt(2, 4))) == [2, 3, 4]
    assert list(grid_values(Uniform(0, 1))) == []


@pytest.mark.parametrize("num_trials", [5, 6, 12])
def test_a_part_of_the_grid_is_said_to_be_one(num_trials: int) -> None:
    write(GRID.replace("num_trials: 6", f"num_trials: {num_trials}"), "[resnet18, alexnet]")
    request = StudyRequest(Path("bad.yaml"), "runs", [], {})
    expected = f"sampler grid: {num_trials} of 12 points are tried, chosen at random"
    found = open_new(request, resume=False, allow_changed=False).remark
    assert found == (expected if num_trials < 12 else "")


def test_other_samplers_cover_no_grid() -> None:
    search = read(GOOD[: GOOD.index("space:")] + GRID).search.model_copy(update={"num_trials": 2})
    lists = {"joint.refresh": Choice((1, 2, 5))}
    assert coverage(search, lists, 1)
    assert coverage(search.model_copy(update={"sampler": "random"}), lists, 1) == ""


def test_an_arm_searches_no_more_than_its_own_grid() -> None:
    from distill_tune.confirmation.tuned_arms import arm_study

    study = read(GOOD[: GOOD.index("space:")] + GRID)
    arm = arm_study(study, ARMS["hard_oversampling"])
    assert arm is not None
    assert list(arm.space.dimensions) == ["joint.refresh"]
    assert (study.search.num_trials, arm.search.num_trials) == (6, 3)


@pytest.mark.parametrize(("values", "sampler", "num_trials"), [(3, "grid", 3), (7, "tpe", 6)])
def test_an_arm_with_few_points_tries_each_once(values: int, sampler: str, num_trials: int) -> None:
    from distill_tune.confirmation.tuned_arms import arm_study

    values_text = list(range(1, values + 1))
    space = f"space:\n  joint.refresh: {values_text}\n  joint.margin: uniform(0, 1)\n"
    study = read(GOOD[: GOOD.index("space:")] + space + "search: {num_trials: 6}\n")
    arm = arm_study(study, ARMS["hard_oversampling"])
    assert arm is not None
    assert (study.search.sampler, arm.search.sampler) == ("tpe", sampler)
    assert arm.search.num_trials == num_trials


def test_cmaes_needs_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_needs, "find_spec", lambda _: ModuleType("cmaes"))
    write(
        "space:\n  joint.margin: uniform(0.1, 1)\n  joint.refresh: [1, 2]\n"
        "search: {sampler: cmaes}\n"
    )
    assert search() == (
        "bad.yaml:11:19: search.sampler: got cmaes, and a list of values for joint.refresh, "
        "expected ranges only, as CMA-ES knows no lists; tpe and gp search both"
    )


def test_cmaes_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_needs, "find_spec", lambda _: None)
    write("space:\n  joint.margin: uniform(0.1, 1)\nsearch: {num_trials: 4}\n")
    assert search("--set", "search.sampler=cmaes") == (
        "--set search.sampler=cmaes: search.sampler: got cmaes without the package cmaes, expected "
        "the optional package: pip install 'distill-tune[samplers]'"
    )
