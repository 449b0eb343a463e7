"""Records of trials and of extra runs: their starts, epochs and ends as events of the study."""

from typing import Any

from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.extra_runs import arm_of, is_extra
from distill_tune.study.study import Study
from distill_tune.training.checkpoints.folders import delete_checkpoints
from distill_tune.training.kept_models import keep_best_models
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.sampling.distributions import Raw
from distill_tune.tuning.sampling.proposals import trial_name


class RunRecords:
    """Writer of the events of trials and extra runs.

    Args:
        journal: Where events go.
        study: Says when a trial is complete, and how many models are kept.
    """

    def __init__(self, journal: Journal, study: Study) -> None:
        self._journal, self._study = journal, study

    def start(self, config: dict[str, Any], raw: dict[str, Raw]) -> None:
        """Record the start of a trial, or that it goes on.

        Args:
            config: The trial's configuration.
            raw: The raw values of its params; of an extra run, none.
        """
        common = {"name": trial_name(config), "backbone": config["backbone"]}
        common |= {"params": config["params"]}
        if is_extra(config):
            extra = config["extra"] | {"words": arm_of(config).phrase}
            self._journal.emit("extra_started", **(extra | common))
        else:
            self._journal.emit("trial_started", trial=config["number"], **common, raw=raw)

    def adopted(self, config: dict[str, Any], keys: list[str]) -> None:
        """Record the shared stages that a trial has adopted."""
        if keys and not is_extra(config):
            self._journal.emit("stages_adopted", trial=config["number"], keys=keys)

    def epoch(self, config: dict[str, Any], result: dict[str, Any]) -> None:
        """Record an epoch."""
        metrics = {OBJECTIVE: result[OBJECTIVE], **result["metrics"]}
        fields = {"epoch": result["epoch"], "metrics": metrics}
        fields |= {"node": result["node_ip"]} if "node_ip" in result else {}
        if is_extra(config):
            self._journal.emit("extra_epoch", name=trial_name(config), **fields)
        else:
            self._journal.emit("epoch", trial=config["number"], **fields)

    def outcome(self, config: dict[str, Any], result: dict[str, Any]) -> tuple[str, str, str]:
        """Return status, reason and detail of a trial whose last result this is."""
        if result.get("failure"):
            return "failed", result["failure"], result.get("detail", "")
        if is_extra(config) or result["epoch"] >= self._study.max_epochs:
            return "complete", "", ""
        detail = f"too far below the others at the rung of epoch {result['epoch']}"
        return "pruned", f"rung {result['epoch']}", detail

    def end(self, config: dict[str, Any], status: str, reason: str, detail: str) -> None:
        """Record the end of a trial, and delete what it no longer needs."""
        journal, name = self._journal, trial_name(config)
        if is_extra(config):
            journal.emit("extra_ended", name=name, status=status, reason=reason, detail=detail)
        else:
            number = config["number"]
            journal.end_trial(number, name, status=status, reason=reason, detail=detail)
        root = journal.directory
        delete_checkpoints(root.root, name)
        keep_best_models(root, journal.state, self._study.search.num_kept)
