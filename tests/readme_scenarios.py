"""What becomes of each command that a README shows: a scenario types it, or a reason excuses it.

``test_readme_commands.py`` compares this table with the READMEs, ``test_readme_runs.py`` types the
commands, in this order.
"""

from typing import NamedTuple


class Step(NamedTuple):
    """What the READMEs promise of a command.

    Attributes:
        says: Part of its output.
        leaves: Files that are there afterwards, as patterns.
        also: Options with which it is typed once more.
        status: Its exit code.
    """

    says: str
    leaves: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    status: int = 0


_MODEL = tuple(
    f"model/{name}"
    for name in ("classifier.safetensors", "generator.safetensors", "model.yaml", "config.yaml")
)
_TRAINED = Step("distill-tune evaluate model", _MODEL)
_ASSESSED = Step("balanced accuracy")
_EXPORTED = "logits: float32"
_PHOTOS = "distill-tune predict model/ photos/ scan.jpg --top 2"

DIGITS = {
    "distill-tune search --space search_spaces/resnet.yaml --dry-run": Step("Nothing was written."),
    "distill-tune search --space search_spaces/resnet.yaml": Step(
        "one seed: distill-tune confirm says whether it is real", ("runs/resnet/report.html",)
    ),
    "distill-tune resume runs/resnet": Step("The study is finished"),
    "distill-tune status runs/resnet": Step("finished", also=("--watch", "--json")),
    "distill-tune report runs/resnet": Step("report.html", ("runs/resnet/report.json",)),
    "distill-tune optuna runs/resnet": Step(
        "optuna-dashboard runs/resnet/optuna.journal", ("runs/resnet/optuna.journal",)
    ),
    "distill-tune confirm runs/resnet --seeds 5": Step(
        "confirmation.md", ("runs/resnet/confirm/runs.csv", "runs/resnet/confirm/figures/*.png")
    ),
    "distill-tune confirm runs/resnet": Step("confirmation.md"),
    "distill-tune train --study runs/resnet --out model/": _TRAINED,
    "distill-tune train --config runs/resnet/best/resnet50.yaml --out model/": _TRAINED,
    "distill-tune train --config runs/resnet/best/resnet50.yaml --out model-1/ --seed 1": Step(
        "distill-tune evaluate model-1", ("model-1/model.yaml",)
    ),
    "distill-tune evaluate model/": _ASSESSED,
    "distill-tune predict model/ photos/": Step("photos/a.jpg"),
    _PHOTOS: Step("scan.jpg"),
    "distill-tune generate model/ --out synthetic/": Step(
        "contact_sheet.png", ("synthetic/3/0000.png", "synthetic/images.csv")
    ),
    "distill-tune generate model/ --class 3 --hard --num 64 --out hard/": Step(
        "contact_sheet.png", ("hard/3/0063.png", "hard/images.csv", "hard/contact_sheet.png")
    ),
    "distill-tune export model/": Step(_EXPORTED, ("model/classifier.pt2",)),
    "distill-tune export model/ --format onnx": Step(_EXPORTED, ("model/classifier.onnx",)),
}
"""From the search of a shipped space to the use of its model."""

CELLS = {
    "distill-tune search --space search_spaces/resnet.yaml --name cells --set data.kind=folder "
    "--set data.root=path/to/images --set data.image_size=32": Step(
        "basophil, monocyte, platelet", ("runs/cells/report.html",)
    ),
}
"""The search with one's own images."""

MODEL_OF_CELLS = {
    "distill-tune evaluate model/": _ASSESSED,
    _PHOTOS: Step("1 of 3 files could not be read", status=2),
    "distill-tune generate model/ --class platelet --hard --num 64 --out hard/ --seed 0": Step(
        "contact_sheet.png", ("hard/platelet/0063.png",)
    ),
}
"""The use of its model, with a file among the photos that is no image."""

