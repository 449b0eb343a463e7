"""From a log of made-up paired results to tables, verdicts and remarks."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from rich.console import Console

from distill_tune.confirmation.evidence.arm_evidence import ArmEvidence
from distill_tune.confirmation.evidence.findings import BackboneEvidence, Confirmation, Progress
from distill_tune.confirmation.evidence.statistics import holm
from distill_tune.confirmation.evidence.summary import confirmation
from distill_tune.confirmation.evidence.tables import arms_rows, as_json, markdown
from distill_tune.interfaces import INFEASIBLE
from distill_tune.records.confirm_log import (
    CHOSEN,
    ENDED,
    PLANNED,
    READING,
    RUN,
    STARTED,
    next_reading,
    run_records,
    runs_csv,
)
from distill_tune.records.trials import Event
from distill_tune.records.words.metric_names import on_validation, title
from distill_tune.report.tables import confirmation_tables
from distill_tune.terminal.confirmation_tables import confirmation_view

Accuracies = Mapping[str, Sequence[float | None]]

ROLES = {
    "baseline": ("Baseline", "baseline"),
    "equal_steps": ("Baseline, equal steps", "baseline"),
    "hard_oversampling": ("Hard oversampling", "rival"),
    "gan_augmentation": ("GAN augmentation", "rival"),
    "gan_distillation": ("GAN distillation", "method"),
    "strong_distillation": ("Distillation + strong augmentation", "combination"),
}
BASE = [0.70, 0.72, 0.71, 0.69, 0.73]
CLEAR: Accuracies = {
    "baseline": BASE,
    "equal_steps": [one + 0.01 for one in BASE],
    "hard_oversampling": [0.70, 0.71, 0.72, 0.70, 0.71],
    "gan_augmentation": [0.725, 0.745, 0.731, 0.716, 0.752],
    "gan_distillation": [0.751, 0.768, 0.762, 0.744, 0.779],
    "strong_distillation": [0.80, 0.81, 0.80, 0.79, 0.82],
}


def run(
    backbone: str, arm: str, seed: int, accuracy: float | None, **fields: Any
) -> dict[str, Any]:
    title, role = ROLES[arm]
    failed = accuracy is None
    return {
        "event": RUN,
        "name": f"confirm-{backbone}-{arm}-seed{seed}",
        "phase": "evidence",
        "backbone": backbone,
        "arm": arm,
        "title": title,
        "role": role,
        "trial": 4,
        "key": f"{arm}-key",
        "seed": seed,
        "is_tuned": False,
        "status": "failed" if failed else "complete",
        "reason": "diverged" if failed else "",
        "detail": "",
        "value": None if failed else 0.6,
        "test": {} if failed else {"accuracy": accuracy, "balanced_accuracy": 0.5, "loss": 1.0},
        "seconds": {"classifier": 10.0, "joint": 20.0},
        "gpus": 0,
        "reading": 1,
        "order": list(ROLES).index(arm),
        "curves": {},
        "chance": {} if failed else {"accuracy": 0.2, "balanced_accuracy": 0.1},
    } | fields


def log(results: Mapping[str, Accuracies], **plan: Any) -> list[Event]:
    count = max(len(values) for arms in results.values() for values in arms.values())
    seeds = list(range(1000, 1000 + count))
    events: list[Event] = [started(seeds, **plan)]
    for backbone, arms in results.items():
        events.append(
            {
                "event": CHOSEN,
                "backbone": backbone,
                "trial": 4,
                "name": f"{backbone}-0004",
                "metric": "val/accuracy",
                "search_value": 0.65,
            }
        )
        for arm, values in arms.items():
            for seed, value in zip(seeds, values, strict=False):
                subset_seed = seed if plan.get("is_redrawn") else None
                events.append(run(backbone, arm, seed, value, subset_seed=subset_seed))
                if value is not None:
                    name = events[-1]["name"]
                    events.append({"event": READING, "run": name, "reading": 1})
    return events


def started(seeds: Sequence[int], **plan: Any) -> Event:
    overlap = 0.1 if plan.pop("is_redrawn", False) else None
    event = {"event": STARTED, "seeds": list(seeds), "reading": 1, "overlap": overlap}
    return {**event, "plan": {"redraw": overlap is not None, **plan}}


def found_in(events: list[Event]) -> Confirmation:
    found = confirmation(events)
    assert found is not None
    return found


def arm_of(found: Confirmation, name: str) -> ArmEvidence:
    return next(arm for arm in found.backbones[0].arms if arm.arm == name)


def only(results: Accuracies) -> BackboneEvidence:
    (one,) = found_in(log({"resnet50": results})).backbones
    return one


def with_agreements(results: Accuracies, **agreements: Sequence[float | None]) -> list[Event]:
    """Return a log whose runs tell of their generators: arm to agreements in the seeds' order."""
    events = log({"resnet18": results})
    for event in events:
        if event.get("arm") in agreements:
            event["agreement"] = agreements[event["arm"]][event["seed"] - 1000]
    return events


def unfit_in(events: list[Event]) -> list[str]:
    return [remark for remark in found_in(events).remarks if "not fit" in remark]


