"""The test split is sealed: a search that asks for it raises, wherever it asks."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import distill_tune
from distill_tune.confirmation import sealed_test
from distill_tune.confirmation.sealed_test import SealedTest
from distill_tune.datasets import ImageSource, unsealed
from distill_tune.datasets.digits import Digits
from distill_tune.errors import InputError, SealedTestError, StudyError
from distill_tune.records.confirm_log import READING
from distill_tune.records.directory import StudyDirectory
from distill_tune.tuning.journal import Journal
from tests.commands import STUDY, Run, read_events, rows, write_space
from tests.confirmation.test_summary import run

PACKAGE = Path(distill_tune.__file__).parent
SNOOP = """
import distill_tune.distill.trial as trial

whole = trial.Trial.__init__


def snoop(self, config, images, *rest, **named):
    config.data.load_test()
    whole(self, config, images, *rest, **named)


trial.Trial.__init__ = snoop
"""
"""What a careless change would do: a look at the test images as a trial begins."""


def test_it_is_closed_unless_it_is_opened() -> None:
    data = Digits(kind="digits")
    with pytest.raises(SealedTestError, match="digits: the test split is sealed"):
        data.load_test()
    with unsealed():
        assert len(data.load_test().labels) > 0
    with pytest.raises(SealedTestError):
        data.load_test()


def test_confirm_and_who_asks_for_it_by_name_open_it() -> None:
    opening = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name | ast.Attribute)
        if (node.id if isinstance(node, ast.Name) else node.attr) in {"load_test", "unsealed"}
    }
    assert opening == {"confirmation/sealed_test.py", "model/assessed_images.py"}


def test_a_source_without_test_images_says_so_before_it_opens_any() -> None:
    data: ImageSource = Digits(kind="digits", test_fraction=0.0)
    with pytest.raises(InputError, match=r"data\.test_fraction: got 0.0, expected more than 0"):
        data.require_test()


@pytest.mark.parametrize(
    ("recorded", "is_refused"),
    [
        ({"test_images": "0123456789abcdef", "class_counts": [5, 5]}, True),
        ({"class_counts": [5, 5]}, True),
        ({"class_counts": [359]}, False),
        ({"class_counts": [5, 5], "test": {}}, False),
        ({}, False),
    ],
)
def test_runs_that_were_read_on_other_images_refuse_these(
    recorded: dict[str, Any], is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = StudyDirectory(str(tmp_path / "study"))
    directory.append(run("resnet18", "equal_steps", 1000, 0.7) | recorded)
    images: ImageSource = Digits(kind="digits")
    monkeypatch.setattr(sealed_test, "placed_split", lambda split: split)
    test = SealedTest(images, Journal(directory, lambda *_: None), reading=1)
    asked: Any = SimpleNamespace(
        name="next",
        backbone="resnet18",
        arm=SimpleNamespace(name="baseline"),
        key="k",
        config=SimpleNamespace(seed=1001, metric="val/accuracy"),
    )
    if is_refused:
        with pytest.raises(StudyError, match=r"got 359 test images .* expected the 10 of confirm-"):
            test.open(asked)
        assert not [event for event in directory.events() if event["event"] == READING]
    else:
        test.open(asked)
        assert [event["run"] for event in directory.events() if event["event"] == READING]


@pytest.mark.storm
def test_a_search_that_looks_at_the_test_split_fails(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SNOOP, encoding="utf-8")
    text = STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    command = write_space(tmp_path, text.replace("num_trials: 6", "num_trials: 2"))
    done = Run(*command, "--no-shared-stages", PYTHONPATH=f"{tmp_path}:{PACKAGE.parent}")
    assert done.wait() == 3, done.output
    assert "nothing starts: error:" in done.output
    assert "the test split is sealed" in done.output
    events = read_events(tmp_path / "runs/tiny")
    assert any(event["event"] == "trial_started" for event in events)
    assert not any(event["event"] in ("epoch", "trial_ended") for event in events)
    assert not rows(tmp_path / "runs/tiny", "epochs.csv")
