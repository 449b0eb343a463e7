"""Statistics of paired results, against scipy, numbers worked by hand, and made-up verdicts."""

import math
import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distill_tune.confirmation.evidence.statistics import (
    Compared,
    Gain,
    effect,
    gain,
    gain_words,
    holm,
    paired_gain,
    verdict,
)


def test_the_interval_is_students_and_worked_by_hand() -> None:
    found = gain([0.01, 0.02, 0.03])
    # sd 0.01, standard error 0.01 / sqrt(3), t(0.975; 2) = 4.3027
    assert found.mean == pytest.approx(0.02)
    assert found.spread == pytest.approx(0.01)
    assert found.low == pytest.approx(0.02 - 4.3027 * 0.01 / math.sqrt(3), abs=1e-6)
    assert found.high == pytest.approx(0.02 + 4.3027 * 0.01 / math.sqrt(3), abs=1e-6)
    assert found.p_value is not None
    assert found.p_value == pytest.approx(stats.ttest_1samp([0.01, 0.02, 0.03], 0).pvalue)
    assert found.p_mean_gain_positive == pytest.approx(1 - found.p_value / 2)


def test_pairs_are_those_of_seeds_that_both_have() -> None:
    found = paired_gain({1: 0.9, 2: 0.8, 3: 0.7, 5: 0.1}, {3: 0.6, 1: 0.5, 2: 0.7, 4: 0.0})
    assert found.num_pairs == 3
    assert found.mean == pytest.approx((0.4 + 0.1 + 0.1) / 3)


@pytest.mark.parametrize("differences", [[], [0.01], [0.01, 0.03]])
def test_fewer_than_three_seeds_have_no_interval(differences: list[float]) -> None:
    found = gain(differences)
    assert (found.low, found.high, found.p_mean_gain_positive, found.p_value) == (None,) * 4
    assert effect(found, found.p_value) == "no evidence"


@pytest.mark.parametrize("count", [5, 10, 20])
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "few test images"])
def test_the_interval_covers_as_often_as_it_says(count: int, kind: str) -> None:
    random = np.random.default_rng(0)
    size = (2000, count)
    draws = {
        "normal": random.normal(0.01, 0.02, size),
        "heavy tails": 0.01 + random.standard_t(4, size),
        "few test images": 0.01 + (random.binomial(100, 0.9, size) / 100 - 0.9),
    }
    found = [gain(one) for one in draws[kind].tolist()]
    covered = [one.low is None or one.low < 0.01 < (one.high or 0) for one in found]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_the_interval_excludes_zero_if_the_p_value_is_low() -> None:
    for one in np.random.default_rng(0).normal(0.5, 1, (200, 10)).tolist():
        found = gain(one)
        assert found.low is not None
        assert found.high is not None
        assert found.p_value is not None
        assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)


def test_arms_that_are_the_same_differ_by_nothing() -> None:
    found = gain([0.0] * 5)
    assert (found.low, found.high, found.spread, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert effect(found, found.p_value) == "no evidence"


@pytest.mark.parametrize("count", [3, 10])
def test_a_difference_that_is_the_same_on_every_seed_shows_nothing(count: int) -> None:
    found = gain([1 / 60] * count)
    assert (found.low, found.high, found.p_value, found.p_mean_gain_positive) == (None,) * 4
    assert effect(found, found.p_value) == "no evidence"
    words = f"+1.67 points, no interval as it is the same on every seed, n = {count}"
    assert gain_words(found, None, "accuracy") == words


def test_few_test_images_do_not_make_chance_look_like_an_effect() -> None:
    """Four arms like the method, three seeds, of which two of 60 test images tell them apart."""
    random, false = np.random.default_rng(0), 0
    for _ in range(2000):
        gains = [
            gain(((random.binomial(2, 0.5, 3) - random.binomial(2, 0.5, 3)) / 60).tolist())
            for _ in "1234"
        ]
        adjusted = holm([one.p_value for one in gains])
        shown = [effect(one, p) for one, p in zip(gains, adjusted, strict=True)]
        false += any(one != "no evidence" for one in shown)
    assert false <= 0.05 * 2000


def test_holm_worked_by_hand() -> None:
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 are 0.03, 0.06, 0.04; none below an earlier one.
    assert holm([0.04, None, 0.01, 0.03]) == pytest.approx([0.06, None, 0.03, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1) | st.none(), max_size=7))