def test_generators_of_a_confirmation_that_were_not_fit_are_counted_arm_by_arm() -> None:
    """The runs tell, be their stages shared or not: the log has no event of a stage."""
    fit = [0.95, 0.6, 0.9, 0.7, 1.0]
    assert not unfit_in(with_agreements(CLEAR, gan_distillation=fit, gan_augmentation=fit))
    unfit = [0.59, 0.95, 0.3, 0.0, 0.6]
    told = "resnet18, GAN distillation: the generator was not fit on 3 of 5 seeds"
    events = with_agreements(CLEAR, gan_distillation=unfit, gan_augmentation=fit)
    assert unfit_in(events) == [f"{told} (agreement below 0.6)"]
    both = with_agreements(CLEAR, gan_distillation=unfit, gan_augmentation=[0.1, *fit[1:]])
    assert [remark.split(" (")[0] for remark in unfit_in(both)] == [
        "resnet18, GAN augmentation: the generator was not fit on 1 of 5 seeds",
        told,
    ]
    # A repetition trains the same again, and is no further seed.
    again = [event | {"reading": 2} for event in events if event["event"] == RUN]
    assert unfit_in(events + again) == unfit_in(events)
    said = as_json(found_in(events))["backbones"]["resnet18"]["arms"]
    assert said["gan_distillation"]["agreements"]["1002"] == 0.3
    assert said["equal_steps"]["agreements"] == {}


def test_a_seed_whose_generator_was_not_measured_does_not_count_as_fit() -> None:
    method = CLEAR["gan_distillation"]
    results = dict(CLEAR) | {"gan_distillation": [None, None, *method[2:]]}
    # The first failed before its warm-up, the second because of it.
    events = with_agreements(results, gan_distillation=[None, 0.2, 0.9, 0.9, 0.9])
    (told,) = unfit_in(events)
    assert "not fit on 1 of 4 measured seeds (agreement below 0.6)" in told


def test_logs_of_older_versions_do_not_tell_of_generators_and_stay_readable() -> None:
    events = log({"resnet18": CLEAR})
    assert not any("agreement" in event for event in events)
    assert [one.agreement for one in run_records(events)] == [None] * 30
    assert not unfit_in(events)


def shown_by(found: Confirmation) -> str:
    """Return what a terminal shows, on one line."""
    console = Console(width=80, file=io.StringIO(), highlight=False)
    for part in confirmation_view(found):
        console.print(part)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_seeds_that_failed_are_told_with_the_mean_that_leaves_them_out() -> None:
    method = CLEAR["gan_distillation"]
    results = dict(CLEAR) | {"gan_distillation": [None, *method[1:4], None]}
    found = found_in(log({"resnet50": results}))
    assert found.backbones[0].confirmed_value == pytest.approx(0.6)
    told = "65.00 in the search -> 60.00 ± 0.00 with fresh seeds"
    for text in (shown_by(found), markdown(found)):
        assert f"{told} (2 of 5 failed)" in text
    all_failed = found_in(log({"resnet50": dict(CLEAR) | {"gan_distillation": [None] * 5}}))
    assert "-> - with fresh seeds (5 of 5 failed)" in shown_by(all_failed)
    clear = found_in(log({"resnet50": CLEAR}))
    for text in (shown_by(clear), markdown(clear)):
        assert told in text
        assert f"{told} (" not in text


def test_neither_lost_runs_nor_those_of_an_older_configuration_count_as_failed_seeds() -> None:
    events = log({"resnet50": dict(CLEAR) | {"gan_distillation": [None, 0.7, 0.7, 0.7, None]}})
    for event in events:
        if event.get("arm") == "gan_distillation" and event["seed"] == 1004:
            event["reason"] = "worker_lost"
    assert found_in(events).backbones[0].failed_seeds == "1 of 4 failed"
    older = [run("resnet50", "gan_distillation", 1000, None, key="old", name="old")]
    mixed = [*events[:2], *older, *events[2:]]
    assert found_in(mixed).backbones[0].failed_seeds == "1 of 4 failed"


def test_a_clear_gain_helps_against_the_strictest_baseline_and_the_strongest_rival() -> None:
    one = only(CLEAR)
    assert one.baseline is not None
    assert one.rival is not None
    assert (one.baseline.arm, one.rival.arm) == ("equal_steps", "gan_augmentation")
    assert one.verdict.startswith("GAN distillation helps against the baseline")
    assert (
        "and helps against its strongest rival (GAN augmentation, the highest mean of 2: "
        in one.verdict
    )
    assert one.baseline.method_over is not None
    assert one.baseline.method_over.mean == pytest.approx(0.0408)
    assert one.confirmed_value == pytest.approx(0.6)
    method = one.method
    assert method is not None
    assert method.mean == pytest.approx(0.7608)
    assert method.over_baseline is not None
    assert method.over_baseline.mean == pytest.approx(0.0508)


def test_its_verdicts_are_what_a_notebook_shows() -> None:
    found = found_in(log({"resnet50": CLEAR, "alexnet": CLEAR}))
    first, second = (f"{one.backbone}: {one.verdict}" for one in found.backbones)
    assert repr(found) == f"<confirmation: {first}; {second}>"


