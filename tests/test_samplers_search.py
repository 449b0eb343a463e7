"""A real search by each sampler: each proposal is what the records of the trials before give.

``test_kill_once.py``, which is in the default run, searches by ``gp``.
"""

from pathlib import Path
from typing import get_args

import pytest

from distill_tune.study.sections import SamplerName
from tests.commands import ONE_AT_A_TIME, inside, rows, write_space
from tests.tuning.proposed import assert_proposals_follow_from_records

pytestmark = [pytest.mark.storm, pytest.mark.usefixtures("our_ray")]

SHORT = ONE_AT_A_TIME.replace("min_epochs: 8", "min_epochs: 1").replace("{epochs: 9", "{epochs: 2")
LISTS = "  joint.margin: [0.1, 0.3]\n  joint.refresh: [1, 2]\n"


def text_of(sampler: SamplerName) -> str:
    text = SHORT.replace("search: {", f"search: {{sampler: {sampler}, ")
    if sampler != "grid":
        return text
    return f"{text[: text.index('  joint.margin:')]}{LISTS}{text[text.index('search:') :]}"


@pytest.mark.parametrize("sampler", get_args(SamplerName))
def test_a_search_proposes_what_its_records_give(sampler: SamplerName, tmp_path: Path) -> None:
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    said = inside(*write_space(tmp_path, text_of(sampler))).output
    assert ("sampler grid: 3 of 4 points are tried" in said) is (sampler == "grid")
    study = tmp_path / "runs/tiny"
    assert {row["state"] for row in rows(study, "trials.csv")} <= {"complete", "pruned"}
    assert_proposals_follow_from_records(study, sampler, 3)
