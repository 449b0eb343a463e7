"""A rehearsed trial: what its stages take follows from some of their steps."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from distill_tune.interfaces import ImageData
from distill_tune.tuning.dry_run import rehearsal
from distill_tune.tuning.dry_run.rehearsal import rehearse
from tests.distill.tiny import CPU, config


@pytest.fixture
def a_second_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever is timed be done once and take a second."""

    def one(_device: object, work: Callable[..., object], *given: Any, **named: Any) -> float:
        work(*given, **named)
        return 1.0

    monkeypatch.setattr(rehearsal, "_seconds", one)


@pytest.mark.usefixtures("a_second_each")
def test_stages_are_the_sums_of_their_steps(digits: ImageData) -> None:
    steps = len(digits.train.labels) // 80
    found = rehearse(config(joint={"epochs": 5, "refresh": 2}), digits, CPU).stages_s
    assert found["classifier"] == 3 * (steps + 1)
    assert found["warmup"] == 8 + 4
    assert found["triplet"] == 1 + 3
    # Steps, monitors and validation in each epoch; new labels before the third and the fifth.
    assert found["joint"] == 5 * (steps + 2) + 2


def test_epochs_that_measure_less_count_with_what_they_take(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one(_device: object, work: Callable[..., object], *given: Any, **named: Any) -> float:
        result = work(*given, **named)
        if not isinstance(result, dict) or "synthetic/diversity" not in result:
            return 0.0
        return 10.0 if "synthetic/vendi" in result else 1.0

    monkeypatch.setattr(rehearsal, "_seconds", one)
    found = rehearse(config(joint={"epochs": 8, "monitor_every": 3}), digits, CPU).stages_s
    # The first, third, sixth and last of eight epochs measure everything.
    assert found["joint"] == 4 * 10 + 4 * 1


@pytest.mark.usefixtures("a_second_each")
def test_an_adaptive_warm_up_counts_with_its_greatest_length(digits: ImageData) -> None:
    adaptive = config(gan={"warmup_steps": "auto"})
    assert rehearse(adaptive, digits, CPU).stages_s["warmup"] == 8 + adaptive.warmup_limit


@pytest.mark.usefixtures("a_second_each")
@pytest.mark.parametrize(
    ("joint", "num_labellings"),
    [
        ({"refresh": 1}, 4),
        ({"refresh": 3}, 1),
        ({"refresh": "plateau"}, 2),
        ({"refresh": "never"}, 0),
        ({"refresh": 1, "extra_images": "none"}, 0),
    ],
)
def test_labels_are_renewed_as_the_trial_renews_them(
    digits: ImageData, joint: dict[str, Any], num_labellings: int
) -> None:
    steps = len(digits.train.labels) // 80
    found = rehearse(config(joint={"epochs": 5, **joint}), digits, CPU).stages_s
    assert found["joint"] - 5 * (steps + 2) == num_labellings


def test_every_stage_of_a_real_trial_is_timed(digits: ImageData) -> None:
    found = rehearse(config(), digits, CPU)
    assert all(0 < seconds < 60 for seconds in found.stages_s.values()), found
    assert min(found.checkpoint_bytes, found.model_bytes) > 0
    assert found.gpu is None


def test_without_a_gan_its_warm_up_takes_no_time(digits: ImageData) -> None:
    found = rehearse(config(joint={"extra_images": "hard"}), digits, CPU).stages_s
    assert [stage for stage, seconds in found.items() if seconds == 0] == ["warmup"]


def test_a_generator_that_has_learnt_nothing_stops_no_rehearsal(digits: ImageData) -> None:
    strict = {"collapse_policy": "stop", "unfit_policy": "stop", "max_discriminator_gap": 1e-9}
    assert rehearse(config(joint=strict), digits, CPU).stages_s["joint"] > 0


def test_a_first_call_is_not_counted() -> None:
    waits = [0.2]
    assert rehearsal._seconds(CPU, lambda: time.sleep(waits.pop() if waits else 0)) < 0.1
