"""Writer of a trial's checkpoints, limited to a small share of the trial's time.

A ResNet-50 with its optimiser and its best weights takes about 400 MB. Writing that after every
epoch of a few seconds would cost more than the epoch itself.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from distill_tune.training.checkpoints import delete_checkpoints, store_checkpoint

_BYTES_PER_S = 1e9
"""Bytes per second assumed for memory and disk before the first checkpoint is written."""


class CheckpointWriter:
    """Writer of one trial's checkpoints, in a thread of its own.

    A checkpoint costs the time for which it stops the trial, plus the CPU time of its thread. The
    next checkpoint waits until that cost is at most ``share`` of the time since.

    Args:
        root: The study directory or URI.
        trial: Name of the trial.
        share: Largest share of the trial's time, in (0, 1]; 1 = after every epoch.
    """

    def __init__(self, root: str, trial: str, share: float) -> None:
        self._root, self._trial, self._share = root, trial, share
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._cost_s: float | None = None
        self._written = 0
        self._since = time.monotonic()

    def offer(self, epoch: int, make: Callable[[], dict[str, Any]]) -> bool:
        """Write a checkpoint if one is due.

        Args:
            epoch: The epoch that it follows; its name.
            make: Returns its content, tensors and plain data only; copied before this method
                returns.

        Returns:
            Whether it is being written.

        Raises:
            Exception: The last checkpoint failed, such as with an OSError on a full disk.
        """
        if self._share >= 1:
            self.wait()
        if self._thread is not None and self._thread.is_alive():
            return False
        self.wait()
        if self._cost_s is None:
            self._cost_s = num_bytes(make()) / _BYTES_PER_S
        if time.monotonic() - self._since < self._cost_s * (1 / self._share - 1):
            return False
        began = time.perf_counter()
        copy = on_host(make())
        stood_s = time.perf_counter() - began
        self._thread = threading.Thread(target=self._write, args=(epoch, copy, stood_s))
        self._written = epoch
        self._thread.start()
        return True

    def save(self, epoch: int, make: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint now, unless it exists. Errors are ignored: an older one will do."""
        self.close()
        if epoch > self._written:
            with suppress(Exception):
                store_checkpoint(self._root, self._trial, epoch, make())

    def wait(self) -> None:
        """Wait for the checkpoint that is being written.

        Raises:
            Exception: Writing it failed.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def discard(self) -> None:
        """Delete the checkpoints of the trial, which has ended."""
        self.close()
        delete_checkpoints(self._root, self._trial)

    def close(self) -> None:
        """Wait for the checkpoint that is being written, and ignore its errors."""
        with suppress(Exception):
            self.wait()

    def _write(self, epoch: int, content: dict[str, Any], stood_s: float) -> None:
        began = time.thread_time()
        try:
            store_checkpoint(self._root, self._trial, epoch, content)
        except Exception as error:  # noqa: BLE001 - raised by the trial's next wait or offer
            self._error = error
        self._cost_s = stood_s + time.thread_time() - began
        self._since = time.monotonic()


def num_bytes(content: object) -> int:
    """Return the size of all tensors in nested dicts and lists, each counted once."""
    sizes: dict[int, int] = {}
    _walk(content, lambda tensor: sizes.setdefault(id(tensor), tensor.nbytes))
    return sum(sizes.values())


def on_host(content: dict[str, Any]) -> dict[str, Any]:
    """Return a copy in main memory that later training does not change.

    A tensor that occurs several times is copied once, so that it takes its space once when saved.
    """
    copies: dict[int, Tensor] = {}

    def copy(tensor: Tensor) -> Tensor:
        if id(tensor) not in copies:
            copies[id(tensor)] = tensor.detach().to("cpu", copy=True)
        return copies[id(tensor)]

    copied: dict[str, Any] = _walk(content, copy)
    return copied


def _walk(content: Any, change: Callable[[Tensor], Any]) -> Any:
    if isinstance(content, torch.Tensor):
        return change(content)
    if isinstance(content, dict):
        return type(content)((name, _walk(value, change)) for name, value in content.items())
    if isinstance(content, list | tuple):
        return type(content)(_walk(value, change) for value in content)
    return content
