"""The price of a gain: points for each further core-hour or GPU-hour, wherever gains are shown."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from distill_tune.confirmation.evidence.price import Cost, Price, price_of
from distill_tune.confirmation.evidence.statistics import Gain
from distill_tune.confirmation.evidence.tables import arms_rows, as_json, markdown, priced_rows
from distill_tune.records.trials import Event
from distill_tune.report.tables import confirmation_tables
from distill_tune.terminal.confirmation_tables import confirmation_view
from tests.confirmation.test_summary import CLEAR, arm_of, found_in, log

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


def test_a_price_is_the_gain_for_each_hour_that_the_arm_takes_longer() -> None:
    gain = Gain(5, 0.03)
    found = price_of(gain, Cost(0.3, "core-hour"), Cost(0.1, "core-hour"))
    assert isinstance(found, Price)
    assert found.extra_hours == pytest.approx(0.2)
    assert found.points_per_hour == pytest.approx(15)
    assert (found.cell, found.words) == ("+15", "+15 points per core-hour")
    loss = price_of(Gain(5, -0.03), Cost(0.3, "core-hour"), Cost(0.1, "core-hour"))
    assert loss is not None
    assert loss.cell == "-15"


@pytest.mark.parametrize(
    ("points", "cell"),
    [
        (680.3, "+680"),
        (-2534.7, "-2,530"),
        (1234567.0, "+1,230,000"),
        (27.123, "+27.1"),
        (-0.01538, "-0.0154"),
        (0.00001234, "+0.0000123"),
        (0.0, "+0"),
    ],
)
def test_a_price_has_three_digits_and_no_exponent(points: float, cell: str) -> None:
    found = Price(1.0, points, "core-hour")
    assert (found.cell, found.words) == (cell, f"{cell} points per core-hour")


@pytest.mark.parametrize("noise", [1e-16, -1e-16, 0.0, -0.0])
def test_values_that_are_equal_but_for_rounding_cost_nothing_each(noise: float) -> None:
    found = price_of(Gain(5, noise), Cost(0.3, "core-hour"), Cost(0.1, "core-hour"))
    assert found is not None
    assert found.cell == "+0"


@pytest.mark.parametrize("other", [0.3, 0.5, 0.299])
def test_what_takes_no_longer_is_free(other: float) -> None:
    found = price_of(Gain(5, 0.03), Cost(0.3, "core-hour"), Cost(other, "core-hour"))
    assert found is not None
    assert (found.points_per_hour, found.cell) == (None, "free")
    assert found.words == "at no further cost"


@pytest.mark.parametrize(
    ("gain", "cost", "other"),
    [
        (None, Cost(1, "core-hour"), Cost(0, "core-hour")),
        (Gain(0, float("nan")), Cost(1, "core-hour"), Cost(0, "core-hour")),
        (Gain(5, 0.03), None, Cost(0, "core-hour")),
        (Gain(5, 0.03), Cost(1, "core-hour"), None),
        (Gain(5, 0.03), Cost(1, "GPU-hour"), Cost(0, "core-hour")),
    ],
)
def test_without_a_gain_or_a_cost_there_is_no_price(
    gain: Gain | None, cost: Cost | None, other: Cost | None
) -> None:
    assert price_of(gain, cost, other) is None


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
    head, *rows = priced_rows(one)
    assert head[2:7] == ["gain", "gain per core-h", "over it", "95 %", "over it per core-h"]
    of_equal_steps = next(row for row in rows if row[0] == "Baseline, equal steps")
    assert of_equal_steps[2:5] == ["+1.00", "+20", "+4.08"]
    assert of_equal_steps[6] == "+20.4"
    text = markdown(found)
    assert "| Points per core-hour | +20.4 |" in text
    assert "n = 5, +20.4 points per core-hour)" in one.verdict
    assert "n = 5, at no further cost)" in one.verdict
    shown = shown_by(priced())
    assert "resnet50: points per hour that the arm takes longer" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "+20.4" in shown
    page = confirmation_tables(found)[1]
    assert page.head == tuple(head)
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
    assert priced_rows(one) == arms_rows(one)
    assert "core-h" not in markdown(found)
    assert "core-h" not in shown_by(log({"resnet50": CLEAR}))
    assert as_json(found)["backbones"]["resnet50"]["arms"]["equal_steps"]["cost"] is None


def test_a_run_during_which_its_machine_slept_does_not_change_the_price() -> None:
    events, slept = priced(), priced()
    runs = [e for e in slept if e["event"] == "confirm_run" and e.get("arm") == "gan_distillation"]
    assert len(runs) > 2
    runs[0]["seconds"] = {"joint": 100 * SECONDS["gan_distillation"]}
    assert arm_of(found_in(slept), "gan_distillation").cost == Cost(0.3, "core-hour")
    assert as_json(found_in(slept)) == as_json(found_in(events))
