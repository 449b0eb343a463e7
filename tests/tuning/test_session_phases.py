"""A session's phases without Ray: trials and controls, then finalists; interrupted anywhere."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer import Exit

from distill_tune.api import search
from distill_tune.cli.running import CommandOptions, run_search
from distill_tune.cluster.resources import Slots
from distill_tune.errors import DiskFullError, StorageError
from distill_tune.interfaces import ImageData
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.event_log import LOG_FILE
from distill_tune.records.files.local_files import LocalFiles
from distill_tune.records.trials import StudyState, best
from distill_tune.study.opened_study import StudyRequest, open_new
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml, read_yaml_text
from distill_tune.training.stages import Job
from distill_tune.tuning.extras.open_runs import open_extras
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.run_options import RunOptions
from distill_tune.tuning.session import Session
from distill_tune.tuning.stopping.stop_rules import StopRules
from tests.clock import Clock
from tests.commands import ONE_AT_A_TIME

BACKBONE = "shufflenet_v2_x0_5"
TEXT = ONE_AT_A_TIME.replace(
    "controls: []", "controls: [equal_steps], finalists: {top: 2, seeds: 3}"
)


class Silent:
    """A view that shows nothing."""

    def say(self, text: str) -> None: ...

    def expect(self, time_left: object) -> None: ...

    def listen(self, *arguments: object) -> None: ...

    def stage(self, *arguments: object) -> None: ...


@dataclass
class Machine:
    """Stand-in for Ray that runs trials and stages at once.

    Attributes:
        patience: Runs that it ends before it is interrupted.
        done: Names of the runs that it ended.
        jobs: Names of the stages that it was asked for.
        interrupts_drain: Whether it is interrupted while a rule drains the trials.
        late_value: Value of a trial that ends while a rule drains; None for no such trial.
        is_time_over: Returns whether the time budget is used up, as trials are told.
    """

    patience: int = 99
    done: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    interrupts_drain: bool = False
    late_value: float | None = None
    is_time_over: Callable[[], bool] = lambda: False

    def tune(self, study: Study, _: ImageData, journal: Journal, *options: Any) -> bool:
        self.is_time_over = options[-1].is_time_over
        rules = StopRules(study, journal, {"CPU": 1})
        if not self._extras(study, journal, rules):
            return False
        if journal.state.stop is not None:
            return True
        for number in range(len(journal.state.trials), study.search.num_trials):
            if not self._is_going_on(f"{BACKBONE}-{number:04d}"):
                return False
            self._trial(journal, number, study.max_epochs)
            if rules.stop_if_broken():
                if self.late_value is not None:
                    self._trial(journal, number + 1, study.max_epochs, self.late_value)
                return not self.interrupts_drain
        return True

    def _extras(self, study: Study, journal: Journal, rules: StopRules) -> bool:
        """Return whether nobody interrupted them; a rule may have stopped them."""
        for extra in open_extras(study, journal.state):
            if not self._is_going_on(extra["extra"]["name"]):
                return False
            self._extra(journal, extra, study.max_epochs)
            if rules.may_stop and rules.stop_if_broken():
                return True
        return True

    def _is_going_on(self, name: str) -> bool:
        self.patience -= 1
        if self.patience < 0 or self.is_time_over():
            return False
        self.done.append(name)
        return True

    def _extra(self, journal: Journal, extra: dict[str, Any], epochs: int) -> None:
        about = {**extra["extra"], "backbone": BACKBONE, "params": extra["params"], "words": "w"}
        journal.emit("extra_started", **about)
        # The second trial is best on the further seeds, the first on that of the search.
        metrics = {"objective": {None: 0.5, 0: 0.6, 1: 0.7, 2: 0.1}[about["trial"]]}
        journal.emit("extra_epoch", name=about["name"], epoch=epochs, metrics=metrics)
        over = {"status": "complete", "reason": "", "detail": ""}
        journal.emit("extra_ended", name=about["name"], **over)

    def _trial(
        self, journal: Journal, number: int, epochs: int, value: float | None = None
    ) -> None:
        name = f"{BACKBONE}-{number:04d}"
        params = {"joint.margin": 0.1 * (number + 1)}
        journal.emit(
            "trial_started", trial=number, name=name, backbone=BACKBONE, params=params, raw={}
        )
        objective = 0.8 - 0.01 * number if value is None else value
        metrics = {"objective": objective, "seconds/joint": 1.0}
        journal.emit("epoch", trial=number, epoch=epochs, metrics=metrics)
        journal.end_trial(number, name, status="complete", reason="", detail="")

    def stages(self, jobs: Sequence[Job], *_: Any) -> None:
        self.jobs += [job.name for job in jobs]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()

    @contextmanager
    def no_cluster(_: object, **__: object) -> Iterator[None]:
        yield

    slots = Slots({"CPU": 1}, 1)
    monkeypatch.setattr("distill_tune.tuning.session.cluster", no_cluster)
    monkeypatch.setattr("distill_tune.tuning.session.slots", lambda *_: slots)
    monkeypatch.setattr(Session, "_check_nodes", lambda *_: None)
    monkeypatch.setattr("distill_tune.tuning.tuner.tune_trials", found.tune)
    monkeypatch.setattr("distill_tune.tuning.shared_stage_tasks.run_stages", found.stages)
    return found


@functools.cache
def images() -> ImageData:
    """Return the study's images, which take longer to read than a session here."""
    return parse(Study, read_yaml_text(TEXT, "tiny.yaml")).data.load()


