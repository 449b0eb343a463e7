"""The driver's part in the checkpoints that Ray makes of trials."""

from typing import Any

from ray import tune

from distill_tune.training.checkpoints.folders import delete_older
from distill_tune.tuning.sampling.proposals import trial_name


class SavingCallback(tune.Callback):
    """Callback that saves no trial in vain, and keeps the last two checkpoints of all sessions.

    Args:
        root: The study directory or URI.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    def on_trial_result(self, **info: Any) -> None:  # type: ignore[override]
        if info["result"].get("done"):
            # The trial ends here, be it at a rung.
            info["result"]["should_checkpoint"] = False

    def on_trial_save(self, **info: Any) -> None:  # type: ignore[override]
        # Ray has kept two of this session: those of earlier ones are of no more use.
        delete_older(self._root, trial_name(info["trial"].config))
