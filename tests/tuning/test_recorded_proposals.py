"""TPE proposes what was recorded when Ray's ``OptunaSearch`` stood between it and us."""

import pytest

from tests.tuning.plans import SPACE
from tests.tuning.scripted_search import CASES, Case, Search, recorded, scripted_plan, status_of


@pytest.mark.parametrize(("case", "expected"), list(zip(CASES, recorded(), strict=True)))
def test_tpe_proposes_what_was_recorded(case: Case, expected: list[dict[str, float]]) -> None:
    got = case.run()
    assert len(got) == len(expected)
    for number, point in enumerate(got):
        assert point == pytest.approx(expected[number], rel=1e-9), f"trial {number}"


def test_the_recorded_searches_have_every_kind_of_trial() -> None:
    search = Search(scripted_plan(0, 2))
    search.run()
    history = search.sampler.history()
    assert [past.status for past in history] == [status_of(past.number) for past in history]
    assert {past.status for past in history} == {"complete", "pruned", "failed"}
    assert {past.infeasible for past in history if past.status == "failed"} == {True, False}
    # The warm start comes first, then the defaults; what they leave out is sampled.
    own = [past.raw for past in history if past.backbone == "resnet50"]
    assert [point["gan.steps"] for point in own[:1]] == [2]
    assert own[1]["joint.refresh"] == 5
    assert own[2]["joint.margin"] == 0.3
    assert all(set(point) == set(SPACE) for point in own)