def test_holm_is_the_closure_of_bonferroni(p_values: list[float | None]) -> None:
    """A hypothesis falls if all intersections with it do (Marcus, Peritz & Gabriel 1976)."""
    known = [index for index, value in enumerate(p_values) if value is not None]
    subsets = [chosen for size in range(1, len(known) + 1) for chosen in combinations(known, size)]

    def bonferroni(chosen: tuple[int, ...]) -> float:
        return min(1.0, len(chosen) * min(p_values[index] or 0.0 for index in chosen))

    expected = [
        None if value is None else max(bonferroni(one) for one in subsets if index in one)
        for index, value in enumerate(p_values)
    ]
    assert holm(p_values) == pytest.approx(expected)


def test_the_strongest_of_many_rivals_is_blamed_no_oftener_than_it_says() -> None:
    """Seven equal arms: picked for its mean, the best seems to beat the method too often."""
    draws = np.random.default_rng(0).normal(0.9, 0.01, (1000, 8, 6))
    naive = corrected = 0
    for method, *arms in draws:
        gains = [gain((method - arm).tolist()) for arm in arms]
        adjusted = holm([one.p_value for one in gains])
        strongest = int(np.argmax([arm.mean() for arm in arms]))
        naive += effect(gains[strongest], gains[strongest].p_value) == "harms"
        corrected += effect(gains[strongest], adjusted[strongest]) == "harms"
    # Of equal arms one in forty may be found better by mistake.
    assert naive > 3 * 25
    assert corrected < 25 + 10


def test_the_probability_is_that_of_the_mean_and_not_of_a_seed() -> None:
    # Six seeds in ten gain: the mean gain is almost surely above 0, the next seed's is not.
    draw = np.random.default_rng(1).normal(0.0025, 0.01, 400)
    found = gain(draw.tolist())
    assert found.p_mean_gain_positive is not None
    assert found.p_mean_gain_positive > 0.99
    assert np.mean(draw > 0) < 0.7


def test_a_gain_beside_zero_shows_nothing_once_several_were_looked_at() -> None:
    found = gain([0.01, 0.03, 0.02, 0.015])
    assert found.p_value is not None
    assert found.p_value < 0.05
    assert effect(found, found.p_value) == "helps"
    assert effect(found, 3 * found.p_value) == "no evidence"


def compared(what: str, differences: list[float]) -> Compared:
    found = gain(differences)
    return Compared(
        what, what.title(), found, found.p_value, effect(found, found.p_value), "accuracy"
    )


CLEAR = [0.02, 0.025, 0.018, 0.022, 0.021]
NOTHING = [0.01, -0.02, 0.015, -0.01, 0.0]
HARM = [-one for one in CLEAR]


@pytest.mark.parametrize(
    ("baseline", "rival", "verbs"),
    [
        (CLEAR, CLEAR, ("helps", "helps")),
        (CLEAR, NOTHING, ("helps", "is not shown to help")),
        (CLEAR, HARM, ("helps", "harms")),
        (NOTHING, CLEAR, ("is not shown to help", "helps")),
        (HARM, NOTHING, ("harms", "is not shown to help")),
        (CLEAR[:2], CLEAR[:2], ("is not shown to help", "is not shown to help")),
    ],
)
def test_a_verdict_follows_from_both_comparisons(
    baseline: list[float], rival: list[float], verbs: tuple[str, str]
) -> None:
    known = [compared("the baseline", baseline), compared("its rival", rival)]
    said = verdict(known, [], "GAN distillation")
    clauses = said.removeprefix("GAN distillation ").split(" and ")
    for clause, differences, verb in zip(clauses, (baseline, rival), verbs, strict=True):
        assert clause.partition(" against ")[0] == verb
        assert f"{100 * np.mean(differences):+.2f} points" in clause
        assert f"n = {len(differences)}" in clause
        assert ("no interval" in clause) == (len(differences) < 3)


def test_a_verdict_says_what_there_is_no_comparison_with() -> None:
    missing = "no rival arm was run"
    said = verdict([compared("the baseline", CLEAR)], [missing], "GAN distillation")
    assert said.startswith("GAN distillation helps against the baseline (")
    assert said.endswith(f"); {missing}")
    assert verdict([], ["no baseline was run", missing], "It") == f"no baseline was run; {missing}"


def test_an_interval_is_shown_in_points() -> None:
    said = verdict([compared("the baseline", CLEAR)], [], "GAN distillation")
    match = re.search(r"95 %: ([+-][\d.]+) to ([+-][\d.]+), Holm's p <0.001, n = 5", said)
    assert match
    found: Gain = gain(CLEAR)
    assert [float(part) for part in match.groups()] == pytest.approx(
        [100 * (found.low or 0), 100 * (found.high or 0)], abs=0.006
    )