def test_what_holds_the_method_is_no_rival_of_it() -> None:
    combined = next(arm for arm in only(CLEAR).arms if arm.arm == "strong_distillation")
    assert combined.mean > 0.8
    assert (combined.method_over, combined.effect) == (None, None)


def test_a_combination_is_told_with_what_it_adds_to_the_addition_alone() -> None:
    events = log({"resnet50": CLEAR})
    for event in events:
        if event.get("arm") == "strong_distillation":
            event["control"] = "hard_oversampling"
    found = found_in(events)
    combined = arm_of(found, "strong_distillation")
    assert combined.over_control is not None
    assert combined.over_control.mean == pytest.approx(0.804 - 0.708)
    (told,) = [text for text in found.remarks if "alone" in text]
    expected = "resnet50: Distillation + strong augmentation, over Hard oversampling alone: +9.60"
    assert told.startswith(expected)
    assert told.endswith("n = 5 (not corrected)")
    said = as_json(found)["backbones"]["resnet50"]["arms"]
    assert said["strong_distillation"]["over_control"]["num_pairs"] == 5
    assert said["gan_augmentation"]["over_control"] is None
    # It is no rival, and its comparison belongs to no family.
    assert found.num_comparisons == found_in(log({"resnet50": CLEAR})).num_comparisons
    assert not [t for t in found_in(log({"resnet50": CLEAR})).remarks if "alone" in t]


def test_no_difference_and_harm() -> None:
    same = {"equal_steps": BASE, "gan_distillation": [0.71, 0.71, 0.70, 0.70, 0.74]}
    assert only(same).verdict.startswith("GAN distillation is not shown to help")
    worse = {"equal_steps": BASE, "gan_distillation": [one - 0.03 - one / 100 for one in BASE]}
    assert only(worse).verdict.startswith("GAN distillation harms against the baseline")


def test_two_seeds_have_no_interval_whatever_the_gain() -> None:
    one = only({arm: values[:2] for arm, values in CLEAR.items()})
    assert one.verdict.startswith("GAN distillation is not shown to help")
    assert "no interval with fewer than three seeds" in one.verdict
    assert all(arm.method_over.low is None for arm in one.arms if arm.method_over)


def test_a_seed_that_failed_counts_as_chance_against_its_arm() -> None:
    results = dict(CLEAR) | {"gan_augmentation": [0.70, None, 0.70, 0.70, 0.70]}
    found = found_in(log({"resnet50": results}))
    rival = arm_of(found, "gan_augmentation")
    assert rival.failures == {1001: "diverged"}
    assert rival.accuracies == {1000: 0.7, 1001: 0.2, 1002: 0.7, 1003: 0.7, 1004: 0.7}
    assert rival.mean == pytest.approx(0.6)
    assert rival.method_over is not None
    assert rival.method_over.num_pairs == 5
    assert rival.method_over.mean == pytest.approx(0.7608 - 0.6)
    assert found.chance == 0.2
    (told,) = [text for text in found.remarks if "GAN augmentation" in text and "failed" in text]
    assert "1 of 5 seeds (diverged) failed; each counts as chance, 20.00" in told
    assert found.num_readings == len(CLEAR) * 5 - 1
    (title,) = [row[0] for row in arms_rows(found, found.backbones[0]) if "failed" in row[0]]
    assert title == "GAN augmentation (1 of 5 failed)"


def measured_by(name: str) -> list[Event]:
    """Return a log whose metric is 1 below the accuracy, with prices and a failed seed."""
    rival = [0.70, None, 0.70, 0.70, 0.70]
    events = log({"resnet50": dict(CLEAR) | {"gan_augmentation": rival}})
    for event in events:
        if event["event"] == CHOSEN:
            event |= {"metric": on_validation(name), "search_value": -0.21}
        elif event["event"] == RUN:
            is_method = event["arm"] == "gan_distillation"
            event |= {
                "cpus": 2,
                "chance": {name: -2.3},
                "seconds": {"joint": 60 + 3600 * is_method},
            }
            if event["test"]:
                event |= {"value": -0.3, "test": {name: event["test"]["accuracy"] - 1}}
    return events


@pytest.mark.parametrize("name", ["-loss", "kappa", "mcc"])
def test_a_metric_that_is_no_share_is_shown_as_it_is(name: str) -> None:
    found = found_in(measured_by(name))
    console = Console(width=200, file=io.StringIO(), color_system=None)
    for part in confirmation_view(found):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    shown, words = console.file.getvalue(), title(name)
    for text in (markdown(found), shown):
        for unit in ("points", "Points", "in %", "hundredths"):
            assert unit not in text
        assert f"est {words}, mean ± standard deviation over seeds" in text
        assert "-0.2392 ± 0.0138" in text
        assert "+0.0408, 95 %: +0.0378 to +0.0438, Holm's p" in text
        assert "n = 5, +0.02 per core-hour)" in text
        line = f"validation {words} -0.2100 in the search -> -0.3000 ± 0.0000 with fresh seeds"
        assert line in text
        assert "each counts as chance, -2.3000" in text
    console = Console(width=80, file=io.StringIO(), color_system=None)
    for part in confirmation_view(found):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    assert "+0.0408" in console.file.getvalue()
    assert "…" not in console.file.getvalue()
    tables = confirmation_tables(found)
    assert tables[0].title == f"Test {words}, mean ± standard deviation over seeds"
    assert "+0.0408" in {cell.text for row in tables[1].rows for cell in row}


