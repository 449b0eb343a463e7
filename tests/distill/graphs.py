"""CUDA graphs of a GAN's step, and what stands for them on a CPU: operations, recorded."""

import copy
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from distill_tune.distill.compute.fixed_buffers import FixedBuffers
from distill_tune.distill.gan_steps import GanTrainer

T = TypeVar("T")
CAPTURED = ("_train_discriminator", "_make", "_train_generator")
"""The parts of a GAN's step that compute, and neither draw nor ask the host."""
_REFUSED = {
    torch.Tag.data_dependent_output: "its result has to be on the host",
    torch.Tag.dynamic_output_shape: "the size of its result depends on values",
    torch.Tag.nondeterministic_seeded: "it draws random numbers",
}


class Graph(Protocol):
    """Work that is captured once, and replayed with other contents at the same addresses."""

    def capture(self, work: Callable[[], T]) -> T:
        """Do the work, keep it, and return its result, which each replay overwrites."""

    def replay(self) -> None:
        """Repeat what the device did."""


class RecordedGraph(TorchDispatchMode):
    """Stands for a CUDA graph on a CPU: repeats each operation at the addresses of its capture.

    As in a CUDA graph, whatever was not read from a tensor is repeated too: a number that the host
    gave, a branch that it took. What ends a capture on a GPU raises an error here.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls: list[tuple[Any, Any, Any, Any]] = []

    def capture(self, work: Callable[[], T]) -> T:
        with self:
            return work()

    @torch.no_grad()
    def replay(self) -> None:
        for operation, args, kwargs, before in self._calls:
            again = operation(*args, **kwargs)
            for old, new in zip(_tensors(before), _tensors(again), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        _refuse(func, args)
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self._calls.append((func, args, kwargs, result))
        return result


def _refuse(operation: Any, args: tuple[Any, ...]) -> None:
    """Raise an error for an operation that ends a capture on a GPU."""
    name = operation.overloadpacket.__name__
    reasons = [why for tag, why in _REFUSED.items() if tag in operation.tags]
    if name in {"index", "index_put", "index_put_"}:
        masks = [one for one in args[1] if one is not None and one.dtype == torch.bool]
        reasons = ["it waits for the number of indices of a mask"] if masks else []
    if name == "lift_fresh":
        reasons = ["it copies numbers from the host"]
    if reasons:
        raise AssertionError(f"{name} cannot be captured: {reasons[0]}")


class CudaGraph:
    """A CUDA graph of one stream and one pool of memory, as those of the same step share them.

    Args:
        stream: On which all of them are captured, after some steps on it without a capture.
        pool: Of their memory.
    """

    def __init__(self, stream: torch.cuda.Stream, pool: Any) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._stream, self._pool = stream, pool

    def capture(self, work: Callable[[], T]) -> T:
        with torch.cuda.graph(self._graph, pool=self._pool, stream=self._stream):
            result = work()
        # A capture only notes what is to be done.
        self._graph.replay()
        return result

    def replay(self) -> None:
        self._graph.replay()


class _Replayed:
    """A method that is captured at its first call; later ones ignore their arguments."""

    def __init__(self, method: Callable[..., Any], graph: Graph) -> None:
        self._method, self._graph = method, graph
        self._result: Any = None

    def __call__(self, *args: Any) -> Any:
        if self._result is None:
            self._result = self._graph.capture(lambda: self._method(*args))
        else:
            self._graph.replay()
        return self._result


def with_fixed_buffers(trainer: GanTrainer) -> GanTrainer:
    """Return a trainer that copies the input of each step to the same addresses."""
    found = copy.copy(trainer)
    vars(found)["_buffers"] = FixedBuffers(is_active=True)
    return found


def replaying(trainer: GanTrainer, new_graph: Callable[[], Graph]) -> GanTrainer:
    """Return a trainer whose next step is captured, and whose further ones are replayed.

    The losses of a step are overwritten by the next one.
    """
    found = copy.copy(trainer)
    for name in CAPTURED:
        vars(found)[name] = _Replayed(getattr(trainer, name), new_graph())
    return found


def _tensors(nested: Any) -> list[Tensor]:
    if isinstance(nested, Tensor):
        return [nested]
    if isinstance(nested, list | tuple):
        return [tensor for one in nested for tensor in _tensors(one)]
    return []
