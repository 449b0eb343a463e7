"""``python -m tests.benchmarks.ablation``: what each part of the method is worth, on 100 digits.

Validation accuracy (600 images that take no part in training) of one configuration and of changes
of it, on the same seeds; stage 1 and the warm-up are trained once a seed. Prints a Markdown table.
"""

import json
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import torch

from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.evidence import gain
from distill_tune.interfaces import ImageData
from distill_tune.space import apply

SEEDS = 4
BASE: dict[str, Any] = {
    "data": {"kind": "digits", "train_per_class": 10, "val_per_class": 60, "test_fraction": 0.4},
    "backbone": {"name": "resnet18", "stem": "imagenet", "input_size": 16},
    "classifier": {"epochs": 30, "batch_size": 20, "lr": 2e-3},
    "gan": {
        "generator_width": 64,
        "generator_min_width": 32,
        "discriminator_width": 32,
        "warmup_steps": 350,
        "triplet_steps": 150,
        "batch_size": 32,
        "lr": 1e-3,
        "lecam_start": 200,
        "shift": 0.125,
        "cutout": 0,
    },
    "joint": {
        "epochs": 20,
        "ramp_epochs": 3,
        "min_hard": 2,
        "monitor_images": 100,
        "hard_threshold": 0.5,
        "pairing": "contrast",
        "margin": 1.0,
        "triplet_weight": 8.0,
        "synthetic_ratio": 1.5,
        "gan_lr": 2e-4,
    },
}
"""A GAN with few steps behind it: what guides it shows."""

VARIANTS: dict[str, dict[str, Any]] = {
    "no extra images (equal steps)": {"joint.extra_images": "none"},
    "lambda 0 (GAN augmentation)": {"joint.triplet_weight": 0.0},
    "the method: pairing contrast, lambda 8, margin 1": {},
    "lambda 25": {"joint.triplet_weight": 25.0},
    "pairing assign": {"joint.pairing": "assign"},
    "pairing class": {"joint.pairing": "class"},
    "pairing any": {"joint.pairing": "any"},
    "margin 5, above the bound": {"joint.margin": 5.0},
    "hard images labelled once": {"joint.refresh": "never"},
    "generator frozen in stage 3": {"joint.gan_lr": 0.0},
}


class Found(NamedTuple):
    """What a variant came to: best validation accuracy, and what its images were like."""

    accuracy: float
    label_agreement: float | None
    diversity: float | None


def main() -> None:
    """Train every variant with every seed on all cores, and print the table."""
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(of_seed, range(SEEDS)))
    sys.stdout.write("\n".join(table(found)) + "\n")


def of_seed(seed: int) -> dict[str, Found]:
    """Train every variant with one seed, one thread."""
    torch.set_num_threads(1)
    base = TrialConfig.model_validate(BASE | {"seed": seed})
    images = base.data.load()
    classifier = product(base, images, "classifier")
    warmup = product(base, images, "warmup")
    found = {}
    for name, changes in VARIANTS.items():
        config = TrialConfig.model_validate(apply(BASE | {"seed": seed}, changes))
        trial = Trial(config, images, torch.device("cpu"))
        trial.adopt("classifier", classifier)
        if config.joint.has_gan:
            trial.adopt("warmup", warmup)
        trial.state.stage = "triplet"
        joint = [report.metrics for report in trial.run() if report.stage == "joint"]
        found[name] = Found(
            joint[-1]["val/best_accuracy"],
            joint[-1].get("synthetic/label_agreement"),
            joint[-1].get("synthetic/diversity"),
        )
    return found


def product(config: TrialConfig, images: ImageData, stage: Any) -> dict[str, Any]:
    """Return what one early stage of a configuration comes to."""
    trial = Trial(config, images, torch.device("cpu"))
    for _ in trial.run_stage(stage):
        pass
    return trial.product(stage)


def table(found: list[dict[str, Found]]) -> list[str]:
    """Return the lines of the table: points, and paired gains over the second variant."""
    reference = [100 * of_one["lambda 0 (GAN augmentation)"].accuracy for of_one in found]
    lines = [
        "| variant | accuracy | over GAN augmentation, 95 % | label agreement | diversity |",
        "|---|---|---|---|---|",
    ]
    for name in VARIANTS:
        values = [100 * of_one[name].accuracy for of_one in found]
        pairs = zip(values, reference, strict=True)
        over = gain([value - other for value, other in pairs])
        interval = "" if over.low is None else f" ({over.low:+.1f} to {over.high:+.1f})"
        seen = [_mean([of_one[name][place] for of_one in found]) for place in (1, 2)]
        cells = [name, f"{statistics.mean(values):.1f}", f"{over.mean:+.1f}{interval}", *seen]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    lines.append(f"{len(found)} seeds; configuration: `{json.dumps(BASE)}`")
    return lines


def _mean(values: list[Any]) -> str:
    return "" if None in values else f"{statistics.mean(values):.2f}"


if __name__ == "__main__":
    main()
