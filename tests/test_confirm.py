"""``distill-tune confirm`` on a real study: to its end, again, after a kill, and refused."""

import json
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.confirmation.plan import planned
from distill_tune.records.confirm_log import READING, RUN, STARTED
from distill_tune.study.arms import ARMS as ALL_ARMS
from distill_tune.study.sections import Confirm
from tests.commands import ONE_SLOT, STUDY, Event, Run, inside, of_kind, read_events, write_space

ARMS = ["baseline", "equal_steps", "strong_augmentation", "gan_augmentation", "gan_distillation"]
OPTIONS = ("--seeds", "3", "--top", "2", "--arms", ",".join(ARMS))
FEW = ("--seeds", "2", "--top", "1", "--arms", "equal_steps,gan_distillation")
SMALL = (
    STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    .replace("num_trials: 6", "num_trials: 2, metric: val/macro_f1")
    .replace("val_per_class: 10", "val_per_class: 10, test_fraction: 0.3")
    .replace("classifier: {epochs: 2", "classifier: {epochs: 1")
    .replace("warmup_steps: 10", "warmup_steps: 5")
    .replace("judge_steps: 20", "judge_steps: 5")
    .replace("joint: {epochs: 4", "joint: {epochs: 2")
) + ONE_SLOT


class Done(NamedTuple):
    """A study that was confirmed: where, what was printed, its log."""

    folder: Path
    said: dict[str, Any]
    shown: str
    events: list[Event]


def confirm(folder: Path, *options: str, given: tuple[str, ...] = OPTIONS) -> Done:
    done = inside("confirm", str(folder), "--json", *given, *options)
    return Done(folder, json.loads(done.stdout), done.stderr, read_events(folder))


def results(events: list[Event], reading: int = 1) -> dict[str, Any]:
    """Return what of each run's numbers does not depend on the clock."""
    return {
        event["name"]: (event["status"], event["value"], event["test"])
        for event in of_kind(events, RUN)
        if event["reading"] in {0, reading}
    }


