"""What the ablation compares: one configuration, and groups of changes of it."""

from typing import Any

REFERENCE = "equal steps"
"""The variant that every group has, and that gains are counted from."""

BASE: dict[str, Any] = {
    "data": {"kind": "digits", "train_per_class": 10, "val_per_class": 60, "test_fraction": 0.4},
    "backbone": {"name": "resnet18", "stem": "imagenet", "input_size": 16},
    "classifier": {"epochs": 30, "batch_size": 20, "lr": 2e-3},
    "gan": {
        "generator_width": 64,
        "discriminator_width": 32,
        "max_warmup_steps": 1500,
        "triplet_steps": 150,
        "batch_size": 32,
        "lr": 1e-3,
        "lecam_start": 200,
        "shift": 0.125,
        "cutout": 0,
    },
    "joint": {
        "epochs": 20,
        "ramp_epochs": 0,
        "classifier_lr_factor": 1.0,
        "min_hard": 2,
        "monitor_images": 100,
        "hard_threshold": 0.5,
        "pairing": "contrast",
        "margin": 1.0,
        "triplet_weight": 10.0,
        "synthetic_ratio": 1.0,
        "gan_lr": 2e-4,
    },
}
"""A generator that follows its classes before anything is learnt from it."""

_PLAIN: dict[str, Any] = {"joint.extra_images": "none"}
_AUGMENTATION: dict[str, Any] = {"joint.triplet_weight": 0.0}
_AGREE: dict[str, Any] = {"joint.selection": "agree"}
_HARD: dict[str, Any] = {"joint.selection": "hard"}
_AFFINE: dict[str, Any] = {"classifier.augmentation": "affine"}
_FROZEN: dict[str, Any] = {"gan.triplet_steps": 0, "joint.gan_lr": 0.0, **_AUGMENTATION}
_YOUNG: dict[str, Any] = {**_FROZEN, "gan.warmup_steps": 100}

_SCHEDULES: dict[str, dict[str, Any]] = {
    f"factor {factor}, ramp {ramp}, {epochs} epochs": {
        "joint.classifier_lr_factor": factor,
        "joint.ramp_epochs": ramp,
        "joint.epochs": epochs,
    }
    for factor, ramp, epochs in (
        (0.1, 0, 20),
        (0.3, 0, 20),
        (1.0, 0, 20),
        (0.3, 5, 20),
        (1.0, 5, 20),
        (1.0, 0, 60),
    )
}

GROUPS: dict[str, dict[str, dict[str, Any]]] = {
    "arms": {
        REFERENCE: _PLAIN,
        "equal steps, affine": {**_PLAIN, **_AFFINE},
        "GAN augmentation": _AUGMENTATION,
        "GAN augmentation, hardest that agree": {**_AUGMENTATION, **_HARD},
        "distillation": {},
        "distillation, hardest that agree": _HARD,
        "distillation, affine": _AFFINE,
    },
    "schedule": {REFERENCE: {**_PLAIN, **_SCHEDULES["factor 1.0, ramp 0, 20 epochs"]}}
    | {
        f"{arm}, {schedule}": {**changes, **fields}
        for schedule, fields in _SCHEDULES.items()
        for arm, changes in (("equal steps", _PLAIN), ("frozen GAN", _FROZEN), ("distillation", {}))
    },
    "unfit": {
        REFERENCE: _PLAIN,
        "unfit, warn": _YOUNG,
        "unfit, scale": {**_YOUNG, "joint.unfit_policy": "scale"},
        "unfit, agree": {**_YOUNG, **_AGREE},
        "unfit, hard": {**_YOUNG, **_HARD},
        "fit": _FROZEN,
    },
}
