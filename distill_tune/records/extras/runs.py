"""Runs of a search beside its trials in words and numbers: what the best trial must beat."""

import math
from dataclasses import dataclass
from typing import Any

from distill_tune.records.extras.quoted import quoted
from distill_tune.records.trials import STAGE_ONE_OBJECTIVE, StudyState, TrialRecord, best


@dataclass(frozen=True)
class ExtraRecord:
    """A run of a search beside its trials, as recorded in the log.

    Attributes:
        kind: ``control``: an arm with the fields and the seed of the study.
        arm: Name of the arm, such as ``equal_steps``.
        words: The arm in a sentence.
        seed: Seed of the run.
        trial: Number of the trial whose params it has; None for those of the study.
        run: Its epochs and its end; the number is -1.
    """

    kind: str
    arm: str
    words: str
    seed: int
    trial: int | None
    run: TrialRecord

    @property
    def value(self) -> float | None:
        """Its highest finite objective of any epoch; None if there is none."""
        return self.run.value

    @property
    def stage_one(self) -> float | None:
        """Best objective of stage 1 alone; None if it is not recorded."""
        value = self.run.history.get(1, {}).get(STAGE_ONE_OBJECTIVE, math.nan)
        return value if math.isfinite(value) else None


Controls = dict[str, dict[str, ExtraRecord]]
"""Backbone -> arm -> its record."""


def controls(state: StudyState) -> Controls:
    """Return the controls of every backbone that was tried, in the order of their starts."""
    found: Controls = {name: {} for name in state.backbones}
    # Further seeds, which are higher than the search's, only tell the noise.
    records = sorted(state.extras.values(), key=lambda record: -record.seed)
    for record in records:
        if record.kind == "control":
            found.setdefault(record.run.backbone, {})[record.arm] = record
    return found


def stage_one(state: StudyState, backbone: str) -> float | None:
    """Return the best objective of the classifier's stage alone; None if no control recorded it."""
    values = (record.stage_one for record in controls(state).get(backbone, {}).values())
    return max((value for value in values if value is not None), default=None)


def control_json(record: ExtraRecord) -> dict[str, Any]:
    """Return a control as plain data."""
    run = record.run
    found = {"name": run.name, "status": run.status, "reason": run.reason, "value": run.value}
    found |= {"stage_one": record.stage_one, "epochs": run.epochs, "seed": record.seed}
    return found | {"seconds": run.seconds}


def comparison(state: StudyState, backbone: str) -> str:
    """Return a backbone's best value beside its controls, in words; empty without controls."""
    records = controls(state).get(backbone, {})
    if not records:
        return ""
    winner = best(state, backbone)
    parts = ["no value yet" if winner is None else f"best {quoted(state, winner).sentence}"]
    parts += [f"{record.words} {_outcome(record)}" for record in records.values()]
    alone = stage_one(state, backbone)
    if alone is not None and "baseline" not in records:
        parts.append(f"stage 1 alone {_shown(alone)}")
    return ", ".join(parts)


def comparison_lines(state: StudyState) -> list[str]:
    """Return the comparison of every backbone that has controls, one line each."""
    several = len(state.backbones) > 1
    found = ((name, comparison(state, name)) for name in state.backbones)
    return [f"{name}: {text}" if several else text for name, text in found if text]


def _outcome(record: ExtraRecord) -> str:
    run = record.run
    shown = _shown(run.value)
    return shown if run.status == "complete" else f"{shown} ({run.reason or run.status})"


def _shown(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:#.4g}"
