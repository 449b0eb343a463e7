"""What the scripts share besides the procedure: the first configuration, and what they print."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill_tune.interfaces import plain
from distill_tune.study.study import Study
from distill_tune.study.validation import get_path


def default_params(study: Study) -> dict[str, Any]:
    """Return the study's own values of what is searched: the first trial, as in our search."""
    template = plain(study.trial)
    return {path: get_path(template, path.split(".")) for path in study.space.dimensions}


def described(
    params: Mapping[str, Any], values: Sequence[float], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return a trial as JSON can hold it: an accuracy an epoch, the seconds of each stage."""
    return {"params": dict(params), "values": list(values), "seconds": dict(seconds)}
