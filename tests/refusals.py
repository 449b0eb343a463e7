"""A command that is refused, as the tests of errors use it."""

from pathlib import Path

from pydantic import BaseModel
from typer.testing import CliRunner

from distill_tune.cli import app

GOOD = """\
study: bad
data: {kind: digits, train_per_class: 20, val_per_class: 30}
backbones: [{name: resnet18, stem: imagenet}]
trial:
  classifier: {epochs: 3}
  joint: {epochs: 3, min_hard: 2}
  gan: {warmup_steps: 9}
space:
  joint.margin: uniform(0.05, 0.9)
  joint.gan_lr: loguniform(1e-6, 2e-4)
search: {num_trials: 6}
"""


def keys(model: type[BaseModel]) -> str:
    """Return how a message lists the keys of a mapping."""
    return f"one of the keys {', '.join(sorted(model.model_fields))}"


def write(old: str = "", new: str = "") -> None:
    """Write the good file as ``bad.yaml``, with one thing changed."""
    assert old in GOOD
    Path("bad.yaml").write_text(GOOD.replace(old, new, 1), encoding="utf-8")


def refused(*arguments: str, stdout: str = "") -> str:
    """Run a command that must be refused; return what it said, having left nothing behind."""
    before = sorted(Path().rglob("*"))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert result.stdout == stdout
    assert sorted(Path().rglob("*")) == before
    return result.stderr.removesuffix("\n")


def search(*arguments: str, stdout: str = "") -> str:
    """Search by ``bad.yaml``, which must be refused; return what was said."""
    return refused("search", "--space", "bad.yaml", "--storage", "runs", *arguments, stdout=stdout)
