"""The commands from Python: the README's example, results, errors in its words, an interrupt."""

import inspect
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray.autoscaler import sdk

import distill_tune
from distill_tune import check, compare, confirm, load_study, resume, search, train, use_plugins
from distill_tune.cluster.resources import Slots
from distill_tune.errors import DistillTuneError, InputError, InputErrors, StudyError
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.validation import read_yaml
from distill_tune.study.yaml.document import Document

ROOT = Path(distill_tune.__file__).parents[1]
SPACE: dict[str, Any] = {
    "study": "tiny",
    "data": {"kind": "digits", "train_per_class": 6, "val_per_class": 10},
    "backbones": ("squeezenet1_1",),
    "trial": {"joint": {"epochs": 3}},
    "space": {"joint.margin": "uniform(0.05, 0.9)"},
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def recorded() -> None:
    """Write a study of three trials that nobody works on: complete, failed, and one under way."""
    directory = StudyDirectory("runs/two")
    directory.write_text("study.yaml", "")
    directory.append({"event": "session_started", "command": "search"})
    for number, backbone in enumerate(("alexnet", "alexnet", "resnet18")):
        name, trial = f"{backbone}-{number:04d}", {"trial": number}
        params = {"joint.margin": number / 4}
        start = {"event": "trial_started", "name": name, "backbone": backbone, "params": params}
        directory.append(trial | start)
    for epoch, value in ((1, 0.5), (2, 0.75)):
        metrics = {"objective": value, "seconds/joint": 1.5}
        directory.append({"event": "epoch", "trial": 0, "epoch": epoch, "metrics": metrics})
    directory.append({"event": "trial_ended", "trial": 0, "status": "complete"})
    directory.append({"event": "trial_ended", "trial": 1, "status": "failed", "reason": "diverged"})
    directory.write_text("best/alexnet.yaml", "seed: 0\n")


def test_a_study_is_read_with_its_winners() -> None:
    recorded()
    study = load_study(Path("runs/two"))
    assert (study.name, study.path) == ("two", str(Path("runs/two").absolute()))
    assert study.status == "interrupted"
    assert [trial.status for trial in study.trials] == ["complete", "failed", "running"]
    assert list(study.best) == ["alexnet"], "resnet18 has no value yet"
    winner = study.best["alexnet"]
    assert (winner.name, winner.value, winner.params) == ("alexnet-0000", 0.75, {"joint.margin": 0})
    assert winner.config == f"{study.path}/best/alexnet.yaml"
    assert winner.model is None
    assert study.confirmation is None
    assert repr(study) == (
        f"<study two: interrupted, 3 trials, best alexnet: alexnet-0000 0.7500, at {study.path}>"
    )
    assert load_study(study) == study, "it stands for its directory"


def test_frames_are_the_tables() -> None:
    recorded()
    study = load_study("runs/two")
    StudyDirectory("runs/two").write_tables()
    for frame, name in ((study.trials_frame(), "trials"), (study.epochs_frame(), "epochs")):
        table = pd.read_csv(f"runs/two/{name}.csv")
        filled = frame.replace("", float("nan"))
        pd.testing.assert_frame_equal(filled, table, check_dtype=False)
    trials = study.trials_frame()
    assert trials["value"].dtype == float
    assert trials["value"].isna().tolist() == [False, True, True]
    assert trials.loc[0, "seconds/joint"] == 3.0


def test_without_pandas_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(DistillTuneError, match=r"^pandas: .* pip install pandas$"):
        load_study("runs/two").trials_frame()


MISTAKES: dict[str, tuple[Callable[[], object], type[DistillTuneError], str]] = {
    "a file that is not there": (
        lambda: search("bda.yaml"),
        InputError,
        "file: got 'bda.yaml', expected a file that exists",
    ),
    "no space": (
        lambda: search(3),  # type: ignore[arg-type]
        InputError,
        "space: got 3, expected a YAML file, or a mapping with the same content",
    ),
    "a field of the mapping": (
        lambda: search({**SPACE, "trial": {"joint": {"epochs": 0}}}),
        InputError,
        "space: trial.joint.epochs: got 0, expected a number >= 1",
    ),
    "a key of the mapping": (
        lambda: search({**SPACE, "spac": {}}),
        InputError,
        "Did you mean 'space'?",
    ),
    "nothing in it": (lambda: search({}), InputErrors, "space: study: got nothing"),
    "an argument": (
        lambda: search(SPACE, num_trials=0),
        InputError,
        "num_trials 0: search.num_trials: got 0, expected a number >= 1",
    ),
    "a name": (lambda: search(SPACE, name="a/b"), InputError, "name a/b: study: got 'a/b'"),
    "an assignment": (
        lambda: search(SPACE, assignments={"trial.joint.epochs": Path("x")}),
        InputError,
        "assignments trial.joint.epochs=\"x\": trial.joint.epochs: got 'x' (text), expected",
    ),
    "assignments of the command line": (
        lambda: search(SPACE, assignments=["a=1"]),  # type: ignore[arg-type]
        InputError,
        "assignments: got ['a=1'], expected a mapping of dotted paths to values",
    ),
    "no storage": (lambda: search(SPACE, storage=""), InputError, "storage: got '', expected"),
    "a study that is there": (
        lambda: search(SPACE, name="two"),
        StudyError,
        "expected another name, or resume=True (the same as: distill-tune resume runs/two)",
    ),
    "no study to read": (
        lambda: load_study("runs/tow"),
        StudyError,
        "runs/tow: no study here (no study.yaml). Did you mean 'two'?",
    ),
    "no study to resume": (lambda: resume("runs/--name"), StudyError, "runs/--name: no study here"),
    "seeds": (
        lambda: confirm("runs/two", seeds=0),
        InputError,
        "seeds: got 0, expected a whole number of at least 1",
    ),
    "threads": (
        lambda: train("best.yaml", "out", threads=0),
        InputError,
        "threads: got 0, expected a whole number of at least 1",
    ),
    "a trial of a file": (
        lambda: train("best.yaml", "out", trial=3),
        InputError,
        "trial: got 3, expected it with the directory of a study, not with a file",
    ),
    "a study to train": (
        lambda: train("study.yaml", "out"),
        InputError,
        "config: got study.yaml, which describes a whole study",
    ),
}


IS_NO_PATH: dict[str, Callable[[Any], object]] = {
    "storage": lambda given: search(SPACE, storage=given),
    "warm_start": lambda given: search(SPACE, warm_start=given),
    "continue_from": lambda given: search(SPACE, continue_from=given),
    "continue_from, one of several": lambda given: search(SPACE, continue_from=["a", given]),
    "study to resume": resume,
    "study to confirm": confirm,
    "config": lambda given: train(given, "out"),
    "out": lambda given: train("best.yaml", given),
    "path": load_study,
    "compare": lambda given: compare("runs/two", given),
    "data": check,
}


@pytest.mark.parametrize("given", [5, b"runs/two"], ids=["number", "bytes"])
@pytest.mark.parametrize(("what", "call"), IS_NO_PATH.items(), ids=IS_NO_PATH)
def test_what_is_no_path_is_refused_by_its_name(
    what: str, call: Callable[[Any], object], given: object
) -> None:
    recorded()
    with pytest.raises(InputError) as caught:
        call(given)
    parameter = re.split(" |,", what)[0]
    assert str(caught.value) == f"{parameter}: got {given!r}, expected a path or URI"


WRONG_KINDS: dict[str, tuple[Callable[[], object], str]] = {
    "address": (lambda: search(SPACE, address=5), "address: got 5, expected text"),  # type: ignore[arg-type]
    "name": (lambda: search(SPACE, name={5}), "name: got {5}, expected text"),  # type: ignore[arg-type]
    "num_trials": (
        lambda: search(SPACE, num_trials=[2]),  # type: ignore[arg-type]
        "num_trials: got [2], expected a number",
    ),
    "arms": (lambda: confirm("runs/two", arms=[5]), "arms: got [5], expected names as text"),  # type: ignore[list-item]
    "one arm": (lambda: confirm("runs/two", arms=5), "arms: got 5, expected names as text"),  # type: ignore[arg-type]
    "seeds": (
        lambda: confirm("runs/two", seeds=True),
        "seeds: got True, expected a whole number of at least 1",
    ),
    "redraw": (
        lambda: confirm("runs/two", redraw="yes"),  # type: ignore[arg-type]
        "redraw: got 'yes', expected True or False",
    ),
    "backbone": (
        lambda: train("runs/two", "out", backbone=["a"]),  # type: ignore[arg-type]
        "backbone: got ['a'], expected text",
    ),
    "assignments": (
        lambda: check("digits", assignments=["a=1"]),  # type: ignore[arg-type]
        "assignments: got ['a=1'], expected a mapping of dotted paths to values",
    ),
    "plugins": (
        lambda: use_plugins(5),  # type: ignore[arg-type]
        "plugins: got '5', expected a .py file, or the name of an installed distribution",
    ),
    "one plugin": (lambda: use_plugins("a.py"), "plugins: got a.py, which cannot be read"),
}


@pytest.mark.parametrize(("call", "says"), WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_a_value_of_a_wrong_kind_is_refused_by_its_name(
    call: Callable[[], object], says: str
) -> None:
    recorded()
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value).startswith(says)


def test_images_are_checked_with_assignments_as_a_mapping() -> None:
    found = check("digits", assignments={"data.flip": False})
    assert repr(found) == (
        "<images of digits: 1079 train, 359 val, 359 test; 10 classes; "
        "unreadable 0, copies 0, warnings 0>"
    )
    with pytest.raises(InputError, match=r"^assignments: got 'data.train_per_class=4', expected"):
        check("digits", assignments={"data.train_per_class": 4})


@pytest.mark.parametrize(("call", "kind", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_an_exception_in_words_of_python(
    call: Callable[[], object], kind: type[DistillTuneError], says: str
) -> None:
    recorded()
    Path("study.yaml").write_text("backbones: []\n")
    before = sorted(Path().rglob("*"))
    with pytest.raises(kind) as caught:
        call()
    assert says in str(caught.value)
    assert "--num" not in str(caught.value)
    assert sorted(Path().rglob("*")) == before


def test_search_takes_a_mapping_and_leaves_it_as_it_is() -> None:
    from distill_tune.study.opening import read_study

    assert list(inspect.signature(search).parameters)[:2] == ["space", "storage"]
    studied, document = read_study(SPACE, ["search.seed=3"], {})
    assert (studied.search.seed, type(document)) == (3, Document)
    assert SPACE["backbones"] == ("squeezenet1_1",), "the caller's mapping stays"


def test_there_is_nothing_else_in_the_package() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'serach'"):
        distill_tune.serach  # type: ignore[attr-defined] # noqa: B018


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert (ROOT / "distill_tune/py.typed").exists()
    assert 'distill_tune = ["py.typed"]' in (ROOT / "pyproject.toml").read_text("utf-8")


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_is_raised_and_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distill_tune.tuning.session.cluster", lambda *_, **__: nullcontext())
    monkeypatch.setattr("distill_tune.tuning.session.slots", lambda *_: Slots({"CPU": 1}, 1))
    # Asked for its node, Ray would start itself, and stay.
    monkeypatch.setattr("distill_tune.tuning.session.Session._check_nodes", lambda *_: None)
    monkeypatch.setattr("distill_tune.tuning.shared_stage_tasks.run_stages", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        search(SPACE, progress=False)
    assert str(caught.value) == (
        "interrupted; what is done is recorded, go on with resume('runs/tiny'), "
        "or in a terminal with:\n  distill-tune resume runs/tiny"
    )
    assert load_study("runs/tiny").status == "interrupted"
    with pytest.raises(KeyboardInterrupt, match=r"go on with resume\('runs/tiny'\)"):
        search(SPACE, resume=True, progress=False)


def test_room_is_asked_for_the_open_trials_and_let_go_at_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[dict[str, float]]] = []

    def ask(*, bundles: list[dict[str, float]]) -> None:
        asked.append(bundles)

    monkeypatch.setattr(sdk, "request_resources", ask)
    node = {"NodeID": "a", "Resources": {"CPU": 8.0}}
    monkeypatch.setattr("distill_tune.cluster.autoscaler.alive_nodes", lambda: [node])
    monkeypatch.setattr("distill_tune.tuning.session.cluster", lambda *_, **__: nullcontext())
    monkeypatch.setattr("distill_tune.tuning.session.slots", lambda *_: Slots({"CPU": 1}, 1))
    monkeypatch.setattr("distill_tune.tuning.session.Session._check_nodes", lambda *_: None)
    monkeypatch.setattr("distill_tune.tuning.shared_stage_tasks.run_stages", interrupt)
    with pytest.raises(KeyboardInterrupt, match="interrupted"):
        search(SPACE, address="auto", scale_to=99, progress=False)
    # Of the 99 that are wished for, 16 are to be run.
    assert asked == [[{"CPU": 1}] * 16, []]
    with pytest.raises(InputError, match=r"^scale_to: got 2, expected address of a cluster"):
        search(SPACE, scale_to=2, progress=False)


def test_an_interrupt_before_the_study_is_there_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("distill_tune.tuning.session.cluster", interrupt)
    with pytest.raises(KeyboardInterrupt, match="interrupted before anything was written"):
        search(SPACE, progress=False)
    assert not Path("runs/tiny").exists()


@pytest.mark.usefixtures("our_ray")
def test_the_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "search_spaces", "search_spaces")
    readme = (ROOT / "distill_tune/README.md").read_text("utf-8")
    found = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    # The same with less to compute.
    less = {
        "data.train_per_class": 6,
        "data.val_per_class": 10,
        "trial.classifier.epochs": 1,
        "trial.gan.warmup_steps": 10,
        "trial.gan.judge_steps": 20,
        "trial.gan.triplet_steps": 2,
        "resources.max_concurrent": 1,
        "search.metric": "-val/loss",
    }
    small = found[0].replace("assignments={", f"assignments={{**{less}, ")
    assert small != found[0]
    names: dict[str, Any] = {}
    exec(compile(small, "README.md", "exec"), names)  # noqa: S102
    study, model = names["study"], names["model"]
    assert study.status == "finished"
    assert len(study.trials) == len(names["trials"]) == 3
    winner = study.best["resnet18"]
    assert winner.value == names["trials"]["value"].max()
    epochs = study.epochs_frame()
    own = epochs[epochs["name"] == winner.name]
    assert winner.value == own["-val/loss"].max()
    assert winner.value == pytest.approx(-own["val/loss"].min(), rel=1e-6)
    stored = read_yaml(Path(winner.model, "model.yaml")).value
    assert stored["metrics"] == {"-val/loss": own["-val/best_loss"].iloc[-1]}
    assert len(names["curves"]) == sum(trial.epochs for trial in study.trials)
    assert model.weights.parent == model.folder == Path("model-first").absolute()
    assert 0 <= model.validation_accuracy <= 1
    assert model.metric == "-val/loss"
    assert model.value == pytest.approx(stored["metrics"]["-val/loss"], abs=1e-5)
    said = capsys.readouterr().out
    assert "resnet18-0002: complete" in said or "resnet18-0002: pruned" in said
