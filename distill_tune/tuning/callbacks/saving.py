"""The driver's part in the checkpoints that Ray makes of trials."""

import threading
from collections import Counter
from pathlib import Path
from typing import Any

from ray import tune

from distill_tune.records.files.storage import storage_at
from distill_tune.training.checkpoints.content import flush
from distill_tune.training.checkpoints.folders import KEPT, delete_older
from distill_tune.tuning.sampling.proposals import trial_name


class SavingCallback(tune.Callback):
    """Callback that saves no trial in vain, and keeps the last two checkpoints of all sessions.

    Args:
        root: The study directory or URI.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._saves: Counter[str] = Counter()

    def on_trial_result(self, **info: Any) -> None:  # type: ignore[override]
        if info["result"].get("done"):
            # The trial ends here, be it at a rung.
            info["result"]["should_checkpoint"] = False

    def on_trial_save(self, **info: Any) -> None:  # type: ignore[override]
        checkpoint, name = info["trial"].checkpoint, trial_name(info["trial"].config)
        if checkpoint is not None and storage_at(self._root).is_local:
            # Ray does not, and has deleted those before the last two.
            threading.Thread(target=flush, args=(Path(checkpoint.path),), daemon=True).start()
        self._saves[name] += 1
        # Ray sees to those of this session; when it has made two, none of an earlier one is left.
        if self._saves[name] <= KEPT:
            delete_older(self._root, name)