def test_a_seed_on_which_the_method_failed_counts_against_the_method() -> None:
    method = CLEAR["gan_distillation"]
    results = dict(CLEAR) | {"gan_distillation": [*method[:4], None]}
    before, after = only(CLEAR), only(results)
    assert before.baseline is not None
    assert after.baseline is not None
    assert before.baseline.method_over is not None
    assert after.baseline.method_over is not None
    lost = (0.779 - 0.2) / 5
    assert after.baseline.method_over.mean == pytest.approx(before.baseline.method_over.mean - lost)
    assert before.verdict.startswith("GAN distillation helps")
    assert after.verdict.startswith("GAN distillation is not shown to help")


def test_chance_is_that_of_the_metric_that_is_compared() -> None:
    events = log({"resnet50": dict(CLEAR) | {"equal_steps": [0.7, None, 0.7, 0.7, 0.7]}})
    for event in events:
        if event["event"] == CHOSEN:
            event["metric"] = "val/balanced_accuracy"
    assert arm_of(found_in(events), "equal_steps").accuracies[1001] == 0.1


@pytest.mark.parametrize("reason", ["worker_lost", "error"])
def test_a_run_that_was_lost_to_the_machine_does_not_count(reason: str) -> None:
    events = log({"resnet50": CLEAR})
    for event in events:
        if event.get("arm") == "equal_steps" and event["seed"] == 1002:
            event |= {"status": "failed", "reason": reason, "test": {}, "chance": {}}
    found = found_in(events)
    arm = arm_of(found, "equal_steps")
    assert (arm.failures, arm.lost) == ({}, {1002: reason})
    assert 1002 not in arm.accuracies
    assert arm.method_over is not None
    assert arm.method_over.num_pairs == 4
    assert any(f"1 of 5 seeds ({reason}) lost, not counted" in text for text in found.remarks)


@pytest.mark.parametrize("reason", sorted(INFEASIBLE))
def test_what_lies_in_an_arm_counts_against_it(reason: str) -> None:
    events = log({"resnet50": {"gan_distillation": [0.8], "equal_steps": [None]}})
    events[-1]["reason"] = reason
    assert arm_of(found_in(events), "equal_steps").accuracies == {1000: 0.2}


def test_a_log_that_does_not_tell_chance_leaves_failed_seeds_out() -> None:
    events = log({"resnet50": dict(CLEAR) | {"equal_steps": [0.7, None, 0.7, 0.7, 0.7]}})
    for event in events:
        event.pop("chance", None)
    found = found_in(events)
    assert set(arm_of(found, "equal_steps").accuracies) == {1000, 1002, 1003, 1004}
    assert any("pairs with them are left out" in text for text in found.remarks)


def test_all_arms_of_all_backbones_are_one_family() -> None:
    results = {"resnet50": CLEAR, "alexnet": dict(CLEAR) | {"equal_steps": BASE}}
    found = found_in(log(results))
    arms = [arm for one in found.backbones for arm in one.arms if arm.method_over is not None]
    assert len(arms) == found.num_comparisons == 8
    p_values = [arm.method_over.p_value for arm in arms if arm.method_over is not None]
    assert [arm.adjusted_p for arm in arms] == pytest.approx(holm(p_values))
    assert any("corrected for 8 comparisons" in text for text in found.remarks)


def test_a_gain_that_one_comparison_alone_would_show_needs_more_among_several() -> None:
    differences = [0.01, 0.03, 0.02, 0.004, 0.02]
    better = [base + one for base, one in zip(BASE, differences, strict=True)]
    noisy = [base + one for base, one in zip(better, [-0.01, 0.01, 0, 0.02, -0.02], strict=True)]
    alone = {"equal_steps": BASE, "gan_distillation": better}
    (single,) = found_in(log({"resnet50": alone})).backbones
    assert single.verdict.startswith("GAN distillation helps against the baseline")
    p_value = single.arms[0].adjusted_p
    assert p_value is not None
    assert 0.05 / 3 < p_value < 0.05
    # Two more arms of the same backbone, or two more backbones: three comparisons either way.
    more_arms = alone | {"hard_oversampling": noisy, "gan_augmentation": noisy}
    arms = found_in(log({"resnet50": more_arms}))
    more_backbones = {"equal_steps": noisy, "gan_distillation": better}
    backbones = found_in(
        log({"resnet50": alone, "alexnet": more_backbones, "densenet121": more_backbones})
    )
    for found in (arms, backbones):
        assert found.num_comparisons == 3
        assert found.backbones[0].arms[0].adjusted_p == pytest.approx(3 * p_value)
        assert found.backbones[0].verdict.startswith("GAN distillation is not shown to help")