def searched(root: Path, *assignments: str, text: str = TEXT) -> StudyState:
    document = read_yaml_text(text, "tiny.yaml")
    for assignment in assignments:
        document.set(assignment)
    study = parse(Study, document)
    options: Any = RunOptions(command="search", views=Silent())  # type: ignore[arg-type]
    view: Any = Silent()
    directory = StudyDirectory(str(root))
    return Session(study, directory, images(), view, options).run()


def test_finalists_follow_and_choose_the_winner(tmp_path: Path, machine: Machine) -> None:
    state = searched(tmp_path)
    assert machine.done == [
        f"control-{BACKBONE}-equal_steps",
        *(f"{BACKBONE}-{number:04d}" for number in range(3)),
        *(
            f"finalist-{BACKBONE}-{number:04d}-seed{seed}"
            for seed in (10_001, 10_002)
            for number in (0, 1)
        ),
    ]
    assert state.sessions[-1].status == "finished"
    winner = best(state, BACKBONE)
    assert winner is not None
    assert winner.number == 1
    text = (tmp_path / f"best/{BACKBONE}.yaml").read_text()
    assert f"the first seed alone would have chosen {BACKBONE}-0000 (0.8000)" in text
    assert read_yaml(tmp_path / f"best/{BACKBONE}.yaml").value["joint"]["margin"] == 0.2


@pytest.mark.parametrize("num_lines", range(3))
def test_a_disk_that_is_full_from_the_first_lines_costs_nothing(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, num_lines: int
) -> None:
    root, append = tmp_path / "s", LocalFiles.append

    def fill(self: LocalFiles, name: str, line: bytes) -> None:
        root.mkdir(exist_ok=True)
        (root / name).touch()
        if (root / LOG_FILE).read_bytes().count(b"\n") >= num_lines:
            raise DiskFullError(f"{root / name}: No space left on device")
        append(self, name, line)

    monkeypatch.setattr(LocalFiles, "append", fill)
    with pytest.raises(DiskFullError) as caught:
        searched(root)
    hint = f"go on with: distill-tune resume {root}" if num_lines else "go on with the same command"
    assert str(caught.value).endswith(f"No space left on device\nMake room, then {hint}")
    assert machine.done == []
    monkeypatch.setattr(LocalFiles, "append", append)
    assert searched(root).sessions[-1].status == "finished"


def test_their_stages_are_shared_for_each_seed(tmp_path: Path, machine: Machine) -> None:
    searched(tmp_path)
    seeds = [name for name in machine.jobs if "seed=" in name]
    assert seeds == [
        f"{stage} seed={seed}"
        for seed in (10_001, 10_002)
        for stage in ("warmup", f"classifier/{BACKBONE}", f"triplet/{BACKBONE}")
    ]


