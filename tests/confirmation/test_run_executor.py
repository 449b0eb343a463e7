"""The slots of a confirmation: with ``gpus: fit``, as many runs share a GPU as trials did."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from distill_tune.cluster.resources import Slots
from distill_tune.confirmation import run_executor
from distill_tune.confirmation.run_executor import RunExecutor
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.gpu_use import PACKING, GpuUse
from distill_tune.tuning.journal import Journal
from tests.tuning.test_gpu_sharing import LARGE, SMALL, nodes, study


class Said:
    """Takes what is said."""

    address = None

    def say(self, _: str) -> None: ...


@pytest.mark.parametrize(
    ("gpus", "second", "expected"),
    [
        ("fit", LARGE, Slots({"CPU": 1, "GPU": 0.5}, 2)),
        ("fit", None, Slots({"CPU": 1, "GPU": 1}, 1)),
        ("auto", LARGE, Slots({"CPU": 1, "GPU": 1}, 1)),
    ],
)
def test_runs_get_the_share_that_the_search_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: str,
    second: GpuUse | None,
    expected: Slots,
) -> None:
    nodes(monkeypatch, {"CPU": 64.0, "GPU": 1.0})
    monkeypatch.setattr(run_executor, "cluster", lambda _: nullcontext())
    monkeypatch.setattr(run_executor, "check_nodes", lambda *_: None)
    (tmp_path / "study.yaml").touch()
    journal = Journal(StudyDirectory(str(tmp_path)), lambda *_: None)
    journal.emit("session_started", command="search", study={})
    for backbone, use in (("squeezenet1_1", SMALL), ("shufflenet_v2_x0_5", second)):
        if use is not None:
            journal.emit(PACKING, backbone=backbone, **use._asdict())
    said: Any = Said()
    unused: Any = None
    with RunExecutor(study(gpus), unused, journal, said, said, 1) as executor:
        assert executor._start() == expected
