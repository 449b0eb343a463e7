"""A real search by each sampler: each proposal is what the records of the trials before give."""

from pathlib import Path
from typing import get_args

import pytest

from distill_tune.records.directory import StudyDirectory
from distill_tune.study.opening import stored_study
from distill_tune.study.sections import SamplerName
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.tuner import make_sampler
from tests.commands import ONE_AT_A_TIME, inside, rows, write_space

pytestmark = pytest.mark.usefixtures("our_ray")

SHORT = ONE_AT_A_TIME.replace("min_epochs: 8", "min_epochs: 1").replace("{epochs: 9", "{epochs: 2")
# The others have nothing of their own between Ray and the sampler.
MARKS = {"gp": [], "grid": [pytest.mark.slow]}
LISTS = "  joint.margin: [0.1, 0.3]\n  joint.refresh: [1, 2]\n"


def text_of(sampler: SamplerName) -> str:
    text = SHORT.replace("search: {", f"search: {{sampler: {sampler}, ")
    if sampler != "grid":
        return text
    return f"{text[: text.index('  joint.margin:')]}{LISTS}{text[text.index('search:') :]}"


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(name, marks=MARKS.get(name, [pytest.mark.storm]))
        for name in get_args(SamplerName)
    ],
)
def test_a_search_proposes_what_its_records_give(sampler: SamplerName, tmp_path: Path) -> None:
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    said = inside(*write_space(tmp_path, text_of(sampler))).output
    assert ("sampler grid: 3 of 4 points are tried" in said) is (sampler == "grid")
    directory = StudyDirectory(str(tmp_path / "runs/tiny"))
    study, _ = stored_study(directory)
    assert study.search.sampler == sampler
    assert {row["state"] for row in rows(Path(directory.root), "trials.csv")} <= {
        "complete",
        "pruned",
    }
    past = Journal(directory, lambda *_: None).past_trials()
    assert [trial.number for trial in past] == [0, 1, 2]
    assert len({str(trial.raw) for trial in past}) == 3
    for number, trial in enumerate(past):
        again = make_sampler(study)
        again.replay(past[:number])
        again.suggest("next")
        assert again.raw("next") == trial.raw
