"""Checks that a node of a cluster can run a trial and sees the study's folder."""

import importlib
import secrets
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distill_tune.cluster.failures.ray_errors import cause_of, in_a_line
from distill_tune.cluster.resources import Slots, alive_nodes, fitting
from distill_tune.distill.trial_config import Compute
from distill_tune.errors import InputError, Parameter, Text
from distill_tune.records.directory import StudyDirectory

PATIENCE_S = 180.0
"""Seconds that a node may take to import torch from a shared file system."""
_SEEN = ".seen-by-all-"
"""Prefix of the names of short-lived files."""
_IMPORTED = ("distill_tune.tuning.trainable", "torchvision.models")
"""Modules that a trial imports; the second only when it builds its backbone."""
_WITH_PACKAGES = "nodes with what distill-tune imports installed, as its wheel installs it"
_WITH_GPUS = (
    "GPUs that torch can use: with a newer driver, or with torch's wheels for an older version of "
    "CUDA, which PyTorch's own package index has; 0 = train on CPUs"
)


class Answer(NamedTuple):
    """Reasons why a node cannot work; each is empty if there is none.

    Attributes:
        unable: Why it cannot run what a trial runs.
        blind: Why it cannot use the study's folder.
        gpu: Why torch cannot use its GPU.
        compiler: What it lacks to compile.
    """

    unable: str = ""
    blind: str = ""
    gpu: str = ""
    compiler: str = ""

    def in_words(self, mark: Path | None) -> str:
        """Return the reason in a line; empty if there is none.

        Args:
            mark: The file that the node was asked for.
        """
        blind = f"{mark.parent}: {self.blind}" if mark and self.blind else ""
        return self.unable or blind or self.gpu or self.compiler


class _Needs(NamedTuple):
    """Needs of trials on a node, besides packages and the folder.

    Attributes:
        compute: How they compute.
        is_gpu: Whether they compute on a GPU.
    """

    compute: Compute
    is_gpu: bool


def check_nodes(directory: StudyDirectory, slots: Slots) -> None:
    """Check that every node that can get a trial can run it and sees the study.

    Each node imports what a trial imports. A trial on a node that does not see the study's folder
    would lose its checkpoints and end with an error of Ray's. An object store is visible to all
    nodes. The node of this process is only asked whether it can compute as the trials do on a GPU
    or compiled.

    Args:
        directory: The study's.
        slots: Of the trials; a node without room for one never gets work and is not checked.

    Raises:
        InputError: A node lacks a package or does not answer, does not see the folder or may not
            write to it, has a GPU that torch cannot use, or nothing to compile with.
    """
    nodes = _nodes(slots)
    if not nodes:
        return
    # The parent folder, as a new study's own folder does not exist yet.
    folder = Path(directory.path()).parent if directory.is_local else None
    answers = _answers(nodes, folder, slots)
    _refuse(Parameter("address"), answers, "unable", _WITH_PACKAGES)
    if blind := _reasons_text(answers, "blind"):
        expected = f"a folder that every node of the cluster sees, or a URI such as s3:// ({blind})"
        raise InputError(Parameter("storage"), got=Text(repr(str(folder))), expected=expected)
    _refuse("resources.gpus", answers, "gpu", _WITH_GPUS)
    _refuse("trial.compute.compile", answers, "compiler", "nodes with that, or false")


def _refuse(where: str, answers: dict[str, Answer], kind: str, expected: str) -> None:
    if reasons := _reasons_text(answers, kind):
        raise InputError(where, got=Text(reasons), expected=expected)


def _reasons_text(answers: dict[str, Answer], kind: str) -> str:
    reasons = {address: getattr(answer, kind) for address, answer in answers.items()}
    return "; ".join(f"{address}: {why}" for address, why in reasons.items() if why)


def _nodes(slots: Slots) -> dict[str, str]:
    """Return ids and addresses of the nodes to check."""
    own = ray.get_runtime_context().get_node_id()
    is_own_checked = "GPU" in slots.bundle or slots.compute.compile
    return {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in alive_nodes()
        if node["NodeID"] != own or is_own_checked
        if fitting(slots.bundle, [node["Resources"]], None) > 0
    }


def _answers(nodes: dict[str, str], folder: Path | None, slots: Slots) -> dict[str, Answer]:
    """Ask nodes, by their ids, about themselves and about a folder, if there is one to see.

    Returns:
        Each node's address to its answer.
    """
    if folder is None:
        return _collect_answers(nodes, None, slots)
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f"{_SEEN}{secrets.token_hex(8)}"
    mark.touch()
    try:
        return _collect_answers(nodes, mark, slots)
    finally:
        mark.unlink()


def _collect_answers(nodes: dict[str, str], mark: Path | None, slots: Slots) -> dict[str, Answer]:
    calls = {ask(node, mark, slots): address for node, address in nodes.items()}
    ready, late = ray.wait(list(calls), num_returns=len(calls), timeout=PATIENCE_S)
    no_answer = Answer(unable=f"no answer within {PATIENCE_S:.0f} s")
    answers = {calls[call]: no_answer for call in late}
    return answers | {calls[call]: answer(call) for call in ready}


def on_node(node: str) -> dict[str, Any]:
    """Return the options that bind a task to a node, by its id."""
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def ask(node: str, mark: Path | None, slots: Slots) -> Any:
    """Ask a node whether it can run trials.

    It does not wait for a free GPU, as others may use them for hours.

    Args:
        node: Its id.
        mark: A file in the folder that the node must see and be able to write to; None = there is
            no folder.
        slots: Of the trials.

    Returns:
        A Ray call, for :func:`answer` once it is ready.
    """
    needs = _Needs(slots.compute, "GPU" in slots.bundle)
    # A process that has used a GPU holds some of its memory until it ends.
    most = 1 if needs.is_gpu else 0
    task = ray.remote(num_cpus=0, max_retries=0, max_calls=most)(_answer_here)
    return task.options(**on_node(node)).remote(mark, needs)


def answer(call: Any) -> Answer:
    """Return a node's answer."""
    try:
        found: Answer = ray.get(call)
    except ray.exceptions.RayError as error:
        return Answer(unable=in_a_line(cause_of(error)))
    return found


def _answer_here(mark: Path | None, needs: _Needs) -> Answer:
    for name in _IMPORTED:
        importlib.import_module(name)
    from distill_tune.cluster.compute_check import compiler_obstacle, gpu_obstacle

    return Answer(
        blind=_blindness(mark) if mark else "",
        gpu=gpu_obstacle(needs.compute) if needs.is_gpu else "",
        compiler=compiler_obstacle(needs.compute, is_gpu=needs.is_gpu),
    )


def _blindness(mark: Path) -> str:
    """Return what keeps this node from using the folder of a mark; empty if nothing does."""
    own = mark.with_name(f"{_SEEN}{secrets.token_hex(8)}")
    try:
        if not mark.exists():
            return "does not see it"
        own.touch()
        own.unlink()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
