"""Checks that a node of a cluster can run a trial and sees the study's folder."""

import importlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distill_tune.cluster.failures.ray_errors import cause_of, in_a_line
from distill_tune.cluster.resources import alive_nodes, fitting
from distill_tune.errors import InputError, Parameter, Text
from distill_tune.records.directory import StudyDirectory

PATIENCE_S = 180.0
"""Seconds that a node may take to import torch from a shared file system."""
_SEEN = ".seen-by-all-"
"""Prefix of the names of short-lived files."""
_IMPORTED = ("distill_tune.tuning.trainable", "torchvision.models")
"""Modules that a trial imports; the second only when it builds its backbone."""


class Answer(NamedTuple):
    """Reasons why a node cannot work; each is empty if there is none.

    Attributes:
        unable: Why it cannot run what a trial runs.
        blind: Why it cannot use the study's folder.
    """

    unable: str = ""
    blind: str = ""

    def in_words(self, mark: Path | None) -> str:
        """Return the reason in a line; empty if there is none.

        Args:
            mark: The file that the node was asked for.
        """
        return self.unable or (f"{mark.parent}: {self.blind}" if mark and self.blind else "")


def check_nodes(directory: StudyDirectory, bundle: Mapping[str, float]) -> None:
    """Check that every other node that can get a trial can run it and sees the study.

    Each node imports what a trial imports. A trial on a node that does not see the study's folder
    would lose its checkpoints and end with an error of Ray's. An object store is visible to all
    nodes.

    Args:
        directory: The study's.
        bundle: A trial's resources; a node that lacks them never gets work and is not checked.

    Raises:
        InputError: A node lacks a package or does not answer, does not see the folder or may not
            write to it.
    """
    others = _other_nodes(bundle)
    if not others:
        return
    # The parent folder, as a new study's own folder does not exist yet.
    folder = Path(directory.path()).parent if directory.is_local else None
    answers = _answers(others, folder)
    if unable := _reasons_text({address: answer.unable for address, answer in answers.items()}):
        expected = "nodes with what distill-tune imports installed, as its wheel installs it"
        raise InputError(Parameter("address"), got=Text(unable), expected=expected)
    if blind := _reasons_text({address: answer.blind for address, answer in answers.items()}):
        expected = f"a folder that every node of the cluster sees, or a URI such as s3:// ({blind})"
        raise InputError(Parameter("storage"), got=Text(repr(str(folder))), expected=expected)


def _reasons_text(reasons: dict[str, str]) -> str:
    return "; ".join(f"{address}: {why}" for address, why in reasons.items() if why)


def _other_nodes(bundle: Mapping[str, float]) -> dict[str, str]:
    """Return ids and addresses of the nodes that can hold a bundle, except this process's own."""
    own = ray.get_runtime_context().get_node_id()
    return {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in alive_nodes()
        if node["NodeID"] != own and fitting(bundle, [node["Resources"]], None) > 0
    }


def _answers(nodes: dict[str, str], folder: Path | None) -> dict[str, Answer]:
    """Ask nodes, by their ids, about themselves and about a folder, if there is one to see.

    Returns:
        Each node's address to its answer.
    """
    if folder is None:
        return _collect_answers(nodes, None)
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f"{_SEEN}{secrets.token_hex(8)}"
    mark.touch()
    try:
        return _collect_answers(nodes, mark)
    finally:
        mark.unlink()


def _collect_answers(nodes: dict[str, str], mark: Path | None) -> dict[str, Answer]:
    calls = {ask(node, mark): address for node, address in nodes.items()}
    ready, late = ray.wait(list(calls), num_returns=len(calls), timeout=PATIENCE_S)
    no_answer = Answer(unable=f"no answer within {PATIENCE_S:.0f} s")
    answers = {calls[call]: no_answer for call in late}
    return answers | {calls[call]: answer(call) for call in ready}


def on_node(node: str) -> dict[str, Any]:
    """Return the options that bind a task to a node, by its id."""
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def ask(node: str, mark: Path | None) -> Any:
    """Ask a node whether it can run trials.

    Args:
        node: Its id.
        mark: A file in the folder that the node must see and be able to write to; None = there is
            no folder.

    Returns:
        A Ray call, for :func:`answer` once it is ready.
    """
    task = ray.remote(num_cpus=0, max_retries=0)(_obstacle)
    return task.options(**on_node(node)).remote(mark)


def answer(call: Any) -> Answer:
    """Return a node's answer."""
    try:
        return Answer(blind=ray.get(call))
    except ray.exceptions.RayError as error:
        return Answer(unable=in_a_line(cause_of(error)))


def _obstacle(mark: Path | None) -> str:
    """Return what keeps this node from using the folder of a mark; empty if nothing does."""
    for name in _IMPORTED:
        importlib.import_module(name)
    if mark is None:
        return ""
    own = mark.with_name(f"{_SEEN}{secrets.token_hex(8)}")
    try:
        if not mark.exists():
            return "does not see it"
        own.touch()
        own.unlink()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
