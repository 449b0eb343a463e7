"""Tables of a confirmation as rows of text, Markdown and JSON."""

import math
from typing import Any

from distill_tune.confirmation.evidence.arm_evidence import ArmEvidence
from distill_tune.confirmation.evidence.class_evidence import class_json, class_rows, class_title
from distill_tune.confirmation.evidence.findings import BackboneEvidence, Confirmation
from distill_tune.confirmation.evidence.price import Price
from distill_tune.confirmation.evidence.statistics import Gain, p_words
from distill_tune.records.words.metric_names import is_share, title, title_with_unit, value_text

Rows = list[list[str]]


def backbones_rows(found: Confirmation) -> Rows:
    """Return the poster's first table, one column per backbone; the head comes first."""
    backbones = found.backbones
    head = ["", *(one.backbone for one in backbones)]
    lines: Rows = [head]
    for arm in _standing(found):
        cells = [_value(_of(one, arm), found.metric) for one in backbones]
        lines.append([_title(found, arm), *cells])
    over = [one.baseline.method_over if one.baseline else None for one in backbones]
    gains = [_shown_gain(gain, found.metric) for gain in over]
    lines.append(["Gain", *gains])
    prices = [one.baseline.method_price if one.baseline else None for one in backbones]
    units = [price.unit for price in prices if price is not None]
    if units:
        what = "Points" if is_share(found.metric) else "Gain"
        lines.append([f"{what} per {units[0]}", *map(_price, prices)])
    return lines


def _standing(found: Confirmation) -> list[str]:
    """Return the names of the baselines that verdicts refer to, and of the method."""
    names = dict.fromkeys(one.baseline.arm for one in found.backbones if one.baseline)
    return [*names, *dict.fromkeys(one.method.arm for one in found.backbones if one.method)]


def _of(one: BackboneEvidence, name: str) -> ArmEvidence | None:
    return next((arm for arm in one.arms if arm.arm == name), None)


def _title(found: Confirmation, name: str) -> str:
    return next(arm.title for one in found.backbones for arm in one.arms if arm.arm == name)


PROBABILITY = "P(mean gain > 0)"
_HEAD = ["arm", "test", "gain", "over it", "95 %", "Holm's p", PROBABILITY, "n", "time"]


def arms_rows(found: Confirmation, one: BackboneEvidence) -> Rows:
    """Return the poster's second table for a backbone, one row per arm; the head comes first."""
    return [_HEAD, *(_arm_row(arm, found.metric) for arm in one.arms)]


def priced_rows(found: Confirmation, one: BackboneEvidence) -> Rows:
    """Return the table with the price of each gain beside it, if prices are known."""
    prices, rows = prices_rows(one), arms_rows(found, one)
    if not prices:
        return rows
    gain, over = (_HEAD.index(name) + 1 for name in ("gain", "95 %"))
    return [
        [*row[:gain], price[2], *row[gain:over], price[3], *row[over:]]
        for row, price in zip(rows, prices, strict=True)
    ]


def price_title(metric: str) -> str:
    """Return the title of the table of prices."""
    gain = "points" if is_share(metric) else "gain"
    return f"{gain} per hour that the arm takes longer"


def prices_rows(one: BackboneEvidence) -> Rows:
    """Return the price of each gain of a backbone, one row per arm; empty if none is known."""
    units = [arm.cost.unit for arm in one.arms if arm.cost is not None]
    if not units:
        return []
    hours = units[0].replace("hour", "h")
    head = ["arm", f"{hours} a run", f"gain per {hours}", f"over it per {hours}"]
    return [head, *(_price_row(arm) for arm in one.arms)]


def _price_row(arm: ArmEvidence) -> list[str]:
    cost = "" if arm.cost is None else f"{arm.cost.hours:.3g}"
    return [arm.title, cost, _price(arm.baseline_price), _price(arm.method_price)]


def _price(price: Price | None) -> str:
    return "" if price is None else price.cell


def _arm_row(arm: ArmEvidence, metric: str) -> list[str]:
    over = arm.method_over
    positive = None if over is None else over.p_mean_gain_positive
    time = "-" if math.isnan(arm.seconds) else f"{arm.seconds:.0f}s"
    if arm.gpu_hours > 0:
        time = f"{arm.gpu_hours:.2f} GPU-h"
    total = len({*arm.accuracies, *arm.failures})
    failed = f" ({len(arm.failures)} of {total} failed)" if arm.failures else ""
    return [
        f"{arm.title}{failed}",
        _value(arm, metric),
        "" if arm.over_baseline is None else _gain(arm.over_baseline.mean, metric),
        "" if over is None else _gain(over.mean, metric),
        "" if over is None else _interval(over, metric),
        "" if arm.adjusted_p is None else p_words(arm.adjusted_p),
        "" if positive is None else f"{positive:.3f}",
        str(len(arm.accuracies)),
        time,
    ]


