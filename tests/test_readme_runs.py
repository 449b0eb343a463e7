"""The commands of the READMEs as they stand, one after another, in what looks like a clone."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import field_validator
from typer.testing import CliRunner

from distill_tune import confirm, load_study, resume
from distill_tune.cli import app
from distill_tune.study.sections import Confirm
from distill_tune.study.space import apply
from distill_tune.study.validation import read_yaml, to_yaml
from tests.readme_commands import ROOT
from tests.readme_scenarios import CELLS, DIGITS, DRAFT, DRAFTED, MODEL_OF_CELLS, Step

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("our_ray")]

LESS = {
    "data.train_per_class": 4,
    "data.val_per_class": 4,
    "data.test_fraction": 0.1,
    "trial.classifier.epochs": 1,
    "trial.gan.generator_width": 8,
    "trial.gan.generator_min_width": 4,
    "trial.gan.discriminator_width": 4,
    "trial.gan.batch_size": 10,
    "trial.gan.warmup_steps": 5,
    "trial.gan.judge_steps": 5,
    "trial.gan.triplet_steps": 2,
    "trial.joint.epochs": 1,
    "trial.joint.ramp_epochs": 1,
    "trial.joint.monitor_images": 20,
    "search.num_trials": 2,
    "search.keep_top": 1,
}
"""What is changed in a shipped space, so that it is searched within seconds."""

CLASSES = ("basophil", "monocyte", "platelet")


class FewRuns(Confirm):
    """A confirmation of one configuration against one rival, on two seeds."""

    top: int = 1
    arms: tuple[str, ...] = ("equal_steps", "gan_distillation")

    @field_validator("seeds")
    @classmethod
    def _are_few(cls, seeds: int) -> int:
        return min(seeds, 2)


def shorten(space: Path) -> None:
    """Let the search of a space take seconds."""
    space.write_text(to_yaml(apply(read_yaml(space).value, LESS)), encoding="utf-8")


def picture(path: Path, seed: int) -> None:
    """Write noise as somebody's image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(autouse=True)
def _in_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to a folder with small spaces and with the images that the READMEs speak of."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "search_spaces", "search_spaces")
    shorten(Path("search_spaces/resnet.yaml"))
    for number in range(14 * len(CLASSES)):
        picture(Path(f"path/to/images/{CLASSES[number % 3]}/{number:02}.png"), number)
    picture(Path("photos/a.jpg"), 100)
    picture(Path("scan.jpg"), 101)


def typed(command: str, step: Step) -> None:
    """Type a command as it stands, and check what is promised of it."""
    words = shlex.split(os.path.expandvars(command))
    with pytest.MonkeyPatch.context() as patch:
        while "=" in words[0]:
            patch.setenv(*words.pop(0).split("=", 1))
        if "--out" in words:
            # The READMEs use one name more than once; each of these folders is to be new.
            shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
        assert words[0] == "distill-tune"
        done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == step.status, f"{command}\n{done.output}\n{done.exception!r}"
    assert step.says in done.output, command
    assert [one for one in step.leaves if not list(Path().glob(one))] == [], command


def play(scenario: Mapping[str, Step]) -> None:
    """Type the commands of a scenario in their order."""
    for command, step in scenario.items():
        typed(command, step)
        for options in step.also:
            typed(f"{command} {options}", step)


def left_by_a_search() -> list[str]:
    """Return the patterns of the files that the README says a search leaves."""
    text = (ROOT / "distill_tune/README.md").read_text(encoding="utf-8")
    section = text.partition("\n## What a search leaves\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    return [re.sub(r"<\w+>", "*", name) for name in names]


def test_a_shipped_space_from_its_search_to_the_use_of_its_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("distill_tune.confirmation.plan.Confirm", FewRuns)
    play(DIGITS)
    missing = [one for one in left_by_a_search() if not list(Path("runs/resnet").glob(one))]
    # Of arms that are searched themselves (--tune-arms).
    assert missing == ["arms/*/"]
    study = load_study("runs/resnet")
    assert confirm(study, seeds=5, progress=False).backbones[0].verdict
    assert len(resume("runs/resnet", progress=False).trials) == 2


def test_own_images_and_the_use_of_their_model() -> None:
    play(CELLS)
    (trained,) = Path("runs/cells/models").iterdir()
    shutil.copytree(trained, "model")
    Path("photos/b.png").write_text("no image")
    play(MODEL_OF_CELLS)


def test_own_images_get_a_study_that_is_searched() -> None:
    play(DRAFT)
    shorten(Path("cells.yaml"))
    play(DRAFTED)
