"""What the figures of params say of studies whose answers are known."""

import re
from pathlib import Path

import pytest

from distill_tune.report.figures import (
    agreement,
    contour,
    failures,
    importances,
    parallel,
    slices,
)
from distill_tune.report.study_records import source
from tests.report.made_up import NAME, add, begin, make_study


def test_what_matters_comes_first_and_is_more_than_chance(tmp_path: Path) -> None:
    found = source(make_study(tmp_path, 300))
    info = importances.info(found, NAME)
    assert info is not None
    assert {row.param for row in info.rows[:2]} == {"margin", "synthetic_ratio"}
    assert sum(row.share for row in info.rows) == pytest.approx(1)
    beyond = {row.param: row.share > row.by_chance for row in info.rows}
    assert beyond == {"margin": True, "synthetic_ratio": True, "gan_lr": False, "pairing": False}
    # As Optuna says it; only full budgets are compared.
    assert info.num_complete == sum(t.status == "complete" for t in found.state.trials.values())
    assert re.search(r"Above chance: \w+, \w+\.", importances.words(info))


def test_what_does_not_matter_is_told_as_such(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    for number in range(24):
        params = {
            "joint.margin": 0.05 + 0.035 * (number * 7 % 24),
            "joint.synthetic_ratio": number / 12,
        }
        add(directory, number, [0.5 + (number * 5 % 24) / 100], "complete", params=params)
    info = importances.info(source(directory), NAME)
    assert info is not None
    # What never varied is not among them.
    assert {row.param for row in info.rows} == {"margin", "synthetic_ratio"}
    assert "None is above chance." in importances.words(info)


def test_the_map_is_made_of_complete_trials_and_blank_elsewhere(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    for number in range(25):
        margin, ratio = 0.05 + 0.4 * (number % 5) / 4, 1.0 * (number // 5) / 4
        value = 0.9 - (margin - 0.25) ** 2
        params = {"joint.margin": margin, "joint.synthetic_ratio": ratio}
        add(directory, number, [value], "complete", params=params)
    add(
        directory, 25, [0.99], "pruned", params={"joint.margin": 0.85, "joint.synthetic_ratio": 1.9}
    )
    info = contour.info(source(directory), NAME)
    assert info is not None
    assert (info.across.title, info.up.title, info.num_complete) == (
        "margin",
        "synthetic_ratio",
        25,
    )
    assert info.high < 0.9
    rows = info.levels
    assert rows[-1][-1] == -1
    # The middle of the tried half is best: a quarter of the way from the left.
    assert rows[5].index(5) in range(6, 12)
    assert "26 trials over a smoothed map of the 25 complete ones" in contour.words(info)


def test_failures_are_told_with_reason_and_place(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    for number in range(8):
        is_high = number >= 5
        params = {"joint.gan_lr": 1.5e-4 if is_high else 1e-6 * (number + 1)}
        reason = {"reason": "diverged", "detail": "loss nan"} if is_high else {}
        add(directory, number, [0.5], "failed" if is_high else "complete", params=params, **reason)
    add(directory, 8, [], "failed", reason="worker_lost", detail="killed")
    info = failures.info(source(directory), NAME)
    assert info is not None
    assert [(r.reason, r.is_infeasible, r.numbers) for r in info.reasons] == [
        ("diverged", True, (5, 6, 7)), ("worker_lost", False, (8,)),
    ]  # fmt: skip
    assert info.strips[0].apart == 1.0
    assert failures.words(info) == (
        "4 of 9 trials failed: diverged (caused by the params), trials 5, 6, 7: loss nan; "
        "worker_lost, trials 8: killed. The infeasible ones (crosses) differ most in margin: one "
        "of them is higher than one of the others (dots) with probability 1.00."
    )


def test_backbones_are_compared_by_what_both_have_tried(tmp_path: Path) -> None:
    directory = begin(tmp_path, ("resnet18", "alexnet"))
    for number in range(14):
        backbone = ("resnet18", "alexnet")[number % 2]
        which = number // 2
        # Nearly the same margins, and the same order, on both.
        params = {"joint.margin": 0.1 + 0.1 * which + 0.001 * (number % 2)}
        values = [0.1, 0.2, 0.5 + which / 100 - 0.2 * (number % 2)]
        add(directory, number, values, "pruned", backbone=backbone, params=params)
    add(directory, 14, [0.9], "pruned", params={"joint.margin": 0.1})
    info = agreement.info(source(directory))
    assert info is not None
    (pair,) = info.pairs
    assert [(a, b) for a, b, *_ in sorted(pair.values)] == [(n, n + 1) for n in range(0, 14, 2)]
    assert pair.agreement.rho == pytest.approx(1)
    assert agreement.words(info).startswith(
        "resnet18 and alexnet: rho 1.00, n = 7 (no interval below 10). (Configurations that both"
    )
    assert agreement.words(info).endswith("compared by their values after epoch 3.)")


def test_backbones_with_little_in_common_are_not_compared(tmp_path: Path) -> None:
    found = source(make_study(tmp_path, 30, ("alexnet", "resnet18", "densenet121")))
    info = agreement.info(found)
    assert info is not None
    assert len(info.pairs) == 3
    assert "nothing to compare, n = 1 configurations in common" in agreement.words(info)


def test_slices_and_parallel_lines_have_every_trial_with_a_value(tmp_path: Path) -> None:
    found = source(make_study(tmp_path, 40))
    flat = slices.info(found, NAME)
    lines = parallel.info(found, NAME)
    assert flat is not None
    assert lines is not None
    count = sum(t.status in {"complete", "pruned"} for t in found.state.trials.values())
    assert len(flat.trials) == len(lines.trials) == count
    assert lines.num_top == -(-count // 4)
    assert lines.trials[-1].kind == "best"
    assert slices.draw(flat).count("<circle") == 4 * count
    assert parallel.draw(lines).count("<path") == count
    assert list(lines.axes) == [*found.axes, ""]
