"""What a checkpoint leaves out: the weights of F_ref, if the study holds them in a shared stage."""

from typing import Any

import torch

from distill_tune.distill.metrics.best_weights import StateDict
from distill_tune.training.stage_store import StageStore

_PARTS = ("reference", "snapshot")


class SharedState:
    """The part of a trial's state that its study holds.

    Args:
        store: The study's shared stages; None: there are none.
        key: Key of the classifier's stage that the trial adopted; empty: it adopted none.
    """

    def __init__(self, store: StageStore | None, key: str = "") -> None:
        self._store, self.key = store, key

    def without(self, state: StateDict) -> StateDict:
        """Return a trial's state without F_ref, and without Fs as long as that is the same."""
        if not self.key:
            return state
        reference = state["reference"]
        same = [part for part in _PARTS if state[part] is reference]
        return {**state, **dict.fromkeys(same)}

    def whole(self, state: Any, device: torch.device) -> Any:
        """Return the whole state again.

        Raises:
            ValueError: The stage is missing or damaged.
        """
        if not self.key:
            return state
        held = None
        # A key from a file must not lead elsewhere.
        if self._store is not None and self.key.isalnum():
            held = self._store.read_key("classifier", self.key, device)
        if held is None:
            raise ValueError(f"the shared stage classifier-{self.key} is missing")
        weights = held["product"]["weights"]
        return {**state, **{part: weights for part in _PARTS if state[part] is None}}
