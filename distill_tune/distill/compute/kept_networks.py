"""Networks and compiled code that a process passes on from one trial to the next."""

import json
from typing import TypeVar

import torch
from torch import nn

from distill_tune.distill.compute.execution import Execution
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData, plain

Network = TypeVar("Network", bound=nn.Module)


class KeptNetworks:
    """The compiled networks of a process, for trials that have the same ones.

    Compiling takes longer than a short trial, and compiled code belongs to a network, not to its
    weights. A trial therefore loads its initial weights into the networks of the trial before. If
    nothing is compiled, nothing is kept.

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

    def fits(self, config: TrialConfig, images: ImageData, device: torch.device) -> bool:
        """Return whether a trial of this configuration has these networks."""
        return self.key == _key(config, images, device)

    def take(self, name: str, built: Network) -> Network:
        """Return the network of that name with the weights and the mode of ``built``.

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
            for parameter in kept.parameters():
                parameter.grad = None
        return kept


def _key(config: TrialConfig, images: ImageData, device: torch.device) -> str:
    parts = (plain(config.backbone), plain(config.gan), plain(config.compute))
    shape = (images.num_classes, images.channels, images.image_size)
    return json.dumps([*parts, shape, str(device)], sort_keys=True)
