"""The price of a gain: points for each further core-hour or GPU-hour, wherever gains are shown."""

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console
from scipy.stats import binom

from distill_tune.confirmation.evidence.price import Cost, Price, median_interval, price_of
from distill_tune.confirmation.evidence.statistics import Gain
from distill_tune.confirmation.evidence.tables import (
    arms_rows,
    as_json,
    markdown,
    priced_rows,
    prices_rows,
)
from distill_tune.records.confirm_log import RunRecord, run_records
from distill_tune.records.trials import Event
from distill_tune.report.tables import confirmation_tables
from distill_tune.terminal.confirmation_tables import confirmation_view
from tests.confirmation.test_summary import CLEAR, arm_of, found_in, log, run

SECONDS = {
    "baseline": 90.0,
    "equal_steps": 180.0,
    "hard_oversampling": 400.0,
    "gan_augmentation": 540.0,
    "gan_distillation": 540.0,
    "strong_distillation": 720.0,
}


def priced(cpus: float = 2, gpus: float = 0) -> list[Event]:
    """Return a log in which the arms take so many seconds."""
    events = log({"resnet50": CLEAR})
    for event in events:
        if event.get("arm") in SECONDS and event["event"] == "confirm_run":
            event |= {"seconds": {"joint": SECONDS[event["arm"]]}, "cpus": cpus, "gpus": gpus}
            if event["arm"] == "strong_distillation":
                event["control"] = "hard_oversampling"
    return events


HOUR = 3600.0


def runs(arm: str, hours: Sequence[float], **fields: Any) -> list[RunRecord]:
    """Return runs of one core, a seed each, that took so many hours."""
    return run_records(
        run("net", arm, seed, 0.7, seconds={"joint": HOUR * one}, **({"cpus": 1} | fields))
        for seed, one in enumerate(hours)
    )


def price(gain: float, hours: Sequence[float], others: Sequence[float]) -> Price | None:
    of_method, of_other = runs("gan_distillation", hours), runs("equal_steps", others)
    return price_of(Gain(len(hours), gain), of_method, of_other, "accuracy")


def test_a_price_is_the_gain_for_each_hour_that_the_arm_takes_longer() -> None:
    found = price(0.03, [0.30, 0.31, 0.32], [0.1, 0.11, 0.12])
    assert found is not None
    assert found.extra_hours == pytest.approx(0.2)
    assert found.points_per_hour == pytest.approx(15)
    assert (found.cell, found.words) == ("+15", "+15 points per core-hour")
    loss = price(-0.03, [0.3, 0.3, 0.3], [0.1, 0.1, 0.1])
    assert loss is not None
    assert loss.cell == "-15"


def test_the_time_is_compared_on_each_seed() -> None:
    """Seeds differ more in time than the arms do; on each of them, the method takes longer."""
    found = price(0.03, [0.35, 1.31, 0.61, 0.93], [0.32, 1.2, 0.5, 0.9])
    assert found is not None
    assert found.points_per_hour == pytest.approx(3 / 0.07)
    assert (found.low, found.high) == pytest.approx((0.03, 0.11))


def test_a_cost_that_may_be_none_has_no_points_per_hour() -> None:
    """The median seed takes longer, but not reliably so: any number would be noise."""
    found = price(0.03, [0.31, 0.29, 0.33, 0.28, 0.32], [0.3] * 5)
    assert found is not None
    assert found.extra_hours == pytest.approx(0.01)
    assert (found.points_per_hour, found.cell) == (None, "same cost")
    assert found.words == "at about the same cost"


def test_the_time_of_two_seeds_gives_no_price() -> None:
    assert price(0.03, [0.3, 0.3], [0.1, 0.1]) is None


def test_a_lost_run_is_no_time() -> None:
    lost = runs("gan_distillation", [9.0], status="failed", test={})
    others = runs("equal_steps", [0.1] * 4)
    found = price_of(
        Gain(4, 0.03), [*lost, *runs("gan_distillation", [0.3] * 4)[1:]], others, "accuracy"
    )
    assert found is not None
    assert found.points_per_hour == pytest.approx(15)


@pytest.mark.parametrize("count", [6, 7, 9, 10, 20, 33])
def test_an_interval_of_a_median_covers_it(count: int) -> None:
    """As narrow as the sign test allows: with one value less on each side, it covers too rarely."""
    low, high = median_interval(list(range(count, 0, -1)))
    left_out = int(low) - 1
    assert high == count - left_out
    fewer = [binom.cdf(left_out + more, count, 0.5) for more in (0, 1)]
    assert 2 * fewer[0] <= 0.05 < 2 * fewer[1]


def test_an_interval_of_few_values_is_all_of_them() -> None:
    assert median_interval([3.0]) == (3.0, 3.0)
    assert median_interval([3.0, 1.0, 2.0, 9.0, 4.0]) == (1.0, 9.0)


@pytest.mark.parametrize(
    ("points", "cell"),
    [
        (684.3, "+680"),
        (-2534.7, "-2,500"),
        (1234567.0, "+1,200,000"),
        (27.123, "+27"),
        (-0.01538, "-0.015"),
        (0.00001234, "+0.000012"),
        (0.0, "+0"),
    ],
)
def test_a_price_has_two_digits_and_no_exponent(points: float, cell: str) -> None:
    found = Price(1.0, points, "core-hour", 1.0, 1.0)
    assert (found.cell, found.words) == (cell, f"{cell} points per core-hour")


@pytest.mark.parametrize("noise", [1e-16, -1e-16, 0.0, -0.0])
def test_values_that_are_equal_but_for_rounding_cost_nothing_each(noise: float) -> None:
    found = price(noise, [0.3] * 3, [0.1] * 3)
    assert found is not None
    assert found.cell == "+0"


