"""A small network under the name of a large one, and states that several tests start from."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from distill_tune.datasets.digits import Digits
from distill_tune.distill.backbones import Backbone
from distill_tune.distill.joint_stage import enter
from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData
from tests.distill.tiny import build, packed, run_until, trial, unpacked

Begin = Callable[..., Trial]
"""Takes changes of the small configuration and returns a trial at some point of its life."""


@pytest.fixture(scope="package", autouse=True)
def _tiny_backbone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backbone, "build", build)
        yield


@pytest.fixture(scope="package")
def partly_labelled() -> ImageData:
    """Return digits of which 16 of each class have labels; hundreds of others have none."""
    data = Digits(kind="digits", train_per_class=16, val_per_class=10, unlabelled="rest")
    return data.load()


@pytest.fixture(scope="package")
def joint_state(digits: ImageData) -> bytes:
    """Return the checkpoint of a trial that has been through stages 1 and 2."""
    running = trial(digits, classifier={"epochs": 12})
    return packed(run_until(running, "triplet").state_dict())


@pytest.fixture
def at_joint(digits: ImageData, joint_state: bytes) -> Begin:
    """Return what begins stage 3 from that checkpoint with other fields."""

    def begin(**changes: Any) -> Trial:
        changes["classifier"] = {"epochs": 12} | changes.get("classifier", {})
        begun = trial(digits, **changes)
        begun.load_state_dict(unpacked(joint_state))
        enter(begun.state, begun.config)
        return begun

    return begin
