"""Following a study: what its log records goes to a tracker or a webhook, each thing once."""

from collections.abc import Callable

from distill_tune.errors import InputError, Parameter
from distill_tune.report.following.destination import Destination, StudyIdentity
from distill_tune.report.following.mlflow_runs import MlflowRuns
from distill_tune.report.following.wandb_runs import WandbRuns
from distill_tune.report.following.webhook import Webhook

DESTINATIONS: dict[str, Callable[[StudyIdentity, str], Destination]] = {
    "wandb": WandbRuns,
    "mlflow": MlflowRuns,
    "webhook": Webhook,
}
"""Destinations by name; each takes the study and what stands after ``=``, which may be empty."""


def open_destination(to: str, study: StudyIdentity) -> Destination:
    """Open a destination, such as ``wandb``, ``mlflow=sqlite:///runs.db`` or ``webhook=URL``.

    Raises:
        InputError: There is no such destination, or its address is invalid.
        DistillTuneError: Its package is not installed.
    """
    kind, _, address = to.partition("=")
    if kind not in DESTINATIONS:
        expected = "wandb, wandb=ENTITY/PROJECT, mlflow, mlflow=URI or webhook=URL"
        raise InputError(Parameter("to"), got=to, expected=expected, choices=DESTINATIONS)
    return DESTINATIONS[kind](study, address)
