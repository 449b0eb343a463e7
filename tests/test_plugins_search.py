"""A study whose every part is a plugin's: searched, killed, resumed, confirmed, exported."""

import signal
from pathlib import Path

import pytest

from tests.commands import ONE_SLOT, PATIENCE_S, Run, epochs_reported, read_events, run

pytestmark = pytest.mark.storm

EXAMPLES = sorted((Path(__file__).parents[1] / "search_spaces" / "plugins").glob("*.py"))
STUDY = f"""\
study: own
data: {{kind: shapes, num_images: 120, val_per_class: 15, test_fraction: 0.25}}
backbones: [{{name: tiny_net, width: 8}}]
trial:
  classifier: {{epochs: 2, batch_size: 10}}
  gan: {{kind: mlp_gan, generator_width: 32, discriminator_width: 8, warmup_steps: 20,
        triplet_steps: 2, batch_size: 10, judge_steps: 20}}
  joint: {{epochs: 4, min_hard: 2, monitor_images: 20, unfit_policy: warn}}
space:
  gan.lr: loguniform(1e-5, 1e-3)
  joint.margin: uniform(0.05, 0.9)
search: {{num_trials: 3, metric: val/gmean, checkpoint_share: 1, min_epochs: 4, controls: []}}
{ONE_SLOT}"""


def test_a_study_of_plugins_from_its_start_to_a_model(tmp_path: Path) -> None:
    own = [word for file in EXAMPLES for word in ("--plugin", str(file))]
    space = tmp_path / "own.yaml"
    space.write_text(STUDY)
    study = tmp_path / "own"
    search = Run("search", "--space", str(space), "--storage", str(tmp_path), *own)
    search.wait_until(lambda: study.exists() and len(epochs_reported(read_events(study))) >= 3)
    search.send(signal.SIGKILL)
    search.wait()
    search.wait_for_silence()
    without = Run("resume", str(study))
    assert without.wait(PATIENCE_S) == 2
    options = " ".join(f"--plugin {file.name}" for file in EXAMPLES)
    assert f"expected them to be named too ({options})" in without.output
    resumed = run("resume", str(study), *own)
    assert "[3/3 trials" in resumed.output
    confirmed = run(
        "confirm", str(study), *own, "--seeds", "1", "--top", "1", "--arms", "equal_steps,cutmix"
    )
    assert "CutMix" in confirmed.output
    assert "own" in run("status", str(study)).output
    run("report", str(study))
    assert "tiny_net" in (study / "report.html").read_text()
    (model, *_) = sorted((study / "models").iterdir())
    run("export", str(model), *own)
    refused = Run("evaluate", str(model))
    assert refused.wait(PATIENCE_S) == 2
    assert "tiny_net" in refused.output