def test_a_rival_that_was_named_is_the_rival_however_it_does() -> None:
    events = log({"resnet50": CLEAR}, rival="hard_oversampling")
    (one,) = found_in(events).backbones
    assert one.rival is not None
    assert one.rival.arm == "hard_oversampling"
    assert "against its rival (Hard oversampling, named beforehand: " in one.verdict
    # Its p-value is the same as if it had not been named: the whole family is corrected.
    assert (
        one.rival.adjusted_p == arm_of(found_in(log({"resnet50": CLEAR})), one.rival.arm).adjusted_p
    )
    late = [*log({"resnet50": CLEAR}), started(range(1000, 1005), rival="hard_oversampling")]
    assert (
        "(Hard oversampling, named when results were known: " in found_in(late).backbones[0].verdict
    )
    kept = [*events, started(range(1000, 1005), rival="hard_oversampling")]
    assert "named beforehand" in found_in(kept).backbones[0].verdict


def test_a_verdict_says_why_a_comparison_is_missing() -> None:
    only_baselines = dict.fromkeys(("baseline", "equal_steps"), BASE)
    assert only(only_baselines).verdict == "GAN distillation has no run yet"
    without_method = dict(CLEAR) | {"gan_distillation": []}
    assert only(without_method).verdict == "GAN distillation has no run yet"
    events = log({"resnet50": dict(CLEAR) | {"gan_distillation": [None] * 5}})
    for event in events:
        event.pop("chance", None)
    failed = found_in(events).backbones[0].verdict
    assert failed == "GAN distillation has no value on any seed"
    rivals = {arm: CLEAR[arm] for arm in ("hard_oversampling", "gan_distillation")}
    assert only(rivals).verdict.endswith("; no baseline was run")
    baselines = {arm: CLEAR[arm] for arm in ("equal_steps", "gan_distillation")}
    assert only(baselines).verdict.endswith("; no rival arm was run")
    named = found_in(log({"resnet50": baselines}, rival="hard_oversampling"))
    assert named.backbones[0].verdict.endswith("; its rival, hard_oversampling, has no run")
    events = log({"resnet50": dict(CLEAR) | {"hard_oversampling": [None] * 5}})
    for event in events:
        if event.get("arm") == "hard_oversampling":
            event["reason"] = "worker_lost"
    events[0]["plan"]["rival"] = "hard_oversampling"
    (one,) = found_in(events).backbones
    assert one.verdict.endswith("; its rival, Hard oversampling, has no value")


@pytest.mark.parametrize(
    ("baseline", "rival", "effect", "words"),
    [
        (BASE, BASE, "helps", "helps"),
        (BASE, [0.76, 0.75, 0.77, 0.74, 0.77], "no evidence", "helps over the baseline only"),
        ([0.76, 0.75, 0.77, 0.74, 0.77], BASE, "no evidence", "helps over its rival only"),
        (BASE, [0.9 + one / 10 for one in BASE], "harms", "harms, against its rival"),
        ([0.76, 0.75, 0.77, 0.74, 0.77], None, "no evidence", "no evidence of a gain"),
        (BASE, None, "helps", "helps"),
    ],
)
def test_the_effect_in_a_few_words_says_what_the_verdict_says(
    baseline: Sequence[float], rival: Sequence[float] | None, effect: str, words: str
) -> None:
    method = CLEAR["gan_distillation"]
    arms = {"equal_steps": baseline, "gan_distillation": method, "gan_augmentation": rival or []}
    one = only(arms)
    assert (one.effect, one.effect_words) == (effect, words)


def planned(events: list[Event], arms: Sequence[str] = tuple(CLEAR), **keys: str) -> list[Event]:
    """Return a log with the arms that were requested, and the digests of some of them."""
    request = events[0] | {"plan": {"arms": list(arms)}, "command": "/bin/distill-tune confirm s"}
    told = {"event": PLANNED, "keys": {"resnet50": {arm: f"{arm}-key" for arm in arms} | keys}}
    return [request, *events[1:2], told, *events[2:]]


def test_a_confirmation_that_is_not_over_says_so_wherever_it_is_shown() -> None:
    whole = planned(log({"resnet50": CLEAR}))
    found = found_in(whole)
    assert found.progress == Progress(5, 5, 30, 30, "/bin/distill-tune confirm s")
    assert found.backbones[0].verdict.startswith("GAN distillation helps")
    assert not [text for text in found.remarks if "unfinished" in text]
    # Seed after seed: two are whole, of the third an arm is missing.
    some = {arm: values[:3] for arm, values in CLEAR.items()}
    some["strong_distillation"] = some["strong_distillation"][:2]
    events = planned(log({"resnet50": some}))
    events[0]["seeds"] = list(range(1000, 1005))
    found = found_in(events)
    words = "2 of 5 seeds, 17 of 30 runs"
    assert found.progress is not None
    assert (found.progress.words, found.progress.is_over) == (words, False)
    assert found.backbones[0].verdict.startswith(f"so far, {words}: GAN distillation ")
    assert f"unfinished, {words}: the same command goes on" in found.remarks
    # Without the command, whose paths are of the machine that it was called on.
    numbers = {"seeds_done": 2, "seeds": 5, "runs_done": 17, "runs": 30}
    assert as_json(found)["progress"] == numbers
    for text in (markdown(found), shown_by(found)):
        assert f"so far, {words}: " in text


def test_a_lost_run_is_still_to_do_and_one_that_failed_by_itself_is_not() -> None:
    events = planned(log({"resnet50": dict(CLEAR) | {"equal_steps": [None, *BASE[1:]]}}))
    progress = found_in(events).progress
    assert progress is not None
    assert progress.is_over
    for event in events:
        if event["event"] == RUN and event["status"] == "failed":
            event["reason"] = "worker_lost"
    progress = found_in(events).progress
    assert progress is not None
    assert progress.words == "4 of 5 seeds, 29 of 30 runs"