@pytest.mark.parametrize("patience", range(8))
def test_a_search_that_is_interrupted_anywhere_ends_as_the_one_left_alone(
    tmp_path: Path, machine: Machine, patience: int
) -> None:
    machine.patience = patience
    first = searched(tmp_path)
    assert first.sessions[-1].status == "interrupted"
    assert len(machine.done) == patience
    machine.patience = 99
    state = searched(tmp_path)
    assert state.sessions[-1].status == "finished"
    assert len(machine.done) == len(set(machine.done)) == 8
    assert [one.trial for one in state.finalists[BACKBONE]] == [1, 0]
    assert best(state, BACKBONE) == state.trials[1]


def test_a_finished_search_does_nothing_more(tmp_path: Path, machine: Machine) -> None:
    searched(tmp_path)
    before = list(machine.done)
    assert searched(tmp_path).sessions[-1].status == "finished"
    assert machine.done == before


def test_more_trials_are_followed_by_the_finalists_that_are_new(
    tmp_path: Path, machine: Machine
) -> None:
    searched(tmp_path)
    before = len(machine.done)
    state = searched(tmp_path, "search.num_trials=4")
    # The new trial is none of the best two.
    assert machine.done[before:] == [f"{BACKBONE}-0003"]
    assert state.sessions[-1].status == "finished"
    assert [one.trial for one in state.finalists[BACKBONE]] == [1, 0]
    state = searched(tmp_path, "search.num_trials=4", "search.finalists.top=3")
    assert machine.done[before + 1 :] == [
        f"finalist-{BACKBONE}-0002-seed{seed}" for seed in (10_001, 10_002)
    ]


def test_a_model_says_whether_it_is_that_of_a_finalist_now(
    tmp_path: Path, machine: Machine
) -> None:
    models = [tmp_path / f"models/{BACKBONE}-{number:04d}/model.yaml" for number in range(3)]
    for model in models:
        model.parent.mkdir(parents=True)
        model.write_text("backbone: b\n")

    def winners() -> list[bool | None]:
        told = [read_yaml(model).value.get("finalist") for model in models]
        return [None if one is None else one["is_winner"] for one in told]

    searched(tmp_path, "search.keep_top=3")
    assert winners() == [False, True, None]
    searched(tmp_path, "search.keep_top=3", "search.finalists.top=1")
    # The only finalist is the best of the first seed.
    assert winners() == [True, None, None]
    assert machine.patience < 99


def test_an_old_study_is_given_finalists_and_controls_later(
    tmp_path: Path, machine: Machine
) -> None:
    searched(tmp_path, "search.controls=[]", "search.finalists=null")
    assert machine.done == [f"{BACKBONE}-{number:04d}" for number in range(3)]
    state = searched(tmp_path)
    assert state.sessions[-1].status == "finished"
    assert len(state.extras) == 5


def test_finalists_follow_a_rule_that_stopped_the_trials(tmp_path: Path, machine: Machine) -> None:
    state = searched(tmp_path, "search.stop.trials_without_gain=1")
    assert state.sessions[-1].status == "stopped"
    assert state.stop is not None
    assert state.stop.words == "the last trial brought no gain"
    assert len(state.trials) == 2
    assert [one.trial for one in state.finalists[BACKBONE]] == [1, 0]
    assert len(machine.done) == 1 + 2 + 4


def test_no_finalist_follows_the_end_of_a_budget(tmp_path: Path, machine: Machine) -> None:
    text = TEXT.replace("controls: [equal_steps]", "controls: []")
    state = searched(tmp_path, "search.stop.core_hours=1e-9", text=text)
    # The rule holds as soon as anything was computed, and a resume does not go on.
    assert state.sessions[-1].status == "stopped"
    assert machine.done == [f"{BACKBONE}-0000"]
    again = searched(tmp_path, "search.stop.core_hours=1e-9", text=text)
    assert again.sessions[-1].status == "stopped"
    assert machine.done == [f"{BACKBONE}-0000"]


def test_more_trials_or_another_limit_go_on(tmp_path: Path, machine: Machine) -> None:
    searched(tmp_path, "search.stop.value=0.75", "search.finalists=null")
    assert machine.done[-1] == f"{BACKBONE}-0000"
    same = searched(tmp_path, "search.stop.value=0.75", "search.finalists=null")
    assert (same.sessions[-1].status, len(same.trials)) == ("stopped", 1)
    more = ["search.stop.value=0.75", "search.finalists=null", "search.num_trials=4"]
    state = searched(tmp_path, *more)
    assert (state.sessions[-1].status, len(state.trials)) == ("finished", 4)


