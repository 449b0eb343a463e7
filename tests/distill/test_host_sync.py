"""Within an epoch the host never waits for the device: what would make it is counted here."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from distill_tune.distill.classifier_stage import real_batches
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Trial
from tests.distill.conftest import Begin

WAITING = {
    "_local_scalar_dense",
    "bincount",
    "equal",
    "is_nonzero",
    "item",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
}
"""Operations whose result the host has to see before it goes on."""
TO_HOST = {"cpu", "numpy", "tolist", "item", "__bool__", "__int__", "__float__", "__index__"}


class Waits(TorchDispatchMode):
    """Counts operations for which the host waits, and indexing with a mask."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: Counter[str] = Counter()
        self.allowed: Tensor | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        is_mask = name in {"index", "index_put", "index_put_"} and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if is_mask or (name in WAITING and args[0] is not self.allowed):
            self.found[f"{name} with a mask" if is_mask else name] += 1
        return func(*args, **(kwargs or {}))


class Journeys(TorchFunctionMode):
    """Counts what is asked of tensors that lie on the device and is on the host afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.allowed: Tensor | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        given = (*args, *(kwargs or {}).values())
        is_device = name == "to" and any(isinstance(one, torch.device) for one in given)
        if (name in TO_HOST and args[0] is not self.allowed) or is_device:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def watching(running: Trial) -> Iterator[tuple[Waits, Journeys]]:
    """Count; the step number of the average, which is on the host on every machine, is free."""
    waits, journeys = Waits(), Journeys()
    waits.allowed = journeys.allowed = running.state.gan.ema.n_averaged
    assert waits.allowed.device.type == "cpu"
    with waits, journeys:
        yield waits, journeys


def steps_of_an_epoch(
    running: Trial, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Counter[str], Counter[str]]]:
    """Return what each step of a joint epoch made the host wait for."""
    found: list[tuple[Counter[str], Counter[str]]] = []
    stage = JointStage(running.trainer, Reference.measure(running.trainer))
    with watching(running) as (waits, journeys):

        def stepping(*args: Any, **options: Any) -> Iterator[Any]:
            batches = real_batches(*args, **options)
            # The order of the images is drawn with the first batch, once an epoch.
            yield next(batches)
            for batch in batches:
                found.append((Counter(waits.found), Counter(journeys.found)))
                waits.found.clear()
                journeys.found.clear()
                yield batch

        monkeypatch.setattr("distill_tune.distill.joint_stage.real_batches", stepping)
        stage._train(1)
    return found


CHANGES: list[dict[str, Any]] = [
    {},
    {"joint": {"batch_norm": "mixed", "feature_norm": "l2"}},
    {"gan": {"mode_seeking": 1.0, "discriminator_steps": 2}},
    {"classifier": {"augmentation": "affine"}},
]


@pytest.mark.parametrize("changes", CHANGES, ids=["default", "mixed", "mode-seeking", "affine"])
@pytest.mark.parametrize("pairing", ["class", "any"])
def test_a_step_never_waits_for_the_device(
    at_joint: Begin, pairing: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    joint = {"pairing": pairing, **changes.get("joint", {})}
    classifier = {"batch_size": 40, **changes.get("classifier", {})}
    running = at_joint(**{**changes, "joint": joint, "classifier": classifier})
    steps = steps_of_an_epoch(running, monkeypatch)
    assert len(steps) > 1
    assert steps[1:] == [(Counter(), Counter())] * (len(steps) - 1)


def test_assignment_travels_to_the_host_once_a_step_and_back_once(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = at_joint(classifier={"batch_size": 40})
    assert running.config.joint.pairing == "assign"
    steps = steps_of_an_epoch(running, monkeypatch)
    assert len(steps) > 1
    for waits, journeys in steps[1:]:
        assert waits == Counter()
        assert journeys == Counter({"cpu": 1, "numpy": 1, "to": 1})


def test_selection_waits_once_a_step_for_how_many_images_are_kept(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint = {"pairing": "any", "selection": "agree", "candidates": 2}
    steps = steps_of_an_epoch(at_joint(joint=joint, classifier={"batch_size": 40}), monkeypatch)
    assert len(steps) > 1
    assert steps[1:] == [(Counter({"index with a mask": 1}), Counter())] * (len(steps) - 1)


def test_the_counters_see_what_makes_the_host_wait(at_joint: Begin) -> None:
    numbers = torch.arange(4)
    with watching(at_joint()) as (waits, journeys):
        numbers[numbers > 1].sum().item()
        numbers.unique()
        numbers.nonzero()
        bool(numbers.any())
        numbers.cpu()
    assert waits.found["index with a mask"] == 1
    assert {"_unique2", "nonzero", "_local_scalar_dense"} <= set(waits.found)
    assert {"cpu", "item"} <= set(journeys.found)