def test_a_configuration_that_is_requested_again_counts_though_another_one_is_newer() -> None:
    """Untuned, then tuned, then untuned again: nothing is trained for the third request."""
    events = log({"resnet50": CLEAR})
    tuned = [
        run("resnet50", "equal_steps", 1000 + n, 0.9, key="tuned", name=f"t{n}") for n in range(5)
    ]
    newest = {"event": PLANNED, "keys": {"resnet50": {"equal_steps": "equal_steps-key"}}}
    assert arm_of(found_in([*events, *tuned]), "equal_steps").mean == pytest.approx(0.9)
    again = arm_of(found_in([*events, *tuned, started(range(1000, 1005)), newest]), "equal_steps")
    assert again.mean == pytest.approx(0.72)
    # A configuration without a run yet: the results so far stay.
    newer = {"event": PLANNED, "keys": {"resnet50": {"equal_steps": "third"}}}
    asked = [*events, *tuned, started(range(1000, 1005), arms=["equal_steps"]), newer]
    assert arm_of(found_in(asked), "equal_steps").mean == pytest.approx(0.9)
    progress = found_in(asked).progress
    assert progress is not None
    assert progress.runs_done == 0


def test_rivals_are_compared_on_the_seeds_of_the_method() -> None:
    """The second rival has fewer seeds, easy ones: it has the higher mean, and is the weaker."""
    easy = [0.60, 0.60, 0.60, 0.80, 0.80]
    events = log({"resnet50": {"gan_distillation": easy, "hard_oversampling": easy}})
    late = [run("resnet50", "gan_augmentation", seed, 0.79) for seed in (1003, 1004)]
    (one,) = found_in([*events, *late]).backbones
    assert one.rival is not None
    assert one.rival.arm == "hard_oversampling"


def test_runs_on_redrawn_images_are_never_paired_with_others() -> None:
    fixed = log({"resnet50": CLEAR})
    begun = started(range(1000, 1005), is_redrawn=True)
    assert not found_in([*fixed, begun]).is_redrawn
    redrawn = [
        run("resnet50", arm, 1000, accuracy, subset_seed=1000, key="other", name=f"{arm}-redrawn")
        for arm, accuracy in (("gan_distillation", 0.5), ("equal_steps", 0.6))
    ]
    found = found_in([*fixed, begun, *redrawn])
    assert found.is_redrawn
    assert {arm.arm: arm.accuracies for arm in found.backbones[0].arms} == {
        "gan_distillation": {1000: 0.5},
        "equal_steps": {1000: 0.6},
    }
    assert "30 earlier runs, with the same images for every seed, are not counted" in found.remarks
    back = found_in([*fixed, begun, *redrawn, started(range(1000, 1005))])
    assert not back.is_redrawn
    assert len(back.backbones[0].arms) == 6
    assert "2 earlier runs, on redrawn images, are not counted" in back.remarks


@pytest.mark.parametrize(
    ("is_redrawn", "redraw", "told"),
    [
        (True, True, "every seed has training and validation images of its own, the same for all "),
        (False, True, "the data set has fixed splits: the same images for every seed, so the "),
        (False, False, "the same images for every seed (confirm.redraw is off), so the intervals "),
    ],
)
def test_what_the_interval_covers_is_said(is_redrawn: bool, redraw: bool, told: str) -> None:
    found = found_in(log({"resnet50": CLEAR}, is_redrawn=is_redrawn, redraw=redraw))
    (remark,) = [text for text in found.remarks if "images" in text]
    assert remark.startswith(told)
    assert ("leave out the variance between such subsets" in remark) != is_redrawn


def test_subsets_that_have_much_in_common_are_told() -> None:
    events = log({"resnet50": CLEAR}, is_redrawn=True)
    events[0]["overlap"] = 0.75
    told = "two seeds have 75 % of their training images in common: for unseen images"
    assert any(text.startswith(told) for text in found_in(events).remarks)


def test_the_newest_choice_and_the_newest_configuration_of_an_arm_count() -> None:
    events = log({"resnet50": CLEAR})
    events.append({**events[1], "trial": 7, "name": "resnet50-0007"})
    events += [run("resnet50", "gan_distillation", s, 0.5, trial=7) for s in (1000, 1001, 1002)]
    events += [run("resnet50", "equal_steps", s, 0.6, trial=7, key="old") for s in (1000, 1001)]
    events += [
        run("resnet50", "equal_steps", s, 0.4, trial=7, name=f"tuned{s}") for s in (1000, 1001)
    ]
    found = found_in(events)
    (one,) = found.backbones
    assert one.trial == "resnet50-0007"
    assert one.baseline is not None
    assert one.baseline.accuracies == {1000: 0.4, 1001: 0.4}
    assert any("read for 2 configurations" in text for text in found.remarks)


