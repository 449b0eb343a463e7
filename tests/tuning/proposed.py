"""Comparison of a search's proposals with those of its sampler after the same records."""

from pathlib import Path

from distill_tune.records.directory import StudyDirectory
from distill_tune.study.opening import stored_study
from distill_tune.study.sections import SamplerName
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.tuner import make_sampler


def assert_proposals_follow_from_records(
    folder: Path, sampler: SamplerName, num_trials: int
) -> None:
    """Check each proposal of a finished study; no two of them are equal."""
    directory = StudyDirectory(str(folder))
    study, _ = stored_study(directory)
    assert study.search.sampler == sampler
    past = Journal(directory, lambda *_: None).past_trials()
    assert [trial.number for trial in past] == list(range(num_trials))
    assert len({str(trial.raw) for trial in past}) == num_trials
    for number, trial in enumerate(past):
        again = make_sampler(study)
        again.replay(past[:number])
        again.suggest("next")
        assert again.raw("next") == trial.raw
