"""Plugins: named by the user or not run, checked and described like parts of this package."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from distill_tune import use_plugins
from distill_tune.cli.options import option, with_plugins_first
from distill_tune.distill.backbones import Backbone
from distill_tune.distill.metrics.metric import Metric
from distill_tune.distill.trial import Trial
from distill_tune.errors import InputError, InputErrors
from distill_tune.interfaces import plain
from distill_tune.model.folder import load_model, model_files, write_model
from distill_tune.plugins import digests, options, parts, variables
from distill_tune.study.absolute_paths import with_absolute_paths
from distill_tune.study.arms import ARMS, Arm, known_arms
from distill_tune.study.changes import ALLOWABLE_CHANGES, differences
from distill_tune.study.opening import load_images, read_study
from distill_tune.study.study import Study
from distill_tune.training.stages import ComputePlace, stage_key
from tests.distill.tiny import CPU

EXAMPLES = sorted((Path(__file__).parents[2] / "search_spaces" / "plugins").glob("*.py"))
STUDY = """\
study: own
data: {kind: shapes, num_images: 60, val_per_class: 8}
backbones: [{name: tiny_net, width: 4}]
trial:
  classifier: {epochs: 1, batch_size: 10}
  gan: {kind: mlp_gan, generator_width: 8, discriminator_width: 4, warmup_steps: 2,
        triplet_steps: 1, batch_size: 8, judge_steps: 2}
  joint: {epochs: 1, min_hard: 2, monitor_images: 20, unfit_policy: warn}
space:
  gan.lr: loguniform(1e-5, 1e-3)