def test_a_run_that_failed_and_was_tried_again_counts_as_it_ended() -> None:
    lost = run("resnet50", "equal_steps", 1000, None, reason="worker_lost")
    events = log({"resnet50": {"gan_distillation": [0.8]}})
    events += [lost, run("resnet50", "equal_steps", 1000, 0.7)]
    baseline = found_in(events).backbones[0].baseline
    assert baseline is not None
    assert (baseline.accuracies, baseline.failures) == ({1000: 0.7}, {})


def test_second_readings_and_late_seeds_are_told() -> None:
    events = log({"resnet50": CLEAR})
    events.append({"event": STARTED, "seeds": [1000, 1001, 1005, 1006], "reading": 1})
    events.append(run("resnet50", "equal_steps", 1000, BASE[0] + 0.01, reading=2))
    events.append(run("resnet50", "equal_steps", 1001, 0.9, reading=2))
    found = found_in(events)
    assert any("2 seeds were added after results of others were known" in t for t in found.remarks)
    again = [text for text in found.remarks if "read again" in text]
    assert len(again) == 2
    assert "the same numbers" in again[0]
    assert "'accuracy': 0.9" in again[1]
    # The first reading is the result.
    assert found.backbones[0].baseline is not None
    assert found.backbones[0].baseline.accuracies[1001] == pytest.approx(0.73)


def test_an_interrupted_repetition_goes_on_and_a_finished_one_is_followed_by_another() -> None:
    started = {"event": STARTED, "reading": 1}
    assert next_reading([], is_again=False) == 1
    assert next_reading([started], is_again=True) == 2
    again = [started, {"event": ENDED, "reading": 1}, {"event": STARTED, "reading": 2}]
    assert next_reading(again, is_again=True) == 2
    assert next_reading(again, is_again=False) == 1
    assert next_reading([*again, {"event": ENDED, "reading": 2}], is_again=True) == 3


def test_an_arm_with_a_search_of_its_own_is_tuned_even_if_its_runs_are_older() -> None:
    # The search may find the values that the arm had: its runs are not repeated then.
    events = log({"resnet50": CLEAR})
    events.append({**events[0], "tuned": ["gan_augmentation"]})
    found = found_in(events)
    assert [arm.arm for arm in found.backbones[0].arms if arm.is_tuned] == ["gan_augmentation"]
    (remark,) = [text for text in found.remarks if "untuned" in text]
    assert "GAN augmentation" not in remark


@pytest.mark.parametrize("kind", ["none", "hard"])
def test_the_best_configuration_is_not_called_gan_distillation_if_it_has_no_gan(kind: str) -> None:
    events = log({"resnet50": CLEAR})
    for event in events:
        if event.get("arm") == "gan_distillation":
            event["extra_images"] = kind
    (one,) = found_in(events).backbones
    who = f"The best configuration, which has no GAN (joint.extra_images: {kind}), helps against"
    assert one.verdict.startswith(who)
    assert only(CLEAR).verdict.startswith("GAN distillation helps against")


def test_an_arm_that_nothing_searched_concerns_is_not_untuned() -> None:
    events = log({"resnet50": CLEAR})
    for event in events:
        if event.get("arm") in {"baseline", "equal_steps"}:
            event["is_concerned"] = False
    remarks = found_in(events).remarks
    (untuned,) = [text for text in remarks if "untuned" in text]
    assert untuned == "resnet50: controls untuned: Hard oversampling; GAN augmentation"
    expected = "resnet50: no searched param affects Baseline; Baseline, equal steps"
    assert expected in remarks


def test_untuned_controls_are_named() -> None:
    events = log({"resnet50": CLEAR})
    for event in events:
        if event.get("arm") == "gan_augmentation":
            event["is_tuned"] = True
    (remark,) = [text for text in found_in(events).remarks if "untuned" in text]
    assert "Hard oversampling" in remark
    assert "GAN augmentation" not in remark


def test_a_log_without_evidence_has_no_confirmation_and_damage_is_passed_over() -> None:
    assert confirmation([]) is None
    assert confirmation(log({"resnet50": {"gan_distillation": []}})) is None
    damaged = run("resnet50", "equal_steps", 1000, 0.7)
    del damaged["role"]
    assert run_records([damaged, run("resnet50", "equal_steps", 1001, 0.7)])[0].seed == 1001


def test_tables_json_and_csv_say_the_same() -> None:
    events = log({"resnet50": CLEAR, "alexnet": CLEAR})
    found = found_in(events)
    console = Console(width=80, file=io.StringIO(), highlight=False)
    for part in confirmation_view(found):
        console.print(part)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in (" ".join(shown.split()), markdown(found)):
        assert "76.08" in text
        assert "+4.08" in text
        assert "helps" in text
        assert "65.00 in the search -> 60.00" in text
        assert "Holm's p" in text
    assert "P(mean gain > 0)" in markdown(found)
    assert max(map(len, shown.splitlines())) <= 80
    # Nothing is cut off, and words stay whole.
    assert shown.count("30s") == 12
    assert shown.count("augmentation") == 8
    data = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert data["backbones"]["alexnet"]["arms"]["gan_distillation"]["mean"] == pytest.approx(0.7608)
    assert data["backbones"]["alexnet"]["rival"] == "gan_augmentation"
    assert data["backbones"]["alexnet"]["rival_choice"] == "the highest mean of 2"
    over = data["backbones"]["alexnet"]["arms"]["gan_augmentation"]["method_over"]
    assert over["p_mean_gain_positive"] > 0.99
    assert "probability" not in over
    assert data["backbones"]["alexnet"]["effects"] == {"baseline": "helps", "rival": "helps"}
    rows = list(csv.DictReader(io.StringIO(runs_csv(run_records(events)))))
    assert len(rows) == 60
    assert rows[0]["test/accuracy"] == "0.7"


