"""Whether every node of a cluster can run a trial and sees the study's folder, asked beforehand."""

import importlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distill_tune.errors import InputError, Text
from distill_tune.records import StudyDirectory
from distill_tune.search.cluster import alive_nodes, fitting
from distill_tune.search.ray_errors import cause_of, in_a_line

_PATIENCE_S = 180.0
"""What a node may take to import torch from a file system that others read from, too."""
_IMPORTED = ("distill_tune.search.trainable", "torchvision.models")
"""What a trial imports; the second not before it builds its backbone."""


class _Found(NamedTuple):
    """What keeps nodes from their work: address of a node to what it says.

    Attributes:
        unable: They cannot run what a trial runs.
        blind: They cannot use the study's folder.
    """

    unable: dict[str, str]
    blind: dict[str, str]


def check_nodes(directory: StudyDirectory, bundle: Mapping[str, float]) -> None:
    """Let every other node that can get a trial import what one imports, and look for the study.

    A trial on a node that does not see its folder would lose its checkpoints, and end with an
    error of Ray's. What lies in an object store is seen by all.

    Args:
        directory: Of the study.
        bundle: What a trial takes: on a node that does not have it, nothing of ours ever runs.

    Raises:
        InputError: A node lacks a package or does not answer, does not see the folder or may not
            write to it.
    """
    others = _other_nodes(bundle)
    if not others:
        return
    # Beside the study, which is not there yet if it is a new one.
    folder = Path(directory.path()).parent if directory.is_local else None
    found = _asked(others, folder)
    if found.unable:
        expected = "nodes with what distill-tune imports installed, as its wheel installs it"
        raise InputError("--address", got=Text(_told(found.unable)), expected=expected)
    if found.blind:
        expected = (
            "a folder that every node of the cluster sees, or a URI such as s3:// "
            f"({_told(found.blind)})"
        )
        raise InputError("--storage", got=Text(repr(str(folder))), expected=expected)


def _told(reasons: dict[str, str]) -> str:
    return "; ".join(f"{address}: {why}" for address, why in reasons.items())


def _other_nodes(bundle: Mapping[str, float]) -> dict[str, str]:
    """Return the nodes that can hold a bundle, but this process's own: their ids and addresses."""
    own = ray.get_runtime_context().get_node_id()
    return {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in alive_nodes()
        if node["NodeID"] != own and fitting(bundle, [node["Resources"]], None) > 0
    }


def _asked(nodes: dict[str, str], folder: Path | None) -> _Found:
    """Ask the nodes, by their ids, about themselves and about a folder, if there is any to see."""
    if folder is None:
        return _answers(nodes, None)
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-by-all-{secrets.token_hex(8)}"
    mark.touch()
    try:
        return _answers(nodes, mark)
    finally:
        mark.unlink()


def _answers(nodes: dict[str, str], mark: Path | None) -> _Found:
    look = ray.remote(num_cpus=0, max_retries=0)(_obstacle)
    calls = {
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            str(mark) if mark else None
        ): address
        for node, address in nodes.items()
    }
    ready, late = ray.wait(list(calls), num_returns=len(calls), timeout=_PATIENCE_S)
    unable = {calls[call]: f"no answer within {_PATIENCE_S:.0f} s" for call in late}
    blind: dict[str, str] = {}
    for call in ready:
        try:
            why = ray.get(call)
        except ray.exceptions.RayError as error:
            unable[calls[call]] = in_a_line(cause_of(error))
        else:
            if why:
                blind[calls[call]] = why
    return _Found(unable, blind)


def _obstacle(mark: str | None) -> str:
    """Return what keeps this node from using the folder of a mark; empty: nothing."""
    for name in _IMPORTED:
        importlib.import_module(name)
    if mark is None:
        return ""
    own = Path(mark).with_name(f"{Path(mark).name}-{secrets.token_hex(8)}")
    try:
        if not Path(mark).exists():
            return "does not see it"
        own.touch()
        own.unlink()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