def test_a_changed_limit_goes_on_too(tmp_path: Path, machine: Machine) -> None:
    searched(tmp_path, "search.stop.value=0.75", "search.finalists=null")
    state = searched(tmp_path, "search.stop.value=0.95", "search.finalists=null")
    assert (state.sessions[-1].status, len(state.trials)) == ("finished", 3)
    assert machine.patience < 99


@pytest.mark.parametrize("patience", range(4, 7))
def test_finalists_after_a_stop_survive_an_interrupt(
    tmp_path: Path, machine: Machine, patience: int
) -> None:
    machine.patience = patience
    first = searched(tmp_path, "search.stop.trials_without_gain=1")
    assert first.sessions[-1].status == "interrupted"
    machine.patience = 99
    state = searched(tmp_path, "search.stop.trials_without_gain=1")
    assert state.sessions[-1].status == "stopped"
    assert len(machine.done) == len(set(machine.done)) == 7
    assert [one.trial for one in state.finalists[BACKBONE]] == [1, 0]


@pytest.mark.parametrize("late_value", [None, 0.9])
def test_an_interrupt_while_a_rule_drains_leaves_the_finalists_to_a_resume(
    tmp_path: Path, machine: Machine, late_value: float | None
) -> None:
    # The trial that ends last is a gain: but the rule has stopped the search for good.
    rule = "search.stop.trials_without_gain=1"
    machine.late_value = late_value
    whole = searched(tmp_path / "whole", rule, "search.num_trials=5")
    undisturbed, machine.done = machine.done, []
    machine.interrupts_drain = True
    study = tmp_path / "study"
    first = searched(study, rule, "search.num_trials=5")
    assert first.sessions[-1].status == "interrupted"
    assert [name for name in machine.done if name.startswith("finalist")] == []
    machine.interrupts_drain = False
    state = searched(study, rule, "search.num_trials=5")
    assert state.sessions[-1].status == "stopped"
    assert machine.done == undisturbed
    assert state.finalists == whole.finalists
    assert state.stop == whole.stop


TWO_CONTROLS = TEXT.replace("[equal_steps]", "[equal_steps, strong_augmentation]")


def test_a_rule_that_holds_while_controls_are_open_leaves_none_of_them_out(
    tmp_path: Path, machine: Machine
) -> None:
    # As a study does whose controls were asked for after its trials.
    searched(tmp_path, "search.controls=[]", "search.finalists=null")
    more = ("search.num_trials=9", "search.stop.value=0.75", "search.finalists=null")
    before = len(machine.done)
    state = searched(tmp_path, *more, text=TWO_CONTROLS)
    assert machine.done[before:] == [
        f"control-{BACKBONE}-equal_steps",
        f"control-{BACKBONE}-strong_augmentation",
    ]
    assert state.sessions[-1].status == "stopped"
    assert searched(tmp_path, *more, text=TWO_CONTROLS).sessions[-1].status == "stopped"
    assert len(machine.done) == before + 2


def test_only_a_budget_stops_controls_and_finalists(tmp_path: Path, machine: Machine) -> None:
    searched(tmp_path, "search.controls=[]", "search.finalists=null")
    # The trials are over, so that this rule has nothing to stop.
    value = ("search.stop.value=0.75",)
    state = searched(tmp_path, *value)
    assert (state.sessions[-1].status, state.stop) == ("finished", None)
    assert len(state.extras) == 5
    before = len(machine.done)
    budget = ("search.stop.core_hours=1e-9", "search.finalists.seeds=4")
    state = searched(tmp_path, *budget)
    assert state.sessions[-1].status == "stopped"
    assert machine.done[before:] == [f"finalist-{BACKBONE}-0000-seed10003"]


def test_a_rule_that_holds_at_the_last_trial_only_leaves_a_finished_search(
    tmp_path: Path, machine: Machine
) -> None:
    state = searched(tmp_path, "search.stop.trials_without_gain=2")
    assert len(state.trials) == 3
    assert (state.sessions[-1].status, state.stop) == ("finished", None)
    assert machine.patience < 99


