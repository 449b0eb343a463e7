"""``distill-tune new``: what it writes, prints, asks and refuses."""

import shlex
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import distill_tune.tuning.draft.draft as drafting
from distill_tune.cli import app, new_command
from distill_tune.cluster.resources import Slots
from distill_tune.distill.configuration.probe import probe
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import RehearsalError
from distill_tune.interfaces import ImageData
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml
from distill_tune.tuning.draft.case import Machine
from distill_tune.tuning.dry_run.forecast import TrialCost
from distill_tune.tuning.dry_run.plan import Measured
from tests.commands import Run
from tests.refusals import refused


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    machine = Machine(cores=2, gpus=0, memory=8 * 10**9)
    monkeypatch.setattr(drafting, "cluster", nullcontext)
    monkeypatch.setattr(drafting, "this_machine", lambda: machine)


def steps_take(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step take this long with images of 32x32 pixels, and less with smaller ones."""

    def cost(config: TrialConfig, images: ImageData) -> TrialCost:
        step = seconds * (images.image_size / 32) ** 2
        steps = max(1, len(images.train.labels) // config.classifier.batch_size)
        stages = {
            "setup": 0.1,
            "classifier": config.classifier.epochs * steps * step,
            "warmup": config.warmup_limit * step,
            "triplet": config.triplet_steps * step,
            "joint": config.joint.epochs * steps * step,
        }
        return TrialCost(stages, checkpoint_bytes=300, model_bytes=90)

    def measure(study: Study, images: ImageData, _views: object) -> Measured:
        names = [backbone.name for backbone in study.backbones]
        costs = {name: cost(study.trial_config(name, {}), images) for name in names}
        return Measured(Slots({"CPU": 1}, 2), [], costs)

    monkeypatch.setattr(drafting, "measure", measure)


def arrays(*counts: int, side: int = 32) -> None:
    """Write ``a.npz`` with so many grey images of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), side, side), dtype=np.uint8)
    np.savez("a.npz", x=images, y=labels)


def new(*arguments: str, answers: str = "") -> tuple[str, Study]:
    """Draft ``my.yaml``; return what was said and the study."""
    done = CliRunner().invoke(app, ["new", "my.yaml", *arguments], input=answers)
    assert done.exit_code == 0, done.output
    return done.output, parse(Study, read_yaml(Path("my.yaml")))


def test_a_draft_of_the_digits_is_what_a_search_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(0.05, monkeypatch)
    said, study = new("--data", "digits")
    assert said.startswith("looking at digits\n1797 images of 10 classes, 174 to 183 of each, grey")
    assert said.endswith(
        "next\n"
        "  distill-tune search --space my.yaml --dry-run\n"
        "  distill-tune search --space my.yaml\n"
    )
    assert "DECIDE" not in Path("my.yaml").read_text()
    images = study.data.load()
    assert (images.image_size, images.channels, images.flip) == (8, 1, False)
    probe(study.trial_config(study.backbones[0].name, {}), images)