confirm: {arms: [cutmix]}
search: {metric: val/gmean}
"""


def study_in(folder: Path, text: str = STUDY) -> Study:
    file = folder / "own.yaml"
    file.write_text(text)
    study, document = read_study(file, [], {})
    load_images(study, document)
    return study


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_short_and_registers_what_it_is(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 30
    use_plugins([file])
    bases = {"backbones": Backbone, "gans": object, "datasets": object}
    bases |= {"arms": Arm, "metrics": Metric}
    found = [name for kind, base in bases.items() for name in parts(kind, base)]
    assert len(found) == 1


def test_a_study_of_plugins_is_checked_written_down_and_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_plugins(EXAMPLES)
    study = study_in(tmp_path)
    assert plain(study)["backbones"][0]["width"] == 4
    assert Study.model_validate_json(study.model_dump_json(), strict=False) == study
    config = study.trial_config("tiny_net", {"gan.lr": 1e-4})
    assert (config.gan.lr, config.gan.kind, config.data.kind) == (1e-4, "mlp_gan", "shapes")
    running = Trial(config, study.data.load(), CPU)
    *_, last = running.run()
    assert (last.stage, last.step) == ("joint", 1)
    assert 0 <= last.metrics["val/gmean"] <= 1
    write_model(str(tmp_path / "model"), model_files(running, study.data.load(), {}))
    assert load_model(tmp_path / "model").classes == ("disc", "square")
    monkeypatch.setenv("DISTILL_TUNE_PLUGINS", "[]")
    with pytest.raises(InputError, match=r"plugins: got 'cutmix_arm.py', 'gmean_metric.py', "):
        load_model(tmp_path / "model")
    use_plugins(EXAMPLES)
    cutmix = known_arms()["cutmix"].config(config)
    assert (cutmix.classifier.cutmix, cutmix.joint.extra_images) == (0.5, "none")
    assert list(known_arms()) == [*ARMS, "cutmix"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width: 4}]", "width: 0}]", ":3:37: backbones.0.width: got 0, expected a number >= 1"),
        ("num_images", "num_image", ":2:33: data.num_image: got 'num_image', expected one of the "),
        ("mlp_gan", "mlp", ":6:15: trial.gan.kind: got 'mlp', expected one of sngan, dcgan"),
        ("[cutmix]", "[cutmax]", "Did you mean 'cutmix'?"),
        ("gan.lr:", "gan.generator_widht:", "Did you mean 'gan.generator_width'?"),
    ],
)
def test_mistakes_in_fields_of_plugins_have_their_place(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    use_plugins(EXAMPLES)
    with pytest.raises((InputError, InputErrors)) as caught:
        study_in(tmp_path, STUDY.replace(old, new))
    assert message in str(caught.value)


def test_a_study_does_not_load_its_plugins_by_itself(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    file = written(tmp_path, f"open({str(mark)!r}, 'w')\nARMS = {{}}\n")
    text = f"{STUDY}plugins: [{file}]\n"
    with pytest.raises(InputError) as caught:
        study_in(tmp_path, text)
    message = caught.value.spelled(option)
    assert message.startswith(f"{tmp_path / 'own.yaml'}:13:10: plugins: got ")
    end = f"expected it to be named too (--plugin {file}): a study does not run code of its own"
    assert message.endswith(end)
    assert not mark.exists()
    with pytest.raises(InputError) as caught:
        study_in(tmp_path, f"{STUDY}plugins: [{file}, {{name: other.py, sha256: '0'}}, third]\n")
    assert (
        f"'other.py', 'third', expected them to be named too (--plugin {file} --plugin other.py "
        "--plugin third): a study"
    ) in caught.value.spelled(option)
    use_plugins([file])
    assert not mark.exists(), "a plugin runs only when a study is read"


def test_a_changed_plugin_has_other_keys_and_is_no_resume(tmp_path: Path) -> None:
    keys, studies = [], []
    for width in (4, 4, 8):
        os.environ["DISTILL_TUNE_PLUGINS"] = "[]"
        sys.modules.pop("distill_tune_plugin_mine", None)
        text = EXAMPLES[-1].read_text() + f"WIDTH = {width}\n"
        use_plugins([written(tmp_path, text), *EXAMPLES[:-1]])
        study = with_absolute_paths(study_in(tmp_path))
        studies.append(plain(study))
        config = study.trial_config("tiny_net", {})
        keys.append(stage_key("classifier", config, "digest", ComputePlace("cpu", 1)))
    assert keys[0] == keys[1] != keys[2]
    assert not differences(studies[0], studies[1])
    assert list(differences(studies[0], studies[2])) == ["plugins"]
    assert "plugins" in ALLOWABLE_CHANGES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_that_name", "mine.py, which fails (ModuleNotFoundError: No module"),
        ("GANS = ", "mine.py, which fails (SyntaxError"),
        ("X = 1", "it has none of BACKBONES, GANS, DATASETS, ARMS, METRICS"),
        ("BACKBONES = {'a': 1}", "a of mine.py (int), expected a Backbone below backbones"),
        ("from distill_tune.study.arms import ARMS", "baseline of mine.py, expected a name of its"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named(text: str, message: str, tmp_path: Path) -> None:
    use_plugins([written(tmp_path, text)])
    with pytest.raises((InputError, InputErrors)) as caught:
        study_in(tmp_path, STUDY.replace("{kind: shapes, num_images: 60", "{kind: digits"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.py", "which cannot be read (No such file or directory)"),
        ("my-parts.py", "a file name of letters, digits and '_'"),
        ("no_such_distribution", "a .py file, or the name of an installed distribution"),
    ],
)
def test_what_is_no_plugin_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        use_plugins([str(tmp_path / name) if name.endswith(".py") else name])
    assert caught.value.spelled(option).startswith("--plugin: got ")
    assert message in str(caught.value)


def test_an_installed_distribution_registers_by_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, EXAMPLES[-1].read_text(), "installed_net.py")
    info = tmp_path / "my_parts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-parts\nVersion: 1.0\n")
    entry = "[distill_tune.backbones]\ninstalled_net = installed_net:TinyNet\n"
    (info / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)
    assert parts("backbones", Backbone) == {}
    use_plugins(["my-parts"])
    assert [*parts("backbones", Backbone)] == ["installed_net"]
    assert [*digests()] == ["my-parts"]


def test_another_process_has_the_same_plugins(tmp_path: Path) -> None:
    use_plugins(EXAMPLES)
    pickled = tmp_path / "study"
    pickled.write_bytes(pickle.dumps(study_in(tmp_path)))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).data.num_images)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(pickled)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "60\n", done.stderr
    assert set(variables()) == {"DISTILL_TUNE_PLUGINS"}


def test_the_option_may_stand_anywhere(tmp_path: Path) -> None:
    given = ["search", "--plugin", "a.py", "--space", "x.yaml", "--plugin=b.py"]
    first = ["--plugin", "a.py", "--plugin=b.py", "search", "--space", "x.yaml"]
    assert with_plugins_first(given) == first
    file = written(tmp_path, "ARMS = {}")
    use_plugins([file])
    assert options() == f" --plugin {file}"
