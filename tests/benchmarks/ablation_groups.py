"""Configurations that the ablation compares, and groups of changes of them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.interfaces import plain
from distill_tune.study.space import apply
from distill_tune.study.study import Study
from distill_tune.study.validation import parse
from distill_tune.study.yaml.files import read_yaml_text

REFERENCE = "equal steps"
"""The variant that every group has."""

_SPACES = Path(__file__).parents[2] / "search_spaces" / "evidence"

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
_FAST: dict[str, Any] = {"joint.gan_lr": 1e-3}
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

_RECIPE: dict[str, dict[str, Any]] = {
    REFERENCE: _PLAIN,
    "distillation": {},
    "selection agree": _AGREE,
    "selection hard": _HARD,
    "pairing assign": {"joint.pairing": "assign"},
    "pairing class": {"joint.pairing": "class"},
    "pairing any": {"joint.pairing": "any"},
    "lambda 0": _AUGMENTATION,
    "lambda 0, selection hard": {**_AUGMENTATION, **_HARD},
    "lambda 0, GAN rate 1e-3": {**_AUGMENTATION, **_FAST},
    "lambda 1": {"joint.triplet_weight": 1.0},
    "lambda 30": {"joint.triplet_weight": 30.0},
    "margin 0.3": {"joint.margin": 0.3},
    "margin 2": {"joint.margin": 2.0},
    "rule confidence": {"joint.hard_rule": "confidence"},
    "rule misclassified": {"joint.hard_rule": "misclassified"},
    "refresh plateau": {"joint.refresh": "plateau"},
    "refresh never": {"joint.refresh": "never"},
    "ratio up": {"joint.ramp_epochs": 5},
    "ratio down": {"joint.ramp_down_epochs": 5},
    "ratio up and down": {"joint.ramp_epochs": 5, "joint.ramp_down_epochs": 5},
    "mode seeking 0": {"joint.mode_seeking": 0.0},
    "GAN rate 1e-3": _FAST,
    "GAN rate 1e-3, mode seeking -1, selection hard": {
        **_FAST,
        **_HARD,
        "joint.mode_seeking": -1.0,
    },
    "frozen after the triplet stage": {"joint.gan_lr": 0.0},
    "frozen after the triplet stage, lambda 0": {**_AUGMENTATION, "joint.gan_lr": 0.0},
    "frozen after the triplet stage, selection hard": {**_HARD, "joint.gan_lr": 0.0},
    "frozen after the warm-up": _FROZEN,
}
"""Changes of the method as the evidence spaces have it, one at a time for the most part."""

_VALIDATION = {"rare-digits": 60, "rare-cells": 28, "confusions": 150}
"""Images of each class that the ablation validates on: as many as the sets leave."""


class Group(NamedTuple):
    """Variants that are compared with each other.

    Attributes:
        base: Their common configuration, as plain data without seeds.
        source: The same in words.
        variants: Name to changed fields.
        reference: The variant that gains are counted from.
    """

    base: dict[str, Any]
    source: str
    variants: dict[str, dict[str, Any]]
    reference: str = REFERENCE


def _setting(name: str, num_validation: int) -> dict[str, Any]:
    """Return the configuration of an evidence space, with another number of validation images."""
    path = _SPACES / f"{name}.yaml"
    study = parse(Study, read_yaml_text(path.read_text(encoding="utf-8"), path.name))
    base = plain(study.trial_config(study.backbones[0].name, {}))
    return apply(base, {"data.val_per_class": num_validation})


_OF_DIGITS: dict[str, dict[str, dict[str, Any]]] = {
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

GROUPS = {name: Group(BASE, json.dumps(BASE), variants) for name, variants in _OF_DIGITS.items()}
GROUPS |= {
    f"recipe/{name}": Group(
        _setting(name, num),
        f"search_spaces/evidence/{name}.yaml with val_per_class: {num}",
        _RECIPE,
        "distillation",
    )
    for name, num in _VALIDATION.items()
}