def _value(arm: ArmEvidence | None, metric: str) -> str:
    if arm is None or not arm.accuracies:
        return "-"
    return f"{value_text(arm.mean, metric)}{_spread(arm.spread, metric)}"


def _spread(spread: float | None, metric: str) -> str:
    return "" if spread is None else f" ± {value_text(spread, metric)}"


def _shown_gain(found: Gain | None, metric: str) -> str:
    if found is None or found.num_pairs == 0:
        return ""
    interval = _interval(found, metric)
    return _gain(found.mean, metric) + (f" ({interval})" if interval else "")


def _interval(found: Gain, metric: str) -> str:
    if found.low is None or found.high is None:
        return ""
    return f"{_gain(found.low, metric)} to {_gain(found.high, metric)}"


def _gain(value: float, metric: str) -> str:
    return "" if math.isnan(value) else value_text(value, metric, has_sign=True)


def value_line(found: Confirmation, one: BackboneEvidence) -> str:
    """Return a line that compares the search's own value with the mean over fresh seeds."""
    metric, value = found.metric, one.confirmed_value
    confirmed = "-" if math.isnan(value) else value_text(value, metric)
    spread = _spread(one.confirmed_spread, metric)
    failed = f" ({one.failed_seeds})" if one.failed_seeds else ""
    return (
        f"{one.backbone}, trial {one.trial}: validation {title(metric)} "
        f"{value_text(one.search_value, metric)} in the search -> "
        f"{confirmed}{spread} with fresh seeds{failed}"
    )


def markdown(found: Confirmation) -> str:
    """Return a confirmation as Markdown, for a README or a paper."""
    parts = [
        f"Test {title_with_unit(found.metric)}, mean ± standard deviation over seeds.",
        _pipes(backbones_rows(found)),
    ]
    for one in found.backbones:
        parts += [f"**{one.backbone}**, trial {one.trial}:", _pipes(priced_rows(found, one))]
        if classes := class_rows(found, one):
            parts += [f"{class_title(found, one)}:", _pipes(classes)]
        parts += [f"{value_line(found, one)}.", f"**{one.verdict}.**"]
    notes = [f"The test split was read for {found.num_readings} trained models.", *found.remarks]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)]) + "\n"


def _pipes(rows: Rows) -> str:
    cells = [[cell.replace("|", r"\|") or " " for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def as_json(found: Confirmation) -> dict[str, Any]:
    """Return a confirmation as JSON-compatible data; nan becomes None."""
    return {
        "metric": found.metric,
        "num_readings": found.num_readings,
        "is_redrawn": found.is_redrawn,
        "num_comparisons": found.num_comparisons,
        "chance": found.chance,
        "progress": None if found.progress is None else found.progress.json,
        "remarks": list(found.remarks),
        "backbones": {
            one.backbone: {
                "trial": one.trial,
                "verdict": one.verdict,
                "search_value": one.search_value,
                "confirmed_value": _number(one.confirmed_value),
                "confirmed_spread": one.confirmed_spread,
                "failed_seeds": one.failed_seeds,
                "baseline": one.baseline.arm if one.baseline else None,
                "rival": one.rival.arm if one.rival else None,
                "rival_choice": one.rival_choice,
                "effects": {
                    "baseline": one.baseline.effect if one.baseline else None,
                    "rival": one.rival.effect if one.rival else None,
                },
                "arms": {arm.arm: _arm_json(arm) for arm in one.arms},
                "classes": class_json(found, one),
            }
            for one in found.backbones
        },
    }


def _arm_json(arm: ArmEvidence) -> dict[str, Any]:
    gains = {
        "over_baseline": (arm.over_baseline, arm.baseline_price),
        "method_over": (arm.method_over, arm.method_price),
        "over_control": (arm.over_control, arm.control_price),
    }
    fields = {name: value for name, value in arm._asdict().items() if not name.endswith("_price")}
    return {
        **fields,
        "cost": None if arm.cost is None else arm.cost._asdict(),
        "mean": _number(arm.mean),
        "seconds": _number(arm.seconds),
        "gpu_hours": _number(arm.gpu_hours),
        "accuracies": {str(seed): value for seed, value in arm.accuracies.items()},
        "failures": {str(seed): reason for seed, reason in arm.failures.items()},
        "lost": {str(seed): reason for seed, reason in arm.lost.items()},
        "agreements": {str(seed): value for seed, value in arm.agreements.items()},
        **{name: _gain_json(*found) for name, found in gains.items()},
    }


def _gain_json(found: Gain | None, price: Price | None) -> dict[str, Any] | None:
    if found is None:
        return None
    bill = None if price is None else price._asdict()
    return {**found._asdict(), "mean": _number(found.mean), "price": bill}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
