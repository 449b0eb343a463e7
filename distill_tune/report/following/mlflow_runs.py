"""MLflow as a destination: a run per trial, in an experiment of the study's name."""

from typing import Any

from distill_tune.errors import InputError, Parameter, one_line
from distill_tune.report.following.destination import (
    FollowedRun,
    Notice,
    Row,
    StudyIdentity,
    tracker_package,
)

_KEY = "distill_tune.run"
_MOST_PARAMS, _MOST_METRICS, _LONGEST = 100, 1000, 500
"""Limits of MLflow on one call, and on the text of a param."""


class MlflowRuns:
    """Runs of a study in MLflow.

    A run carries a tag that names it, so that it is found again, and what it holds is not sent
    twice even if the memory was lost.

    Args:
        study: The study.
        address: Tracking URI; empty: MLflow's own default, such as ``MLFLOW_TRACKING_URI``.

    Raises:
        InputError: MLflow cannot open it.
    """

    takes = "runs"

    def __init__(self, study: StudyIdentity, address: str) -> None:
        mlflow = tracker_package("mlflow")
        self._entities = mlflow.entities
        self._study = study
        self._uri = address or str(mlflow.get_tracking_uri())
        try:
            self._client: Any = mlflow.MlflowClient(tracking_uri=self._uri)
        except Exception as error:
            # MLflow has errors of its own, and those of each kind of store.
            expected = f"a tracking URI that MLflow can open ({one_line(str(error))})"
            raise InputError(Parameter("to"), got=self.address, expected=expected) from error
        self._experiment = ""
        self._known: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return f"mlflow={self._uri}"

    @property
    def title(self) -> str:
        return f"mlflow, experiment {self._study.name}"

    def send_run(self, run: FollowedRun) -> None:
        found = self._known.get(run.name) or self._found(run) or self._created(run)
        self._known[run.name] = found
        last = self._last_step(found.info.run_id)
        for row in run.rows:
            if row.step > last:
                self._send_row(found.info.run_id, row)
        if run.end is None or run.end.status == "interrupted":
            status = "RUNNING" if run.end is None else "KILLED"
            self._client.update_run(found.info.run_id, status=status)
            return
        tags = {"state": run.end.status, "reason": run.end.reason, "detail": run.end.detail}
        known = self._client.get_run(found.info.run_id).data.tags
        for name, text in tags.items():
            # A run that was repeated has the reason of its first end.
            if text or f"distill_tune.{name}" in known:
                self._client.set_tag(found.info.run_id, f"distill_tune.{name}", text)
        status = "FAILED" if run.end.status == "failed" else "FINISHED"
        self._client.set_terminated(found.info.run_id, status, _ms(run.end.time))

    def send_notice(self, notice: Notice) -> None:
        raise NotImplementedError(notice)

    def close(self) -> None:
        """Do nothing: every call has waited for its answer."""

    def _key(self, run: FollowedRun) -> str:
        return f"{self._study.key}/{run.name}"

    def _experiment_id(self) -> str:
        if not self._experiment:
            found = self._client.get_experiment_by_name(self._study.name)
            self._experiment = (
                found.experiment_id if found else self._client.create_experiment(self._study.name)
            )
        return self._experiment

    def _found(self, run: FollowedRun) -> Any:
        wanted = f"tags.`{_KEY}` = '{self._key(run)}'"
        found = self._client.search_runs([self._experiment_id()], filter_string=wanted)
        return found[0] if found else None

    def _created(self, run: FollowedRun) -> Any:
        tags = {_KEY: self._key(run), "distill_tune.kind": run.kind}
        created = self._client.create_run(
            self._experiment_id(), _ms(run.started_at), tags=tags, run_name=run.name
        )
        params = [
            self._entities.Param(name, str(value)[:_LONGEST]) for name, value in run.params.items()
        ]
        for start in range(0, len(params), _MOST_PARAMS):
            batch = params[start : start + _MOST_PARAMS]
            self._client.log_batch(created.info.run_id, params=batch)
        return created

    def _last_step(self, run_id: str) -> int:
        """Return the last epoch that MLflow has of a run; -1 for none."""
        names = self._client.get_run(run_id).data.metrics
        history = self._client.get_metric_history(run_id, next(iter(names))) if names else ()
        return max((one.step for one in history), default=-1)

    def _send_row(self, run_id: str, row: Row) -> None:
        metrics = [
            self._entities.Metric(name, value, _ms(row.time), row.step)
            for name, value in row.metrics.items()
        ]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(run_id, metrics=metrics[start : start + _MOST_METRICS])


def _ms(seconds: float) -> int:
    return int(1000 * seconds)
