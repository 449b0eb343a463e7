"""Time spent in each stage, and time saved by sharing stages."""

from typing import NamedTuple

from markupsafe import Markup

from distill_tune.records.formatting import duration
from distill_tune.records.status import is_of_search
from distill_tune.report.drawing import Bar, bars
from distill_tune.report.study_records import Source, spent_s

TITLE = "Where the time went"


class StageTime(NamedTuple):
    """Time spent in a stage.

    Attributes:
        name: Name of the stage: ``joint``, ``warmup (shared)``, ``classifier/resnet50 (shared)``...
        seconds: Computing time: by all trials together, or once for a shared stage.
        trials: Number of trials that computed the stage or took it over.
        saved_s: Seconds saved by sharing; 0 if every trial computed the stage itself.
    """

    name: str
    seconds: float
    trials: int
    saved_s: float


class StageTimes(NamedTuple):
    """Times of all stages of a search, without those of a confirmation."""

    rows: tuple[StageTime, ...]

    @property
    def saved_s(self) -> float:
        """Seconds that sharing saved."""
        return sum(row.saved_s for row in self.rows)


def info(source: Source) -> StageTimes | None:
    """Return the times of a study's stages; None before anything was computed."""
    own: dict[str, list[float]] = {}
    for trial in source.state.trials.values():
        for stage, seconds in trial.seconds.items():
            own.setdefault(stage, []).append(seconds)
    rows = [StageTime(name, sum(found), len(found), 0.0) for name, found in own.items()]
    rows += [
        StageTime(f"{stage.name} (shared)", spent_s(stage), stage.hits, max(0.0, stage.saved_s))
        for stage in source.status.stages
        if is_of_search(stage.name)
    ]
    return StageTimes(tuple(rows)) if rows else None


def draw(found: StageTimes) -> Markup:
    """Draw a bar for each stage."""
    longest = max(row.seconds for row in found.rows) or 1.0
    return bars(
        Bar(row.name, min(1.0, max(0.0, row.seconds / longest)), _row_words(row))
        for row in found.rows
    )


def _row_words(row: StageTime) -> str:
    saved = f", saved {duration(row.saved_s)}" if row.saved_s > 0 else ""
    return f"{duration(row.seconds)}, {row.trials} trials{saved}"


def words(found: StageTimes) -> str:
    """Return in words what the figure shows."""
    listed = "; ".join(f"{row.name} {_row_words(row)}" for row in found.rows)
    total = duration(sum(row.seconds for row in found.rows))
    return f"{total} in all stages together: {listed}. Sharing saved {duration(found.saved_s)}."