BY_CLASS = {
    "equal_steps": {"recalls": [0.8, 0.5, None], "class_counts": [40, 10, 0]},
    "gan_distillation": {
        "recalls": [0.8, 0.75, None],
        "class_counts": [40, 10, 0],
        "class_agreements": [0.9, 0.75, 0.5],
        "class_diversities": [1.0, 0.8, None],
    },
}


def with_classes(classes: list[str], **by_class: Any) -> list[Event]:
    """Return a log of runs that tell of their classes; the last seed of each arm failed."""
    results = {arm: [*CLEAR[arm][:4], None] for arm in by_class}
    counts = [100, 10, 7, *[5] * (len(classes) - 3)]
    data: Event = {"event": "data", "classes": classes, "train_counts": counts}
    events = [data, *log({"resnet50": results})]
    for event in events:
        if event["event"] == RUN and event["status"] == "complete":
            event.update(by_class[event["arm"]])
    return events


def table_of(found: Confirmation, *starts: str) -> list[str]:
    """Return the lines of the terminal that begin like this, words one space apart."""
    console = Console(width=80, file=io.StringIO(), highlight=False)
    for part in confirmation_view(found):
        console.print(part)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, shown.splitlines())) <= 80
    return [" ".join(row.split()) for row in shown.splitlines() if row.startswith(starts)]


def test_every_class_has_its_recall_with_and_without_the_gan() -> None:
    found = found_in(with_classes(["cell", "[rare]|x", "no test images"], **BY_CLASS))
    rows = table_of(found, "class", "cell", "[rare]|x", "no test images")
    assert rows == [
        "class n train n test control method gain agreement diversity",
        "cell 100 40 80.0 80.0 +0.0 0.90 1.00",
        "[rare]|x 10 10 50.0 75.0 +25.0 0.75 0.80",
        "no test images 7 0 0.50",
    ]
    text = markdown(found)
    assert "resnet50: test recall of each class in %, mean over runs (control: Baseline, " in text
    assert r"| [rare]\|x | 10 | 10 | 50.0 | 75.0 | +25.0 | 0.75 | 0.80 |" in text
    (cell, rare, none) = json.loads(json.dumps(as_json(found), allow_nan=False))["backbones"][
        "resnet50"
    ]["classes"]
    assert rare == {
        "name": "[rare]|x",
        "num_train": 10,
        "num_test": 10,
        "control": 0.5,
        "method": 0.75,
        "agreement": 0.75,
        "diversity": pytest.approx(0.8),
        "gain": 0.25,
    }
    assert cell["gain"] == 0
    assert none["method"] is none["gain"] is None


def test_recalls_of_classes_are_means_over_the_runs_that_were_read() -> None:
    events = with_classes(["cell", "rare", "none"], **BY_CLASS)
    (first, *_) = [event for event in events if event.get("arm") == "gan_distillation"]
    first["recalls"] = [0.4, 0.75, None]
    (row,) = table_of(found_in(events), "cell")
    assert row == "cell 100 40 80.0 70.0 -10.0 0.90 1.00"
    # The gain is over the seeds that both have.
    common = [event for event in events if event is not first]
    (row,) = table_of(found_in(common), "cell")
    assert row == "cell 100 40 80.0 80.0 +0.0 0.90 1.00"
    (other, *_) = [event for event in events if event.get("arm") == "equal_steps"]
    other["recalls"] = [0.0, 0.5, None]
    (row,) = table_of(found_in(common), "cell")
    assert row == "cell 100 40 60.0 80.0 +0.0 0.90 1.00"


def test_of_many_classes_the_worst_recognised_are_shown() -> None:
    count = 100
    falling = [1 - number / count for number in range(count)]
    by_class = {
        "equal_steps": {"recalls": falling, "class_counts": [10] * count},
        "gan_distillation": {"recalls": falling, "class_counts": [10] * count},
    }
    found = found_in(with_classes([f"class{number:02}" for number in range(count)], **by_class))
    rows = table_of(found, *(f"class{number:02}" for number in range(count)))
    assert [row.split()[0] for row in rows] == [f"class{number}" for number in range(99, 89, -1)]
    assert "test recall of the 10 of 100 classes that are recognised worst" in markdown(found)
    assert len(as_json(found)["backbones"]["resnet50"]["classes"]) == count


def test_logs_that_do_not_tell_of_classes_have_no_table_of_them() -> None:
    old = found_in(log({"resnet50": CLEAR}))
    assert "recall" not in markdown(old)
    assert not table_of(old, "class")
    assert as_json(old)["backbones"]["resnet50"]["classes"] == []
    # Arms without the method have nothing to compare.
    alone = {"equal_steps": BY_CLASS["equal_steps"]}
    assert "recall" not in markdown(found_in(with_classes(["a", "b", "c"], **alone)))