@pytest.fixture(scope="module")
def searched(our_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    root = tmp_path_factory.mktemp("confirm")
    inside(*write_space(root, SMALL))
    return root / "runs/tiny"


@pytest.fixture(scope="module")
def confirmed(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("confirmed") / "tiny"
    shutil.copytree(searched, folder)
    study = folder / "study.yaml"
    text = study.read_text()
    assert "max_concurrent: 1" in text
    study.write_text(text.replace("max_concurrent: 1", "max_concurrent: 2"))
    return confirm(folder)


@pytest.fixture(scope="module")
def few(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a confirmation of four runs."""
    folder = tmp_path_factory.mktemp("few") / "tiny"
    shutil.copytree(searched, folder)
    return confirm(folder, given=FEW)


def test_every_arm_is_trained_with_every_seed_and_read_once(confirmed: Done) -> None:
    runs = of_kind(confirmed.events, RUN)
    evidence = [one for one in runs if one["phase"] == "evidence"]
    pairs = Counter((one["arm"], one["seed"]) for one in evidence)
    assert pairs == Counter({(arm, seed): 1 for arm in ARMS for seed in (1000, 1001, 1002)})
    selection = [one for one in runs if one["phase"] == "selection"]
    assert len(selection) == 6
    assert not {one["seed"] for one in selection} & {one["seed"] for one in evidence}
    assert all(one["test"] == {} for one in selection)
    # The test images are the same for all runs that read them; their digest tells.
    assert len({one["test_images"] for one in evidence} - {""}) == 1
    assert {one["test_images"] for one in selection} == {""}
    readings = of_kind(confirmed.events, READING)
    assert Counter(read["run"] for read in readings) == Counter(one["name"] for one in evidence)
    assert confirmed.said["num_readings"] == 15
    # The images are drawn anew with every seed, and are the same for all arms of one.
    (begun,) = of_kind(confirmed.events, STARTED)
    assert 0 < begun["overlap"] < 0.2
    assert confirmed.said["is_redrawn"]
    images = {(one["seed"], one["subset_seed"], one["images"]) for one in runs}
    assert len(images) == len({digest for _, _, digest in images}) == 3 + 3
    (own,) = of_kind(confirmed.events, "data")
    assert own["digest"] not in {digest for _, _, digest in images}
    assert all(one["chance"] == pytest.approx(evidence[0]["chance"]) for one in evidence)
    assert 0.1 <= evidence[0]["chance"]["accuracy"] < 0.12
    # Each look at the test images is written down before its result is known.
    order = [e.get("run", e.get("name")) for e in confirmed.events if e["event"] in {READING, RUN}]
    for name in {one["name"] for one in evidence}:
        assert order.index(name) < len(order) - 1 - order[::-1].index(name)


def test_arms_of_a_seed_begin_alike_and_cost_what_they_would_alone(confirmed: Done) -> None:
    stages = [event["name"] for event in of_kind(confirmed.events, "stage")]
    fresh = [name for name in stages if "seed=100" in name]
    assert len(fresh) == len(set(fresh))
    assert {name for name in fresh if name.startswith("warmup")} >= {
        f"warmup seed={seed}" for seed in (1000, 1001, 1002)
    }
    for event in of_kind(confirmed.events, RUN):
        own = set(event["seconds"])
        assert "classifier" in own
        assert ("joint" in own) == (event["arm"] != "baseline")
        has_gan = event["arm"].startswith(("gan_", "collapsed"))
        assert ("warmup" in own) == has_gan
        assert (event["agreement"] is not None) == has_gan


def test_the_verdict_and_the_tables_are_those_of_the_runs(confirmed: Done) -> None:
    said = confirmed.said["backbones"]["shufflenet_v2_x0_5"]
    evidence = [e for e in of_kind(confirmed.events, RUN) if e["phase"] == "evidence"]
    for arm in ARMS:
        values = {str(e["seed"]): e["test"]["macro_f1"] for e in evidence if e["arm"] == arm}
        assert said["arms"][arm]["accuracies"] == values
    gains = [
        said["arms"]["gan_distillation"]["accuracies"][seed] - value
        for seed, value in said["arms"]["equal_steps"]["accuracies"].items()
    ]
    assert said["arms"]["equal_steps"]["method_over"]["mean"] == pytest.approx(sum(gains) / 3)
    assert said["baseline"] == "equal_steps"
    shown = " ".join(confirmed.shown.split())
    assert said["verdict"] in shown
    assert "test macro F1 in %" in shown
    assert confirmed.said["metric"] == "macro_f1"
    # The search and the runs of a confirmation are compared by it, too.
    number = int(said["trial"].rpartition("-")[2])
    epochs = [e for e in of_kind(confirmed.events, "epoch") if e["trial"] == number]
    assert said["search_value"] == max(e["metrics"]["val/macro_f1"] for e in epochs)
    runs = [e for e in evidence if e["arm"] == "gan_distillation"]
    assert all(e["value"] == max(e["curves"]["val/macro_f1"]) for e in runs)
    # None of the searched parameters makes a difference to three of the arms.
    unconcerned = "Baseline; Baseline, equal steps; Strong augmentation"
    assert f"no searched param affects {unconcerned}" in shown
    assert "controls untuned: GAN augmentation" in shown
    assert "Holm's p is corrected for 4 comparisons" in shown
    assert "every seed has training and validation images of its own" in shown
    for path in confirmed.said["paths"]:
        assert Path(path).exists()
        assert f"written: {path}\n" in confirmed.shown
    stored = json.loads((confirmed.folder / "confirm/confirmation.json").read_text())
    assert stored["backbones"]["shufflenet_v2_x0_5"] == said
    boards = {path.name for path in (confirmed.folder / "tensorboard").iterdir()}
    assert {e["name"] for e in evidence} <= boards


def test_what_is_recorded_is_not_computed_again(confirmed: Done) -> None:
    again = confirm(confirmed.folder)
    assert again.said["backbones"] == confirmed.said["backbones"]
    assert results(again.events) == results(confirmed.events)
    assert len(of_kind(again.events, READING)) == 15
    assert "starting Ray" not in again.shown


@pytest.mark.slow
def test_a_repetition_gives_the_same_numbers_and_is_told(few: Done, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(few.folder, folder)
    again = confirm(folder, "--read-test-again", given=FEW)
    evidence = {name: r for name, r in results(few.events).items() if r[2]}
    assert {name: r for name, r in results(again.events, 2).items() if r[2]} == evidence
    told = [text for text in again.said["remarks"] if "read again" in text]
    assert len(told) == 4
    assert all("the same numbers" in text for text in told)
    assert again.said["num_readings"] == 8
    # Nothing was taken over: every run trained all of its stages.
    seconds = {e["name"]: e["seconds"] for e in of_kind(again.events, RUN) if e["reading"] == 2}
    assert all("classifier" in stages for stages in seconds.values())
    adopted = {e["name"]: e["seconds"] for e in of_kind(few.events, RUN)}
    assert all(seconds[name] != adopted[name] for name in seconds)


@pytest.mark.storm
def test_a_killed_confirmation_goes_on(searched: Path, few: Done, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(searched, folder)
    for number in (1, 3):
        killed = Run("confirm", str(folder), *FEW)
        killed.wait_until(lambda: len(of_kind(read_events(folder), RUN)) >= number)  # noqa: B023
        killed.send(signal.SIGKILL)
        killed.wait()
        killed.wait_for_silence(but_for="ray::")
    done = confirm(folder, given=FEW)
    assert results(done.events) == results(few.events)
    names = Counter(event["name"] for event in of_kind(done.events, RUN))
    assert set(names.values()) == {1}
    assert done.said["num_readings"] == 4
    assert not any((folder / "checkpoints").glob("confirm-*"))


@pytest.mark.slow
def test_an_interrupt_says_how_to_go_on(searched: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(searched, folder)
    before = len(of_kind(read_events(folder), "stage"))
    stopped = Run("confirm", str(folder), *OPTIONS)
    stopped.wait_until(lambda: len(of_kind(read_events(folder), "stage")) > before)
    stopped.send(signal.SIGINT)
    assert stopped.wait() == 130
    assert f"distill-tune confirm {folder} --seeds 3" in stopped.stderr
    assert "Traceback" not in stopped.output


@pytest.mark.slow
@pytest.mark.usefixtures("our_ray")
def test_a_search_that_is_to_be_confirmed_ends_with_it(tmp_path: Path) -> None:
    extra = (
        "confirm: {top: 1, seeds: 2, arms: [equal_steps, gan_augmentation], tune_arms: true, "
        "rival: gan_augmentation, redraw: false}\n"
    )
    done = inside(*write_space(tmp_path, SMALL + extra), "--json")
    said = json.loads(done.stdout)
    assert said["status"] == "finished"
    found = said["confirmation"]["backbones"]["shufflenet_v2_x0_5"]
    assert set(found["arms"]) == {"equal_steps", "gan_augmentation", "gan_distillation"}
    assert [arm["is_tuned"] for arm in found["arms"].values()] == [False, True, False]
    assert [arm["is_concerned"] for arm in found["arms"].values()] == [False, True, True]
    assert "no interval with fewer than three seeds" in found["verdict"]
    assert "against its rival (GAN augmentation, named beforehand: " in found["verdict"]
    remarks = said["confirmation"]["remarks"]
    assert not any("untuned" in text for text in remarks)
    expected = "shufflenet_v2_x0_5: no searched param affects Baseline, equal steps"
    assert expected in remarks
    assert not said["confirmation"]["is_redrawn"]
    assert any("confirm.redraw is off" in text for text in remarks)
    # What was searched for the method is searched for the arm that it concerns.
    arms = tmp_path / "runs/tiny/arms"
    assert {folder.name for folder in arms.iterdir()} == {"gan_augmentation"}
    events = read_events(arms / "gan_augmentation")
    started = of_kind(events, "trial_started")
    assert len({event["trial"] for event in started}) == 2
    assert set(started[0]["params"]) == {"joint.synthetic_ratio", "joint.gan_lr"}
    # What both begin with was trained once; the triplet stage is the arm's own.
    stages = of_kind(events, "stage")
    assert {(event["name"].partition("/")[0], event["cached"]) for event in stages} >= {
        ("classifier", True),
        ("warmup", True),
    }
    assert all(event["cached"] or event["name"].startswith("triplet") for event in stages)


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["confirm", *arguments])
    assert done.exit_code == 2, done.output
    return done.output


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ("baselin", "--arms: got 'baselin', expected all, or some of baseline, equal_steps, "),
        ("gan_distillation", "expected at least one arm beside gan_distillation"),
        ("", "expected at least one arm beside gan_distillation"),
    ],
)
def test_arms_that_cannot_be_are_refused(arms: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(SMALL)
    assert message in refused(str(tmp_path), "--arms", arms)


def test_a_rival_that_is_not_compared_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(SMALL)
    message = refused(str(tmp_path), "--rival", "hard_oversampling", "--no-redraw")
    expected = "a rival among the arms: strong_augmentation, gan_augmentation"
    assert f"--rival: got 'hard_oversampling', expected {expected}" in message


def test_a_study_without_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(SMALL)
    assert "got no trial of shufflenet_v2_x0_5 that is over" in refused(str(tmp_path))
    assert "no study here" in refused(str(tmp_path / "nothing"))


def test_data_without_test_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(SMALL.replace("test_fraction: 0.3", "test_fraction: 0"))
    assert "data.test_fraction: got 0" in refused(str(tmp_path))


def test_options_change_what_the_study_says(searched_study: Any) -> None:
    assert planned(searched_study, {}) == Confirm()
    plan = planned(searched_study, {"seeds": 7, "arms": "all", "top": None})
    assert (plan.seeds, plan.top, len(plan.arms)) == (7, 3, len(ALL_ARMS) - 2)


@pytest.fixture
def searched_study() -> Any:
    from distill_tune.study.study import Study
    from distill_tune.study.validation import parse, read_yaml_text

    return parse(Study, read_yaml_text(SMALL, "tiny.yaml"))