@pytest.mark.parametrize("other", [0.3, 0.5, 0.299])
def test_what_takes_no_longer_is_free(other: float) -> None:
    found = price(0.03, [0.3] * 3, [other] * 3)
    assert found is not None
    assert (found.points_per_hour, found.cell) == (None, "free")
    assert found.words == "at no further cost"


@pytest.mark.parametrize(
    ("gain", "own", "other"),
    [
        (None, {}, {}),
        (Gain(0, float("nan")), {}, {}),
        (Gain(5, 0.03), {"cpus": 0}, {}),
        (Gain(5, 0.03), {}, {"cpus": 0}),
        (Gain(5, 0.03), {"gpus": 1}, {}),
        (Gain(5, 0.03), {}, {"test": {}}),
    ],
)
def test_without_a_gain_or_a_cost_there_is_no_price(
    gain: Gain | None, own: dict[str, Any], other: dict[str, Any]
) -> None:
    of_method = runs("gan_distillation", [0.3] * 3, **own)
    assert price_of(gain, of_method, runs("equal_steps", [0.1] * 3, **other), "accuracy") is None
    assert price_of(gain, of_method, [], "accuracy") is None


def test_every_gain_of_a_confirmation_has_its_price() -> None:
    found = found_in(priced())
    method, equal = (arm_of(found, name) for name in ("gan_distillation", "equal_steps"))
    assert method.cost == Cost(0.3, "core-hour")
    assert method.over_baseline is not None
    assert method.baseline_price is not None
    # 450 seconds of two cores beyond the baseline.
    assert method.baseline_price.points_per_hour == pytest.approx(5.08 / 0.25)
    assert equal.method_price is not None
    assert equal.method_price.points_per_hour == pytest.approx(4.08 / 0.2)
    # As long as the method: what it gains costs nothing more.
    rival = arm_of(found, "gan_augmentation").method_price
    assert rival is not None
    assert rival.points_per_hour is None
    combined = arm_of(found, "strong_distillation").control_price
    assert combined is not None
    assert combined.points_per_hour == pytest.approx(9.6 * 3600 / (2 * 320))


def test_a_gpu_is_paid_by_its_share() -> None:
    method = arm_of(found_in(priced(cpus=4, gpus=0.5)), "gan_distillation")
    assert method.cost == Cost(0.075, "GPU-hour")


def shown_by(events: list[Event]) -> str:
    console = Console(width=80, file=io.StringIO(), highlight=False)
    for part in confirmation_view(found_in(events)):
        console.print(part)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_prices_stand_beside_the_gains() -> None:
    found = found_in(priced())
    (one,) = found.backbones
    head, *rows = priced_rows(found, one)
    assert head[2:7] == ["gain", "gain per core-h", "over it", "95 %", "over it per core-h"]
    of_equal_steps = next(row for row in rows if row[0] == "Baseline, equal steps")
    assert of_equal_steps[2:5] == ["+1.00", "+20", "+4.08"]
    assert of_equal_steps[6] == "+20"
    text = markdown(found)
    assert "| Points per core-hour | +20 |" in text
    assert "n = 5, +20 points per core-hour)" in one.verdict
    assert "n = 5, at no further cost)" in one.verdict
    shown = shown_by(priced())
    assert "resnet50: points per hour that the arm takes longer" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "+20" in shown
    # The page has the prices in a table of their own: the other one would not fit.
    _, arms, prices = confirmation_tables(found)
    assert arms.head == tuple(arms_rows(found, one)[0])
    assert prices.head == tuple(prices_rows(one)[0])
    assert prices.title == "resnet50: points per hour that the arm takes longer"
    (told,) = [text for text in found.remarks if "alone" in text]
    assert told.endswith("n = 5, +54 points per core-hour (not corrected)")


def test_json_has_the_price_in_each_gain() -> None:
    said = json.loads(json.dumps(as_json(found_in(priced())), allow_nan=False))
    arms: dict[str, Any] = said["backbones"]["resnet50"]["arms"]
    assert arms["gan_distillation"]["cost"] == {"hours": 0.3, "unit": "core-hour"}
    price = arms["equal_steps"]["method_over"]["price"]
    assert price["points_per_hour"] == pytest.approx(20.4)
    assert price["unit"] == "core-hour"
    assert arms["gan_augmentation"]["method_over"]["price"]["points_per_hour"] is None
    assert arms["baseline"]["over_baseline"] is None
    assert not [name for name in arms["baseline"] if name.endswith("_price")]


def test_a_log_that_does_not_tell_of_cores_has_no_prices() -> None:
    found = found_in(log({"resnet50": CLEAR}))
    (one,) = found.backbones
    assert priced_rows(found, one) == arms_rows(found, one)
    assert "core-h" not in markdown(found)
    assert "core-h" not in shown_by(log({"resnet50": CLEAR}))
    assert as_json(found)["backbones"]["resnet50"]["arms"]["equal_steps"]["cost"] is None


def test_a_run_during_which_its_machine_slept_does_not_change_the_price() -> None:
    events, slept = priced(), priced()
    runs = [e for e in slept if e["event"] == "confirm_run" and e.get("arm") == "gan_distillation"]
    assert len(runs) > 2
    runs[0]["seconds"] = {"joint": 100 * SECONDS["gan_distillation"]}
    assert arm_of(found_in(slept), "gan_distillation").cost == Cost(0.3, "core-hour")
    for name in ("equal_steps", "baseline"):
        usual, moved = (arm_of(found_in(one), name).method_price for one in (events, slept))
        assert usual is not None
        assert moved is not None
        assert moved.points_per_hour == usual.points_per_hour is not None
