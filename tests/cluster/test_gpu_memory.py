"""What one trial takes of a GPU: when it is measured, and how; the GPU is made up."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from distill_tune.cluster import gpu_memory
from distill_tune.cluster.gpu_memory import GpuMeter, memory_in_use, utilisation_reader
from distill_tune.distill.trial import Report
from distill_tune.interfaces import Stage
from distill_tune.study.sections import Resources
from distill_tune.training.devices import device_of

STAGES: list[Stage] = ["classifier", "triplet", "joint", "joint"]
AUTO, WHOLE = Resources(), {"CPU": 1.0, "GPU": 1.0}


class Gpu:
    """A GPU that is as busy as the stage of the trial makes it, and is asked without waiting."""

    def __init__(self) -> None:
        self.busy: float | None = 0.0
        self.num_asked = 0
        self.asked = threading.Event()

    def read(self) -> float | None:
        self.num_asked += 1
        self.asked.set()
        return self.busy

    def work(self, busy: float | None) -> None:
        """Be busy until that was seen."""
        self.busy = busy
        self.asked.clear()
        assert self.asked.wait(60)
        # Asked again, it has noted the first answer.
        self.asked.clear()
        assert busy is None or self.asked.wait(60)

    def reports(self, *busy: float | None) -> Iterator[Report]:
        for step, (stage, now) in enumerate(zip(STAGES, busy, strict=False), start=1):
            self.work(now)
            yield Report(stage, step, 4, {}, 0.0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    made = Gpu()
    monkeypatch.setattr(gpu_memory, "_EVERY_S", 0.001)
    monkeypatch.setattr(gpu_memory, "memory_in_use", lambda: (3, 80))
    monkeypatch.setattr(gpu_memory, "utilisation_reader", lambda: made.read)
    return made


def begun(
    backbone: str = "alexnet", resources: Resources = AUTO, bundle: dict[str, float] = WHOLE
) -> GpuMeter:
    meter = GpuMeter()
    meter.begin(backbone, resources, bundle)
    return meter


def test_the_first_epoch_is_measured_and_not_the_stages_before_it(gpu: Gpu) -> None:
    meter = begun()
    reports = meter.watch(gpu.reports(1.0, 1.0, 0.25))
    for expected in STAGES[:2]:
        assert next(reports).stage == expected
        assert meter.take_use() == {}
    assert next(reports).stage == "joint"
    use = meter.take_use()["gpu_use"]
    assert (use["memory_bytes"], use["total_bytes"]) == (3, 80)
    # One sample at most is of the moment before.
    assert 0.25 <= use["utilisation"] < 1
    assert meter.take_use() == {}


def test_reports_go_on_after_it_unwatched(gpu: Gpu) -> None:
    meter, busy = begun(), [0.5] * 3
    reports = gpu.reports(*busy)
    for report in meter.watch(reports):
        if report.stage == "joint":
            break
    asked = gpu.num_asked
    gpu.work = lambda _: None  # type: ignore[assignment,method-assign]
    assert [report.stage for report in meter.watch(reports)] == []
    assert gpu.num_asked == asked


def test_a_backbone_is_measured_once_by_a_process(gpu: Gpu) -> None:
    meter = begun("alexnet")
    list(meter.watch(gpu.reports(0.1, 0.1, 0.1)))
    assert meter.take_use()
    meter.begin("alexnet", AUTO, WHOLE)
    again = iter([Report("joint", 1, 4, {}, 0.0)])
    assert meter.watch(again) is again
    meter.begin("resnet50", AUTO, WHOLE)
    list(meter.watch(gpu.reports(0.1, 0.1, 0.1)))
    assert meter.take_use()


@pytest.mark.parametrize(
    ("gpus", "bundle"),
    [
        ("auto", {"CPU": 1.0}),
        ("fit", {"CPU": 1.0, "GPU": 0.25}),
        (1.0, WHOLE),
        (0.5, {"CPU": 1.0, "GPU": 0.5}),
    ],
)
def test_what_nobody_asks_for_or_others_share_is_not_measured(
    gpu: Gpu, gpus: Any, bundle: dict[str, float]
) -> None:
    meter = begun(resources=Resources(gpus=gpus), bundle=bundle)
    reports = iter([Report("joint", 1, 4, {}, 0.0)])
    assert list(meter.watch(reports)) == [Report("joint", 1, 4, {}, 0.0)]
    assert (meter.take_use(), gpu.num_asked) == ({}, 0)


def test_a_driver_that_does_not_know_is_asked_once(gpu: Gpu) -> None:
    meter = begun()
    gpu.busy = None
    reports = iter([Report("triplet", 1, 4, {}, 0.0), Report("joint", 1, 4, {}, 0.0)])
    watched = meter.watch(reports)
    next(watched)
    assert gpu.asked.wait(60)
    next(watched)
    assert meter.take_use() == {
        "gpu_use": {"memory_bytes": 3, "total_bytes": 80, "utilisation": None}
    }
    assert gpu.num_asked == 1


def failing() -> Iterator[Report]:
    yield Report("triplet", 1, 4, {}, 0.0)
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_trial_that_fails_is_no_more_watched_and_says_why_it_failed(gpu: Gpu) -> None:
    before = threading.active_count()
    meter = begun()
    with pytest.raises(torch.OutOfMemoryError):
        list(meter.watch(failing()))
    assert (meter.take_use(), threading.active_count()) == ({}, before)
    gpu.asked.clear()
    assert not gpu.asked.wait(0.05)


def test_what_the_driver_counts_beside_tensors_is_the_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (60, 80))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 15)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 40)
    assert memory_in_use() == (40 + 5, 80)


def test_on_a_share_the_neighbours_memory_is_not_the_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gib = 2**30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10 * gib, 80 * gib))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 2 * gib)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 3 * gib)
    memory, total = memory_in_use(0.25)
    assert (memory - 3 * gib, total) == (600 * 2**20, 80 * gib)
    assert memory_in_use()[0] == (3 + 68) * gib


def test_the_peak_of_an_earlier_trial_is_forgotten_where_one_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    for name in ("empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: calls.append(name))
    assert begun().is_due
    assert calls == ["empty_cache", "reset_peak_memory_stats"]
    assert not begun(bundle={"CPU": 1.0}).is_due
    assert len(calls) == 2
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert begun().is_due
    assert len(calls) == 2


def says(text: str, code: int = 0) -> Callable[..., Any]:
    def run(command: list[str], **_options: Any) -> Any:
        assert command[:2] == ["nvidia-smi", "--id=GPU-1a2b"]
        if code:
            raise subprocess.CalledProcessError(code, command)
        return SimpleNamespace(stdout=text)

    return run


def missing(*_command: Any, **_options: Any) -> Any:
    raise FileNotFoundError("nvidia-smi")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (says("22\n"), 0.22),
        (says("[N/A]\n"), None),
        (says(""), None),
        (says("", code=9), None),
        (missing, None),
    ],
)
def test_the_drivers_own_tool_tells_how_busy_this_gpu_is(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any], expected: float | None
) -> None:
    properties = SimpleNamespace(uuid="1a2b")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: properties)
    monkeypatch.setattr(subprocess, "run", run)
    assert utilisation_reader()() == expected


@pytest.mark.parametrize(
    ("bundle", "device", "limits"),
    [
        ({"CPU": 1.0}, "cpu", []),
        ({"CPU": 1.0, "GPU": 1.0}, "cuda:0", []),
        ({"CPU": 1.0, "GPU": 2.0}, "cuda:0", []),
        ({"CPU": 1.0, "GPU": 0.25}, "cuda:0", [pytest.approx(0.225)]),
    ],
)
def test_a_share_of_a_gpu_is_a_share_of_its_memory(
    monkeypatch: pytest.MonkeyPatch, bundle: dict[str, float], device: str, limits: list[float]
) -> None:
    told: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    assert str(device_of(bundle)) == device
    assert told == limits