@pytest.mark.parametrize("counts", [(3, 3), (4, 90), (30, 40), (40, 400), (12,) * 60])
def test_any_images_give_a_draft_that_loads(
    counts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_take(0.05, monkeypatch)
    arrays(*counts, side=9)
    _, study = new("--data", "a.npz")
    images = study.data.load()
    assert images.num_classes == len(counts)
    assert study.trial.classifier.batch_size <= len(images.train.labels)


def test_slow_steps_make_images_smaller_and_searches_shorter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays(*[300] * 5)
    drafts = []
    for seconds in (0.01, 1.5, 60.0):
        steps_take(seconds, monkeypatch)
        drafts.append(new("--data", "a.npz", "--force"))
    studies = [study for _, study in drafts]
    assert [study.data.image_size for study in studies] == [32, 16, 16]
    trials = [study.search.num_trials for study in studies]
    assert trials == sorted(trials, reverse=True)
    assert "warning: even the shortest search takes about" in drafts[2][0]
    assert "warning" not in drafts[0][0]


def test_more_minutes_make_a_longer_search(monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(0.1, monkeypatch)
    arrays(300, 300)
    _, short = new("--data", "a.npz", "--minutes", "10")
    _, long = new("--data", "a.npz", "--minutes", "300", "--force")
    assert short.search.num_trials < long.search.num_trials
    assert short.trial.joint.epochs < long.trial.joint.epochs


def test_the_users_wishes_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(0.05, monkeypatch)
    arrays(60, 60)
    wishes = (
        "--data a.npz --set data.image_size=20 --backbone alexnet --backbone shufflenet_v2_x0_5"
    )
    _, study = new(*shlex.split(wishes))
    assert study.data.image_size == 20
    assert [backbone.name for backbone in study.backbones] == ["alexnet", "shufflenet_v2_x0_5"]
    assert study.search.num_trials % 2 == 0


def test_without_a_terminal_what_is_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(0.05, monkeypatch)
    arrays(40, 400)
    said, study = new("--data", "a.npz")
    assert "to decide, in my.yaml\n  flip: whether a mirrored image keeps its meaning" in said
    assert "  metric: every class counts equally (40 to 400 images)" in said
    assert (study.data.flip, study.search.metric) == (False, "val/balanced_accuracy")


def test_in_a_terminal_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(0.05, monkeypatch)
    monkeypatch.setattr(new_command, "_is_asking", lambda: True)
    arrays(40, 400)
    said, study = new("--data", "a.npz", answers="y\nn\n")
    assert "to decide" not in said
    assert "DECIDE" not in Path("my.yaml").read_text()
    assert (study.data.flip, study.search.metric) == (True, "val/accuracy")
    _, study = new("--data", "a.npz", "--force", answers="\n\n")
    assert (study.data.flip, study.search.metric) == (False, "val/balanced_accuracy")


def test_an_ambiguous_range_is_refused_with_the_option_that_gives_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps_take(0.05, monkeypatch)
    np.savez("a.npz", x=np.linspace(0, 1.7, 40 * 64).reshape(40, 8, 8), y=[0, 1] * 20)
    said = refused("new", "my.yaml", "--data", "a.npz", stdout="looking at a.npz\n")
    place = f"--data {Path('a.npz').absolute()}"
    assert said.startswith(f"{place}: got x with values in 0..1.7 and fractions, expected ")
    assert said.endswith("; --set data.value_range=VALUE gives it")
    _, study = new("--data", "a.npz", "--set", "data.value_range=[0, 1.7]")
    assert getattr(study.data, "value_range", None) == (0.0, 1.7)


def test_too_few_images_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(0.05, monkeypatch)
    arrays(2, 9)
    done = CliRunner().invoke(app, ["new", "my.yaml", "--data", "a.npz"])
    assert done.exit_code == 2
    message = (
        "--data: got 2 images of class '0', expected at least 3 in every class: 2 for training"
    )
    assert done.stderr.startswith(message)
    assert not Path("my.yaml").exists()


def test_too_little_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_: object) -> Measured:
        raise RehearsalError("a trial of resnet18 cannot run here: no memory left")

    monkeypatch.setattr(drafting, "measure", measure)
    done = CliRunner().invoke(app, ["new", "my.yaml", "--data", "digits"])
    assert done.exit_code == 1
    assert done.stderr == "a trial of resnet18 cannot run here: no memory left\n"
    assert not Path("my.yaml").exists()


def test_what_cannot_be_written_is_refused_before_any_work() -> None:
    Path("there.yaml").write_text("mine")
    Path("folder.yaml").mkdir()
    there = "FILE: got 'there.yaml', expected a file that does not exist yet, or --force"
    assert refused("new", "there.yaml", "--data", "digits").startswith(there)
    assert Path("there.yaml").read_text() == "mine"
    folder = "FILE: got 'folder.yaml', expected a file, not a folder"
    assert refused("new", "folder.yaml", "--data", "digits", "--force") == folder
    nowhere = "FILE: got 'no/my.yaml', expected a file in a folder that exists"
    assert refused("new", "no/my.yaml", "--data", "digits").startswith(nowhere)
    system = (
        "FILE: got /proc/my.yaml (No such file or directory), expected a file that can be written"
    )
    assert refused("new", "/proc/my.yaml", "--data", "a.npz") == system
    name = "FILE: got 'my.txt', expected a name that ends in .yaml"
    assert refused("new", "my.txt", "--data", "digits") == name


def test_data_and_backbones_that_do_not_exist_are_refused() -> None:
    looking = "looking at digit\n"
    data = "--data: got 'digit', expected a folder of one folder per class, an .npz file"
    assert refused("new", "my.yaml", "--data", "digit", stdout=looking).startswith(data)
    done = CliRunner().invoke(app, ["new", "my.yaml", "--data", "digits", "--backbone", "resnet19"])
    assert done.exit_code == 2
    assert done.stderr.startswith("--backbone: name: got 'resnet19', expected a classification")
    assert "Did you mean 'resnet18'?" in done.stderr
    assert not Path("my.yaml").exists()


def test_a_model_that_takes_other_sizes_is_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(0.05, monkeypatch)
    command = ["new", "my.yaml", "--data", "digits", "--backbone"]
    done = CliRunner().invoke(app, [*command, "inception_v3"])
    assert done.exit_code == 2
    assert done.stderr.startswith("--backbone: got inception_v3 at 32 px, which it cannot take (")
    expected = "expected an input_size that it takes, as in {name: inception_v3, input_size: 224}\n"
    assert done.stderr.endswith(expected)
    given = "{name: inception_v3, input_size: 96}"
    _, study = new("--data", "digits", "--backbone", given)
    assert study.backbones[0].input_size == 96


@pytest.mark.storm
def test_steps_are_measured_and_a_dry_run_accepts_the_draft() -> None:
    done = Run("new", "my.yaml", "--data", "digits", "--backbone", "squeezenet1_1")
    assert done.wait() == 0, done.output
    assert "measuring some steps with images of 8x8 pixels\nmeasured squeezenet1_1: 1 of " in (
        done.stdout
    )
    dry = Run("search", "--space", "my.yaml", "--dry-run")
    assert dry.wait() == 0, dry.output
    assert "Nothing was written. The search would take about " in dry.stdout
