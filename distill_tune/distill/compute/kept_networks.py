"""Networks and compiled code that a process passes on from one trial to the next."""

import copy
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from distill_tune.distill.compute.execution import Execution
from distill_tune.distill.gans import GANS
from distill_tune.distill.gans.training_fields import GanTraining
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData, plain

Network = TypeVar("Network", bound=nn.Module)

_MOST_INPUTS = 8
"""Kinds of input for which torch compiles a function; it runs it uncompiled for any other."""


class KeptNetworks:
    """The networks of a process, for trials that have the same ones.

    Compiling takes longer than a short trial, and compiled code belongs to a network, not to its
    weights. A trial therefore loads its initial weights into the networks of the trial before. If
    nothing is compiled, only classifiers that are never trained are kept, and the initial one, on
    the host: drawing the weights of a large network takes as long as some steps with it.

    Args:
        config: Configuration of the first of these trials.
        images: Images of these trials.
        device: Device of the networks.

    Attributes:
        key: What the networks and their compiled code depend on.
        execution: The trials' caller of networks, which holds compiled code.
    """

    def __init__(self, config: TrialConfig, images: ImageData, device: torch.device) -> None:
        self.key = _key(config, images, device)
        self.execution = Execution(config.compute, device)
        self._is_keeping = config.compute.compile
        self._networks: dict[str, nn.Module] = {}
        self._initial: tuple[int, nn.Module] | None = None
        self._inputs = _inputs(config)

    def admit(self, config: TrialConfig, images: ImageData, device: torch.device) -> bool:
        """Return whether a trial of this configuration is to have these networks.

        It is not if its own are others, or if torch would not compile these for its sizes any more.
        """
        inputs = self._inputs | _inputs(config)
        most = max(Counter(name for name, *_ in inputs).values())
        if self.key != _key(config, images, device) or most > _MOST_INPUTS:
            return False
        self._inputs = inputs
        return True

    def initial(self, seed: int, build: Callable[[], Network]) -> Network:
        """Return a classifier with its initial weights, which are drawn once for a seed.

        Args:
            seed: Seed of the weights.
            build: Builds the classifier on the host, the same one whenever the seed is the same.
        """
        kept = self._initial
        if kept is None or kept[0] != seed:
            kept = self._initial = (seed, build())
        copied: Network = copy.deepcopy(kept[1])  # type: ignore[assignment]
        return copied

    def frozen(self, name: str, classifier: Network) -> Network:
        """Return a copy of a classifier that is never trained; the same network in every trial.

        Args:
            name: Of a network that every trial has.
            classifier: On its device.
        """
        kept = self._networks.get(name)
        if kept is None:
            kept = self._networks[name] = copy.deepcopy(classifier)
            kept.requires_grad_(requires_grad=False).eval()
        else:
            kept.load_state_dict(classifier.state_dict())
        same: Network = kept  # type: ignore[assignment]
        return same

    def take(self, name: str, built: Network) -> Network:
        """Return the network of that name with the weights and the modes of ``built``.

        Args:
            name: Of a network that every trial builds.
            built: The trial's own; returned and kept if it is the first of that name.
        """
        if not self._is_keeping:
            return built
        kept = self._networks.setdefault(name, built)
        assert isinstance(kept, type(built))  # noqa: S101
        if kept is not built:
            kept.load_state_dict(built.state_dict())
            kept.train(built.training)
            for parameter, new in zip(kept.parameters(), built.parameters(), strict=True):
                parameter.grad = None
                # A trial that failed in the middle of a step may have left it changed.
                parameter.requires_grad_(new.requires_grad)
        return kept


def _key(config: TrialConfig, images: ImageData, device: torch.device) -> str:
    parts = (plain(config.backbone), _architecture(config.gan), plain(config.compute))
    shape = (images.num_classes, images.channels, images.image_size)
    return json.dumps([*parts, shape, str(device)], sort_keys=True)


def _architecture(gan: GanTraining) -> dict[str, Any]:
    """Return the fields on which a GAN's networks depend; of a plugin's GAN, all fields."""
    fields = plain(gan)
    if type(gan) not in GANS.values():
        return fields
    of_training = GanTraining.model_fields.keys() - {"latent_dim"}
    return {name: value for name, value in fields.items() if name not in of_training}


def _inputs(config: TrialConfig) -> set[tuple[object, ...]]:
    """Return the kinds of input of each compiled function: its name, then what tells them apart."""
    classifier, gan, joint = config.classifier, config.gan, config.joint
    extra = round(max(1.0, joint.synthetic_ratio) * classifier.batch_size)
    asked = gan.batch_size, gan.mismatch > 0, gan.unlabelled_weight > 0
    return {
        ("classifier", "real", classifier.batch_size),
        ("classifier", "extra", joint.batch_norm, classifier.batch_size, extra),
        ("features", gan.batch_size),
        ("generator", "for the discriminator", gan.batch_size),
        ("generator", "for itself", gan.batch_size),
        ("generator", "for the classifier", extra),
        ("discriminator", "for itself", *asked),
        ("discriminator", "for the generator", *asked),
    }
