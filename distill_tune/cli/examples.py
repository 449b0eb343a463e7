"""Examples shown below each command's --help."""

_EXAMPLES = {
    "check": (
        "distill-tune check path/to/images",
        "distill-tune check path/to/images --out checked",
        "distill-tune check images.npz --set data.value_range=[0,4095] --json",
    ),
    "new": (
        "distill-tune new cells.yaml --data path/to/images",
        "distill-tune new my.yaml --data images.npz --set data.image_size=32 --minutes 60",
        "distill-tune new my.yaml --data images --backbone resnet18 --backbone densenet121",
    ),
    "search": (
        "distill-tune search --space search_spaces/resnet.yaml",
        "distill-tune search --space my.yaml --set data.kind=folder --set data.root=images",
        "distill-tune search --space my.yaml --dry-run",
        "distill-tune search --space my.yaml --num-trials 8 --time-budget 3600",
        "distill-tune search --space wider.yaml --continue-from runs/narrow",
        "distill-tune search --space my.yaml --storage s3://bucket/runs --address auto",
    ),
    "resume": (
        "distill-tune resume runs/resnet",
        "distill-tune resume runs/resnet --num-trials 32",
        "distill-tune resume runs/resnet --time-budget 3600",
    ),
    "status": (
        "distill-tune status runs/resnet",
        "distill-tune status runs/resnet --watch",
        "distill-tune status runs/resnet --json",
    ),
    "train": (
        "distill-tune train --config runs/resnet/best/resnet50.yaml --out model",
        "distill-tune train --config best/resnet50.yaml --out model --set joint.epochs=20",
        "distill-tune train --study runs/resnet --trial 7 --seed 1 --out model",
    ),
    "report": (
        "distill-tune report runs/resnet",
        "distill-tune report runs/resnet --out elsewhere --json",
    ),
    "compare": (
        "distill-tune compare runs/resnet runs/densenet",
        "distill-tune compare runs/one runs/two runs/three --out comparison",
        "distill-tune compare runs/one runs/two --json",
    ),
    "follow": (
        "distill-tune follow runs/resnet --to mlflow=sqlite:///runs.db",
        "distill-tune follow runs/resnet --to wandb=team/project",
        "distill-tune follow runs/resnet --to webhook=https://host/path --once",
    ),
    "optuna": (
        "distill-tune optuna runs/resnet",
        "distill-tune optuna runs/resnet --out resnet.journal",
    ),
    "evaluate": (
        "distill-tune evaluate model",
        "distill-tune evaluate model --data images --json",
    ),
    "predict": (
        "distill-tune predict model one.png another.jpg --top 3",
        "distill-tune predict model images --json",
    ),
    "generate": (
        "distill-tune generate model --class 7 --hard --num 64 --out hard-sevens",
        "distill-tune generate model --out samples",
    ),
    "export": ("distill-tune export model --format torch-export",),
    "confirm": (
        "distill-tune confirm runs/resnet",
        "distill-tune confirm runs/resnet --seeds 10 --arms all --rival strong_augmentation",
        "distill-tune confirm runs/resnet --tune-arms",
    ),
}


def examples(command: str) -> str:
    """Return the epilog of a command; an empty line becomes a line break in the help."""
    return "\n\n".join(["Examples:", *_EXAMPLES[command]])
