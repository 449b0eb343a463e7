"""Shared stages: which exist, what each depends on, and which of them trials have in common.

The classifier's training depends on backbone, data and its own fields; the GAN's warm-up on data
and the GAN's fields; the triplet pre-training on both and on the definitions of hardness and loss.
This decides at which stage a searched field first has an effect: trials share every stage before
it.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch

from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import plain
from distill_tune.plugins import digests
from distill_tune.records.words.metric_names import ACCURACY
from distill_tune.study.continuing.source_code import code_digest
from distill_tune.study.dimensions import Choice, Dimension
from distill_tune.study.study import Study
from distill_tune.study.validation import get_path

SharedStage = Literal["classifier", "warmup", "triplet"]
STAGES: tuple[SharedStage, ...] = ("classifier", "warmup", "triplet")
"""In the order in which a trial runs them."""

PREDECESSORS: Mapping[SharedStage, tuple[SharedStage, ...]] = {
    "classifier": (),
    "warmup": (),
    "triplet": ("classifier", "warmup"),
}
"""The stages whose products a stage starts from."""

_SECTIONS: Mapping[SharedStage, str] = {"classifier": "classifier", "warmup": "gan"}
_HAS_GAN = "joint.extra_images"
_TRIPLET_FIELDS = frozenset(
    {
        "gan.triplet_steps",
        "gan.triplet_margin",
        "gan.triplet_threshold",
        "joint.margin",
        "joint.margin_unit",
        "joint.hard_threshold",
        "joint.hard_rule",
        "joint.min_hard",
        "joint.feature_norm",
        "joint.pairing",
        "joint.triplet_weight",
        "joint.name_threshold",
    }
)

ADDED_FIELDS: Mapping[str, object] = MappingProxyType(
    {
        "backbone.freeze": "none",
        "backbone.weights": None,
        "backbone.weights_sha256": None,
        "classifier.class_weights": "none",
        "classifier.sampling": "shuffle",
        "data.unlabelled": None,
        "gan.triplet_margin": None,
        "gan.triplet_threshold": None,
        "gan.unlabelled_weight": 1.0,
        "joint.mode_seeking": None,
        "joint.monitor_every": 3,
        "joint.class_ratio": "uniform",
        "joint.name_threshold": 0.95,
        "joint.ramp_down_epochs": 0,
        "joint.strong_augmentation": "affine",
        "metric": ACCURACY,
    }
)
"""Fields that the first studies lack, with the values that stand for what was done without them."""


class ComputePlace(NamedTuple):
    """Place where a stage is computed, as far as its numbers depend on it.

    Attributes:
        device: ``cuda`` or ``cpu``.
        num_threads: Threads of a CPU, as the order of a sum depends on them; 0 on a GPU.
    """

    device: str
    num_threads: int

    @classmethod
    def of(cls, bundle: Mapping[str, float]) -> "ComputePlace":
        """Return where work with these resources computes."""
        if bundle.get("GPU", 0) > 0:
            return cls("cuda", 0)
        return cls("cpu", max(1, int(bundle.get("CPU", 1))))

    @classmethod
    def here(cls, device: torch.device) -> "ComputePlace":
        """Return where this process computes."""
        return cls(device.type, 0 if device.type == "cuda" else torch.get_num_threads())


class Job(NamedTuple):
    """Stage to compute before the trials start.

    Attributes:
        stage: Which.
        config: That of any trial that needs it.
        name: Shown to users, such as ``classifier/resnet50 lr=0.001``.
    """

    stage: SharedStage
    config: TrialConfig
    name: str


def enters(stage: SharedStage, path: str) -> bool:
    """Return whether a field of a trial, by its dotted path, changes what a stage yields."""
    if path == _HAS_GAN:
        return stage != "classifier"
    if path in _TRIPLET_FIELDS:
        return stage == "triplet"
    if any(enters(before, path) for before in PREDECESSORS[stage]):
        return True
    return path.startswith(f"{_SECTIONS[stage]}.") if stage in _SECTIONS else False


def stage_key(stage: SharedStage, config: TrialConfig, digest: str, place: ComputePlace) -> str:
    """Return 16 hex digits over everything that a stage's product depends on.

    Args:
        stage: Which.
        config: The trial's.
        digest: The images'; it does not cover whether they may be mirrored.
        place: Where it is computed.
    """
    depends = {
        "stage": stage,
        "code": code_digest(),
        "torch": str(torch.__version__),
        "data": digest,
        "flip": config.data.flip,
        "seed": config.seed,
        "place": list(place),
        **({"plugins": digests()} if digests() else {}),
        "fields": _fields(stage, config),
    }
    text = json.dumps(depends, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _fields(stage: SharedStage, config: TrialConfig) -> dict[str, Any]:
    values = identity(config.in_triplet_stage if stage == "triplet" else config)
    fields = {
        f"{section}.{name}": value
        for section in ("classifier", "gan", "joint")
        for name, value in values[section].items()
        if enters(stage, f"{section}.{name}")
    }
    fields["compute"] = values["compute"]
    if stage != "warmup":
        fields |= {name: values[name] for name in ("backbone", "metric") if name in values}
    return fields


def identity(config: TrialConfig) -> dict[str, Any]:
    """Return a configuration as plain data that depends on no field which has no effect in it.

    Fields that were added later are left out while they have their neutral value. Keys and
    checkpoints of older studies therefore stay valid. Of weights in a file, the digest counts, not
    the place.
    """
    values = plain(config)
    values["data"].pop("cache_bytes", None)
    if values["backbone"]["weights_sha256"] is not None:
        values["backbone"]["weights"] = None
    for path, neutral in ADDED_FIELDS.items():
        *above, name = path.split(".")
        section = get_path(values, above)
        if section[name] == neutral:
            del section[name]
    return values


def shared_jobs(study: Study) -> list[Job]:
    """Return the stages that trials of a study share, each after those it starts from.

    A stage whose searched fields have only few combinations of values is shared too. It is computed
    for each combination, if each gets at least two trials of a backbone on average.
    """
    jobs = [job for stage in STAGES for job in _jobs(stage, study)]
    # The warm-up first: it usually takes longest.
    return sorted(jobs, key=lambda job: ("warmup", "classifier", "triplet").index(job.stage))


def _jobs(stage: SharedStage, study: Study) -> Iterator[Job]:
    searched = {
        path: dimension
        for path, dimension in study.space.dimensions.items()
        if enters(stage, path) and path not in study.stage_3_only
    }
    values = [_values(dimension) for dimension in searched.values()]
    if any(value is None for value in values):
        return
    points = list(itertools.product(*(value for value in values if value is not None)))
    if len(points) > max(1, study.search.num_trials // len(study.backbones) // 2):
        return
    backbones = [backbone.name for backbone in study.backbones]
    for backbone in backbones if stage != "warmup" else backbones[:1]:
        for point in points:
            params = dict(zip(searched, point, strict=True))
            config = study.trial_config(backbone, params)
            if stage != "classifier" and not config.joint.has_gan:
                continue
            yield Job(stage, config, stage_name(stage, config, searched))


def stage_name(stage: SharedStage, config: TrialConfig, searched: Iterable[str] = ()) -> str:
    """Return the shown name of a stage: ``warmup``, ``classifier/resnet50``, with its params."""
    name = stage if stage == "warmup" else f"{stage}/{config.backbone.name}"
    values = plain(config)
    params = [
        f"{path.rpartition('.')[2]}={get_path(values, path.split('.'))}"
        for path in searched
        if enters(stage, path)
    ]
    return " ".join([name, *params])


def _values(dimension: Dimension) -> tuple[Any, ...] | None:
    """Return the values of a dimension; None unless there are only a few."""
    if isinstance(dimension, Choice):
        return dimension.values
    if dimension.integer and dimension.high - dimension.low < 64:
        return tuple(range(int(dimension.low), int(dimension.high) + 1))
    return None
