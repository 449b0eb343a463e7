"""Slots on GPUs and shares of them, what is recorded of a trial's use, when to go on with more."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from rich.console import Console

from distill_tune.cluster.resources import Slots, packed, present_slots, slots
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.gpu_use import GpuUse, gpu_uses, share
from distill_tune.records.status import status_info, status_json
from distill_tune.study.sections import Resources
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.terminal.search_view import ConsoleSearchView
from distill_tune.terminal.study_tables import status_table
from distill_tune.training.memory import memory_detail
from distill_tune.tuning.callbacks.gpu_sharing import PackingCallback
from distill_tune.tuning.interrupts import Drain
from distill_tune.tuning.journal import Journal
from tests.commands import STUDY

SMALL = GpuUse(3 * 2**30, 80 * 2**30, 0.24)
"""Of which five fit."""
LARGE = GpuUse(30 * 2**30, 80 * 2**30, 0.24)
"""Of which two fit."""
WORDS = (
    "squeezenet1_1: one trial takes 3.0 GiB of 80.0 GiB and 24 % of the time of its GPU: "
    "5 fit (resources.gpus: 0.2)"
)


def nodes(monkeypatch: pytest.MonkeyPatch, *resources: dict[str, float]) -> None:
    every: list[dict[str, Any]] = [
        {"Alive": True, "NodeID": str(number), "Resources": each}
        for number, each in enumerate(resources)
    ]
    every.append({"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}})
    monkeypatch.setattr(ray, "nodes", lambda: every)


@pytest.mark.parametrize(
    ("gpus", "count"),
    [
        (0.3, 6),
        (0.4, 4),  # not five: what is left of two GPUs is no whole share
        (0.6, 2),
        (0.3333, 6),
        (1 / 3, 6),
        (0.34, 4),
        (0.07, 28),
        (1.0, 2),
        (2.0, 1),
        ("auto", 2),
        ("fit", 2),
        (0.0, 64),
    ],
)
def test_a_share_is_of_one_gpu(monkeypatch: pytest.MonkeyPatch, gpus: Any, count: int) -> None:
    nodes(monkeypatch, {"CPU": 64.0, "GPU": 2.0})
    assert slots(Resources(gpus=gpus)).count == count


def test_every_node_counts_for_itself_and_cores_bound_it(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes(monkeypatch, {"CPU": 3.0, "GPU": 1.0}, {"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0})
    assert slots(Resources(gpus=0.25)).count == 3 + 8
    assert slots(Resources(gpus=0.25, cpus=4)).count == 0 + 4
    assert slots(Resources(gpus=0.25, max_concurrent=5)).count == 5
    assert slots(Resources(gpus=0, cpus=0.1)).count == 30 + 160 + 160


def test_a_type_of_accelerator_is_asked_of_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    with_type = {"CPU": 8.0, "GPU": 2.0, "accelerator_type:H100": 1.0}
    nodes(monkeypatch, with_type, {"CPU": 8.0, "GPU": 4.0, "accelerator_type:A100": 1.0}, with_type)
    found = slots(Resources(accelerator="H100"))
    assert found.bundle == {"CPU": 1, "GPU": 1.0, "accelerator_type:H100": 0.001}
    assert found.count == 4
    assert slots(Resources()).count == 8
    refused = "got 1 CPU, 1 GPU of type H200 per trial, expected at most what one node has"
    with pytest.raises(InputError, match=refused) as caught:
        slots(Resources(accelerator="H200"))
    has = "8 CPU, 2 GPU of type H100; 8 CPU, 4 GPU of type A100; 8 CPU, 2 GPU of type H100"
    assert str(caught.value).endswith(has)


@pytest.mark.parametrize("count", range(2, 17))
def test_so_many_share_each_gpu(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    nodes(monkeypatch, {"CPU": 64.0, "GPU": 3.0})
    resources = Resources(gpus="fit")
    shared = packed(resources, slots(resources), count)
    assert shared == Slots({"CPU": 1, "GPU": share(count)}, 3 * count)


def test_a_gpu_is_not_shared_where_that_lets_no_more_trials_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes(monkeypatch, {"CPU": 2.0, "GPU": 2.0})
    for resources in (Resources(gpus="fit"), Resources(gpus="fit", max_concurrent=2)):
        whole = slots(resources)
        assert packed(resources, whole, 4) is whole


def study(gpus: str = "fit", num_trials: int = 6) -> Study:
    text = STUDY.replace("num_trials: 6", f"num_trials: {num_trials}")
    return parse(Study, read_yaml_text(f"{text}resources: {{gpus: {gpus}}}\n", "tiny.yaml"))


class Searching:
    """A search on one GPU that is told what Ray would tell it."""

    def __init__(self, folder: Path, study: Study) -> None:
        self.study, self.terminal = study, io.StringIO()
        (folder / "study.yaml").touch()
        progress = ConsoleSearchView(Console(file=self.terminal, width=400), study)
        self.journal = Journal(StudyDirectory(str(folder)), progress.listen)
        self.begin()

    def begin(self) -> None:
        """Begin a session."""
        self.journal.emit("session_started", command="search", study={})
        self.whole = slots(self.study.resources)
        self.slots = present_slots(self.study, self.whole, gpu_uses(self.journal.packing_events))
        self.drain = Drain()
        self.callback = PackingCallback(
            self.study, self.journal, self.whole, self.slots, self.drain
        )

    def tell(self, what: str, number: int, **result: Any) -> bool:
        """Tell of a trial; return whether the experiment is to end."""
        backbone = ("squeezenet1_1", "shufflenet_v2_x0_5")[number % 2]
        trial = SimpleNamespace(config={"backbone": backbone, "number": number})
        getattr(self.callback, f"on_{what}")(iteration=1, trials=[], trial=trial, result=result)
        return self.drain.is_begun

    def epoch(self, number: int, use: GpuUse | None = None) -> bool:
        return self.tell("trial_result", number, **({"gpu_use": use._asdict()} if use else {}))

    def uses(self) -> list[tuple[str, int]]:
        found = [event for event in self.journal.directory.events() if event["event"] == "packing"]
        return [(event["backbone"], event["memory_bytes"] // 2**30) for event in found]


@pytest.fixture
def _one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes(monkeypatch, {"CPU": 64.0, "GPU": 1.0})


@pytest.mark.usefixtures("_one_gpu")
def test_when_every_backbone_was_seen_and_every_trial_is_saved_more_go_on(tmp_path: Path) -> None:
    search = Searching(tmp_path, study())
    assert not search.tell("trial_start", 0)
    assert not search.epoch(0, SMALL)
    assert not search.tell("trial_complete", 0)
    assert not search.tell("trial_start", 1)
    assert search.epoch(1, LARGE)
    present = present_slots(search.study, search.whole, gpu_uses(search.journal.packing_events))
    assert (search.slots.count, present) == (1, Slots({"CPU": 1, "GPU": 0.5}, 2))
    assert search.callback.is_due
    # One whose process was being started does not keep the others from going on.
    search.tell("trial_start", 2)
    assert search.callback.is_due


@pytest.mark.usefixtures("_one_gpu")
def test_a_trial_without_an_epoch_is_waited_for_until_it_has_one_or_is_over(
    tmp_path: Path,
) -> None:
    search = Searching(tmp_path, study())
    for number in range(3):
        search.tell("trial_start", number)
    search.epoch(0, SMALL)
    search.epoch(1, SMALL)
    assert not search.epoch(0)
    assert not search.epoch(1)
    assert search.tell("trial_error", 2)


@pytest.mark.usefixtures("_one_gpu")
@pytest.mark.parametrize(
    ("made", "use"),
    [
        (study("auto"), SMALL),
        (study(num_trials=2), GpuUse(70 * 2**30, 80 * 2**30, 0.1)),
        (study(num_trials=2), SMALL._replace(utilisation=1.0)),
    ],
)
def test_an_experiment_is_not_ended_for_nothing(tmp_path: Path, made: Study, use: GpuUse) -> None:
    search = Searching(tmp_path, made)
    for number in range(2):
        search.tell("trial_start", number)
        search.epoch(number, use)
        assert not search.epoch(number)
    assert (
        present_slots(made, search.whole, gpu_uses(search.journal.packing_events)) is search.whole
    )


@pytest.mark.usefixtures("_one_gpu")
def test_the_last_trial_goes_on_alone(tmp_path: Path) -> None:
    search = Searching(tmp_path, study(num_trials=2))
    for number in range(2):
        search.tell("trial_start", number)
        if number == 0:
            named = {"name": "a", "backbone": "squeezenet1_1", "params": {}, "raw": {}}
            search.journal.emit("trial_started", trial=0, **named)
            search.epoch(0, SMALL)
            search.journal.emit("trial_ended", trial=0, status="complete", reason="", detail="")
            search.tell("trial_complete", 0)
    search.epoch(1, SMALL)
    assert not search.epoch(1)


@pytest.mark.usefixtures("_one_gpu")
def test_a_resumed_study_knows_how_many_fit(tmp_path: Path) -> None:
    search = Searching(tmp_path, study())
    search.epoch(0, SMALL)
    search.begin()
    assert search.slots is search.whole, "not every backbone was seen"
    search.epoch(1, SMALL)
    search.begin()
    assert search.slots == Slots({"CPU": 1, "GPU": 0.2}, 5)


def test_a_resumed_study_on_a_machine_without_gpus_uses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes(monkeypatch, {"CPU": 64.0, "GPU": 1.0})
    search = Searching(tmp_path, study())
    search.epoch(0, SMALL)
    search.epoch(1, SMALL)
    nodes(monkeypatch, {"CPU": 4.0})
    search.begin()
    assert search.slots == Slots({"CPU": 1}, 4)


@pytest.mark.usefixtures("_one_gpu")
def test_a_session_records_a_backbone_once_unless_fewer_fit(tmp_path: Path) -> None:
    search = Searching(tmp_path, study("auto"))
    for use in (SMALL, SMALL, SMALL._replace(utilisation=0.1), LARGE, SMALL):
        search.epoch(0, use)
    search.epoch(1)
    assert search.uses() == [("squeezenet1_1", 3), ("squeezenet1_1", 30)]
    search.begin()
    search.epoch(0, SMALL)
    assert [memory for _, memory in search.uses()] == [3, 30, 3]


@pytest.mark.usefixtures("_one_gpu")
def test_the_terminal_and_the_status_say_what_fits(tmp_path: Path) -> None:
    search = Searching(tmp_path, study("auto"))
    search.epoch(0, SMALL)
    assert f"{WORDS}\n" in search.terminal.getvalue()
    info = status_info(search.journal.directory)
    shown = io.StringIO()
    Console(file=shown, width=400).print(status_table(info))
    assert f"{WORDS}\n" in shown.getvalue()
    plain = json.loads(json.dumps(status_json(info)))
    assert plain["packing"] == {"squeezenet1_1": {**SMALL._asdict(), "trials_per_gpu": 5}}


def test_out_of_its_share_a_trial_says_what_it_had() -> None:
    config: TrialConfig = study().trial_config("squeezenet1_1", {})
    said = "CUDA out of memory. Tried to allocate 2 GiB"
    assert memory_detail(config, said, share=0.25) == (
        "squeezenet1_1 with batches of 30, GAN 10, on 0.25 of a GPU (resources.gpus): " + said
    )
    assert "of a GPU" not in memory_detail(config, said, share=1)
