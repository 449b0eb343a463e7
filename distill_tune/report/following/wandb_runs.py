"""Weights & Biases as a destination: a run per trial, grouped by study."""

import os
from typing import Any

from distill_tune.report.following.destination import (
    FollowedRun,
    Notice,
    StudyIdentity,
    tracker_package,
)

_PROJECT = "distill-tune"


class WandbRuns:
    """Runs of a study in Weights & Biases.

    A run's id follows from the study and its name: sending it again continues it. ``WANDB_MODE``,
    ``WANDB_DIR`` and the other variables of W&B apply.

    Args:
        study: The study.
        address: ``PROJECT`` or ``ENTITY/PROJECT``; empty: ``WANDB_PROJECT`` or ``distill-tune``.
    """

    takes = "runs"

    def __init__(self, study: StudyIdentity, address: str) -> None:
        self._wandb = tracker_package("wandb")
        self._study = study
        entity, _, project = address.rpartition("/")
        self._entity = entity or None
        self._project = project or os.environ.get("WANDB_PROJECT") or _PROJECT
        self._open: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return f"wandb={self._entity or ''}/{self._project}"

    @property
    def title(self) -> str:
        return f"wandb, project {self._project}, group {self._study.name}"

    def send_run(self, run: FollowedRun) -> None:
        found = self._open.get(run.name) or self._opened(run)
        self._open[run.name] = found
        for row in run.rows:
            # A continued run refuses steps that it has.
            if row.step >= found.step:
                found.log(row.metrics, step=row.step)
        if run.end is None:
            return
        found.summary["state"] = run.end.status
        # A run that was repeated has the reason of its first end.
        if run.end.reason or found.summary.get("reason"):
            found.summary["reason"] = run.end.reason
        found.finish(exit_code=int(run.end.status == "failed"))
        del self._open[run.name]

    def send_notice(self, notice: Notice) -> None:
        raise NotImplementedError(notice)

    def close(self) -> None:
        for run in self._open.values():
            run.finish()
        self._open.clear()

    def _opened(self, run: FollowedRun) -> Any:
        # Nothing of this process is recorded: it computes nothing.
        settings = self._wandb.Settings(
            console="off", disable_git=True, disable_code=True, x_disable_stats=True, silent=True
        )
        return self._wandb.init(
            entity=self._entity,
            project=self._project,
            group=self._study.name,
            job_type=run.kind,
            id=f"{self._study.key}-{run.name}"[:128],
            name=run.name,
            config=run.params,
            resume="allow",
            reinit="create_new",
            settings=settings,
        )