@pytest.mark.parametrize("rule", ["value: 0.75", "core_hours: 1e-9"])
@pytest.mark.parametrize("is_in_python", [True, False])
def test_a_confirmation_follows_every_rule_but_those_on_hours(
    tmp_path: Path,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rule: str,
    is_in_python: bool,
) -> None:
    asked: list[str] = []

    def confirm(opened: Any, _: object) -> None:
        asked.append(opened.directory.name)
        raise KeyboardInterrupt

    monkeypatch.setattr("distill_tune.confirmation.commands.confirm_opened", confirm)
    text = TEXT.replace("search:", "confirm: {seeds: 3}\nsearch:")
    text = text.replace("controls: [equal_steps]", f"controls: [], stop: {{{rule}}}")
    space = read_yaml_text(text, "tiny.yaml").value
    is_budget = rule.startswith("core_hours")
    ended = contextlib.nullcontext() if is_budget else pytest.raises((KeyboardInterrupt, Exit))
    with ended:
        if is_in_python:
            search(space, storage=tmp_path, progress=False)
        else:
            opened = open_new(
                StudyRequest(space, str(tmp_path), [], {}), resume=False, allow_changed=False
            )
            run_search(opened, CommandOptions(None, is_sharing=True, as_json=False))
    assert asked == ([] if is_budget else ["tiny"])
    assert machine.done[0] == f"{BACKBONE}-0000"
    if not is_in_python:
        left_out = "the confirmation of the study (confirm:) is left out"
        assert (left_out in capsys.readouterr().out) == is_budget


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of time budgets."""
    clock = Clock()
    monkeypatch.setattr("distill_tune.tuning.stopping.time_budget.time", clock)
    return clock


def test_a_time_budget_ends_a_search_in_a_thread_and_not_the_main_one(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(machine, "_trial", lambda *_: clock.advance(0.1))
    found: list[StudyState] = []
    budget = "search.time_budget_s=0.15"
    thread = threading.Thread(target=lambda: found.append(searched(tmp_path, budget)))
    thread.start()
    # An interrupt of the main thread would be raised here.
    thread.join(60)
    assert found[0].sessions[-1].status == "time_budget"
    names = [f"control-{BACKBONE}-equal_steps", *(f"{BACKBONE}-{n:04d}" for n in range(2))]
    assert machine.done == names


@pytest.mark.parametrize("status", ["time_budget", "interrupted"])
def test_a_session_was_ended_by_what_ended_its_work(
    tmp_path: Path,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    status: str,
) -> None:
    """Its budget may end while trials that were interrupted before finish their epoch."""
    machine.patience = 1 if status == "interrupted" else 99

    def stages(*arguments: Any) -> None:
        clock.advance(0 if status == "interrupted" else 0.3)
        assert arguments[-1].is_time_over() is (status == "time_budget")

    monkeypatch.setattr("distill_tune.tuning.shared_stage_tasks.run_stages", stages)
    monkeypatch.setattr(machine, "_extra", lambda *_: clock.advance(0.3))
    state = searched(tmp_path, "search.time_budget_s=0.2")
    assert state.sessions[-1].status == status
    assert len(machine.done) == (1 if status == "interrupted" else 0)


def test_a_study_that_is_moved_ends_its_search_and_goes_on_once_it_is_back(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, elsewhere = tmp_path / "one", tmp_path / "elsewhere"
    trial = machine._trial

    def moving(journal: Journal, number: int, epochs: int) -> None:
        if number == 1:
            root.rename(elsewhere)
        trial(journal, number, epochs)

    monkeypatch.setattr(machine, "_trial", moving)
    with pytest.raises(StorageError) as caught:
        searched(root, text=ONE_AT_A_TIME)
    monkeypatch.setattr(machine, "_trial", trial)
    first, last = str(caught.value).splitlines()
    assert first.startswith(f"the study's folder is gone: {root} (moved,")
    assert last == f"When the storage works again, go on with: distill-tune resume {root}"
    assert caught.value.exit_code == 1
    assert not root.exists()
    elsewhere.rename(root)
    state = searched(root, text=ONE_AT_A_TIME)
    assert (state.sessions[-1].status, len(state.trials)) == ("finished", 3)