DRAFT = {
    "distill-tune check path/to/images": Step("sizes in pixels: "),
    "distill-tune new cells.yaml --data path/to/images": Step(
        "distill-tune search --space cells.yaml", ("cells.yaml",)
    ),
}
DRAFTED = {
    "distill-tune search --space cells.yaml": Step(
        "The study is finished: 2 of 2 trials.", ("runs/cells/report.html",)
    ),
}
"""A study written for one's own images, and its search."""

SCENARIOS = (DIGITS, CELLS, MODEL_OF_CELLS, DRAFT, DRAFTED)

_CIFAR = "distill-tune search --space search_spaces/cifar10/resnet.yaml"
_OBJECTS = "--address auto --storage s3://bucket/runs"
NOT_RUN = {
    "installs over the network, as .ci/run does in a new environment": (
        "python3 -m venv .venv",
        "pip install .",
        "pip install -e '.[dev]'",
        "pip install 'distill-tune[onnx]'",
        "pip install 'distill-tune[samplers]'",
        "pip install 'distill-tune[timm]'",
        "pip install 'distill-tune[mlflow]'",
        "pip install 'distill-tune[wandb]'",
        "pip install 'ray[default]'",
        "pip install optuna-dashboard",
        "pip wheel --no-deps .",
    ),
    "runs tests": (
        "pytest -n 2 --dist loadfile",
        "pytest -n 2 --dist loadfile -m slow",
        "pytest tests/test_kill_once.py",
        "pytest -m slow tests/test_resume.py",
        "pytest -m storm",
        "pytest -m cluster",
        "pytest -m s3",
    ),
    "stands for a plugin and a study of the reader's own": (
        "distill-tune search --space own.yaml --plugin my_parts.py",
    ),
    "measures for hours": (
        "python -m tests.benchmarks NAME",
        "python -m tests.benchmarks quality",
        "distill-tune search --space search_spaces/evidence/few-digits.yaml",
        "distill-tune confirm runs/evidence-few-digits",
    ),
    "needs a GPU; tests/gpu/test_script.py runs it on a CPU": ("python -m tests.gpu",),
    "downloads CIFAR-10 and is made for a GPU": (
        _CIFAR,
        "distill-tune confirm runs/cifar10-resnet --seeds 5",
    ),
    "serves a browser until it is stopped; tests/training/test_tensorboard_served.py and "
    "tests/tuning/test_optuna_journal.py ask such servers": (
        "tensorboard --logdir runs/resnet/tensorboard",
        "tensorboard --logdir .../tensorboard",
        "optuna-dashboard runs/resnet/optuna.journal",
    ),
    "needs several machines; tests/test_cluster.py does the same on hosts of its own": (
        "ray start --head --port 6379",
        "ray start --address HEAD:6379",
        "ray get-auth-token --generate",
        f"{_CIFAR} --address auto --storage /shared/runs",
        f"ray job submit --address http://HEAD:8265 --working-dir . -- {_CIFAR} {_OBJECTS}",
        "distill-tune resume runs/resnet --address ...",
    ),
    "needs Slurm, a cloud or Kubernetes; tests/test_readme_cluster.py reads the files": (
        "#!/bin/bash",
        "ray up cluster.yaml",
        f'ray exec cluster.yaml --tmux "distill-tune search --space my.yaml {_OBJECTS}"',
        "kubectl apply -f",
    ),
    "needs a tracker; tests/report/test_following.py follows to ones in memory": (
        "distill-tune follow runs/resnet --to TARGET",
    ),
    "compares several studies; tests/report/test_comparison.py does the same": (
        "distill-tune compare runs/resnet runs/resnet...",
    ),
    "changes a shell's own files; tests/test_cli_help.py completes words": (
        "distill-tune --install-completion",
    ),
    "is how tests/commands.py starts every command": ("python -m distill_tune.cli",),
}
"""Why commands are not run: reason -> commands."""
