"""A run of a confirmation without Ray: what its outcome, and so the log, says of its generator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from distill_tune.confirmation.run import ArmRun, ArmTrial, RunSettings
from distill_tune.distill.backbones import Backbone
from distill_tune.distill.monitoring.fidelity import Fidelity
from distill_tune.interfaces import ImageData
from distill_tune.study.arms import ARMS
from tests.distill import tiny


@pytest.fixture(autouse=True)
def _tiny_backbone() -> Iterator[None]:
    with patch.object(Backbone, "build", tiny.build):
        yield


def running(root: Path, images: ImageData, arm: str, **changes: Any) -> ArmTrial:
    """Return a run that has not begun, or that goes on where an earlier one stopped."""
    run = ArmRun(
        name=f"confirm-{arm}",
        phase="evidence",
        backbone=tiny.TINY,
        arm=ARMS[arm],
        trial=0,
        config=ARMS[arm].config(tiny.config(**changes)),
        key="key",
        is_tuned=False,
        is_concerned=True,
        is_redrawn=False,
    )
    settings = RunSettings(str(root), "val/accuracy", 1.0, {"CPU": 1}, is_sharing=False)
    return ArmTrial(run, images, settings, tiny.CPU)


def test_the_outcome_holds_the_newest_agreement_though_its_stages_were_not_shared(
    tmp_path: Path, digits: ImageData
) -> None:
    whole = running(tmp_path, digits, "gan_distillation")
    reports = list(whole.reports())
    whole.close()
    (*_, newest) = [report.metrics["synthetic/agreement"] for report in reports[-2:]]
    assert whole.outcome("complete").agreement == newest
    # One that goes on from the last checkpoint has no report to take it from.
    again = running(tmp_path, digits, "gan_distillation")
    assert list(again.reports()) == []
    again.close()
    assert again.outcome("complete").agreement == newest
    (whole_rows, again_rows) = (
        (outcome.class_agreements, outcome.class_diversities)
        for outcome in (whole.completed(), again.completed())
    )
    assert whole_rows == again_rows
    agreements, diversities = whole_rows
    assert len(agreements) == len(diversities) == digits.num_classes
    assert all(0 <= share <= 1 for share in agreements)
    assert min(value for value in diversities if value is not None) > 0


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("gan_distillation", 0.3),
        ("gan_augmentation", 0.3),
        ("baseline", None),
        ("equal_steps", None),
        ("hard_oversampling", None),
        ("strong_augmentation", None),
        ("affine_balanced", None),
        ("selected_augmentation", 0.3),
    ],
)
def test_only_an_arm_that_uses_a_generator_has_an_agreement(
    tmp_path: Path, digits: ImageData, arm: str, expected: float | None
) -> None:
    """Every arm may have taken over a warmed GAN; one that failed says how fit it was, too."""
    run = running(tmp_path, digits, arm)
    assert run.outcome("failed", "diverged").agreement is None
    run.trial.state.gan.fidelity += [Fidelity(2, 0.9, 1.0), Fidelity(4, 0.3, 1.0)]
    assert run.outcome("failed", "diverged").agreement == expected
    run.close()


@pytest.mark.parametrize(
    ("arm", "phase"), [("equal_steps", "evidence"), ("gan_distillation", "selection")]
)
def test_results_by_class_are_measured_only_where_they_are_shown(
    tmp_path: Path, digits: ImageData, arm: str, phase: str
) -> None:
    run = running(tmp_path, digits, arm)
    run._run = run._run._replace(phase=phase)
    found = run.completed()
    assert (found.class_agreements, found.class_diversities) == ((), ())
    run.close()
