"""A search with two objectives: what is told of a trial, and the front that is listed."""

import math
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from rich.console import Console

from distill_tune.errors import InputError
from distill_tune.interfaces import plain
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.formatting import distinct_durations
from distill_tune.records.pareto import FrontTrial, front_sentences
from distill_tune.records.status import status_info, status_json
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.terminal.outcome_view import outcome_view
from distill_tune.terminal.study_tables import status_table
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.outcome import outcome_json
from distill_tune.tuning.sampling.costs import EpochSeconds, epoch_seconds, whole_seconds
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from distill_tune.tuning.tuner import make_sampler
from tests.refusals import GOOD
from tests.report.made_up import NAME, add
from tests.report.page_reader import report
from tests.tuning.plans import MAX_EPOCHS, plan, result

BOTH = GOOD.replace("num_trials: 6", "num_trials: 6, objectives: [val/accuracy, -seconds]")


def study(text: str = BOTH) -> Study:
    return parse(Study, read_yaml_text(text, "both.yaml"))


def sampler(**more: Any) -> SamplerPerBackbone:
    return SamplerPerBackbone(plan(backbones=("resnet50",), has_costs=True, **more))


def report_of(epoch: int, value: float, seconds: float, **more: Any) -> dict[str, Any]:
    """Return an epoch's result; the first one comes with ten seconds of earlier stages."""
    found = {"metrics/seconds/joint": seconds, "metrics/seconds/triplet": 10.0 * (epoch == 1)}
    return result(epoch, value, **found, **more)


def run(of: SamplerPerBackbone, number: int, epochs: int, seconds: float, **more: Any) -> Any:
    trial_id = f"t{number}"
    proposal = of.suggest(trial_id)
    for epoch in range(1, epochs):
        of.on_trial_result(trial_id, report_of(epoch, 0.5 + epoch / 100, seconds))
    last = report_of(epochs, 0.5 + epochs / 100, seconds, **more)
    of.on_trial_complete(trial_id, last)
    return proposal


def test_a_trial_is_told_with_its_value_and_the_seconds_of_all_epochs() -> None:
    found = sampler()
    run(found, 0, MAX_EPOCHS, 2.0)
    run(found, 1, 2, 3.0)
    run(found, 2, 1, 1.0, failure="diverged")
    found.suggest("t3")
    found.on_trial_complete("t3", error=True)
    whole, stopped, diverged, lost = found.sampler("resnet50").study.trials
    assert whole.values == [0.5 + MAX_EPOCHS / 100, 10 + 2 * MAX_EPOCHS]
    # It would have taken all epochs, had it not been stopped.
    assert stopped.values == [0.52, 10 + 3 * MAX_EPOCHS]
    assert diverged.values == [0.52, 10 + 3 * MAX_EPOCHS], "the lowest value, the most seconds"
    assert lost.state is TrialState.FAIL
    assert {one.state for one in (whole, stopped, diverged)} == {TrialState.COMPLETE}


def test_a_first_trial_that_fails_has_no_values_to_be_told_with() -> None:
    found = sampler()
    run(found, 0, 1, 1.0, failure="diverged")
    assert found.sampler("resnet50").study.trials[0].state is TrialState.FAIL


def test_the_search_goes_where_trials_are_fast_and_good() -> None:
    found = sampler(num_trials=40, num_startup_trials=8)
    margins = []
    for number in range(40):
        proposal = found.suggest(f"t{number}")
        assert isinstance(proposal, dict)
        margin = proposal["params"]["joint.margin"]
        margins.append(margin)
        for epoch in range(1, MAX_EPOCHS + 1):
            done = report_of(epoch, 0.5, 1 + 20 * margin)
            if epoch < MAX_EPOCHS:
                found.on_trial_result(f"t{number}", done)
            else:
                found.on_trial_complete(f"t{number}", done)
    assert sum(margins[20:]) / 20 < sum(margins[:8]) / 8 - 0.1


def test_a_resumed_search_proposes_the_same() -> None:
    undisturbed = sampler()
    proposals = [run(undisturbed, number, 1 + number % 4, 1.0 + number) for number in range(8)]
    for stop in (2, 5):
        begun = sampler()
        for number in range(stop):
            run(begun, number, 1 + number % 4, 1.0 + number)
        resumed = sampler()
        resumed.replay(begun.history())
        rest = [run(resumed, n, 1 + n % 4, 1.0 + n) for n in range(stop, 8)]
        assert rest == proposals[stop:]


def test_the_seconds_of_an_epoch_are_read_from_its_metrics() -> None:
    row = {"seconds/joint": 2.0, "seconds/triplet": 5.0, "seconds/warmup": 1.0, "val/accuracy": 1}
    assert epoch_seconds(row) == EpochSeconds(2.0, 6.0)
    assert whole_seconds({}, 9) is None


def begun(folder: Path) -> StudyDirectory:
    """Write a study with two objectives, of whose three trials two are on the front."""
    directory = StudyDirectory(str(folder / "both"))
    session = {"command": "search", "study": plain(study())}
    directory.append({"event": "session_started", **session})
    params = {"joint.margin": 0.3, "joint.gan_lr": 1e-5}
    for number, values in enumerate([[0.5, 0.6, 0.7], [0.65], [0.6, 0.61]]):
        raw = {"event": "trial_started", "trial": number, "raw": params, "params": params}
        add(directory, number, values, None, backbone=NAME)
        directory.append(raw | {"name": f"{NAME}-000{number}", "backbone": NAME})
        directory.append({"event": "trial_ended", "trial": number, "status": "complete"})
    directory.append({"event": "session_ended", "status": "finished"})
    return directory


def test_the_log_gives_the_sampler_the_same_seconds(tmp_path: Path) -> None:
    journal = Journal(begun(tmp_path), lambda *_: None)
    found = make_sampler(study())
    found.replay(journal.past_trials())
    # Three epochs of 36 s each.
    told = [trial.values for trial in found.sampler(NAME).study.trials]
    assert told == [[0.7, 108.0], [0.65, 108.0], [0.61, 108.0]]


def test_trials_of_a_front_are_told_apart_by_their_times() -> None:
    fast, slow = FrontTrial("net", "net-0003", 0.87, 3.9), FrontTrial("net", "net-0000", 0.88, 4.26)
    other = FrontTrial("other", "other-0001", 0.9, 4.3)
    assert front_sentences([fast, slow, other]) == (
        "Pareto front of net, fastest first: net-0003 0.8700 in 3.9s, net-0000 0.8800 in 4.3s",
        "Pareto front of other, fastest first: other-0001 0.9000 in 4s",
    )


def test_times_that_look_alike_keep_their_units() -> None:
    assert distinct_durations([7620.4, 7655.23, 65.04, 59.96]) == [
        "2h 07m 00.4s", "2h 07m 35.2s", "1m 05.0s", "1m 00.0s",
    ]  # fmt: skip
    assert distinct_durations([math.nan, math.inf]) == ["?", "?"]


def test_the_front_is_listed_in_status_outcome_and_report(tmp_path: Path) -> None:
    directory = begun(tmp_path)
    sentence = (
        f"Pareto front of {NAME}, fastest first: {NAME}-0001 0.6500 in 36s, "
        f"{NAME}-0000 0.7000 in 1m 48s"
    )
    info = status_info(directory)
    console = Console(width=200)
    with console.capture() as shown:
        console.print(status_table(info))
        for part in outcome_view(study(), directory, "finished"):
            console.print(part)
    assert shown.get().count(sentence) == 2
    names = [one["trial"] for one in status_json(info)["front"]]
    assert names == [f"{NAME}-0001", f"{NAME}-0000"]
    found = outcome_json(study(), directory, "finished")
    assert [one["trial"] for one in found["front"]] == names
    page, said = report(directory)
    assert f"{sentence}." in page.text
    assert [one["trial"] for one in said["front"]] == names


def test_a_search_with_one_objective_lists_no_front(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path / "one"))
    session = {"command": "search", "study": plain(study(GOOD))}
    directory.append({"event": "session_started", **session})
    add(directory, 0, [0.5], "complete")
    assert status_info(directory).front == ()
    assert outcome_json(study(GOOD), directory, "finished")["front"] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "[-seconds]",
            "search.objectives: got ['-seconds'], expected [val/accuracy, -seconds], or none",
        ),
        (
            "[val/balanced_accuracy, -seconds]",
            "search.objectives: got ['val/balanced_accuracy', '-seconds'], expected",
        ),
        (
            "[val/accuracy, -seconds], sampler: gp",
            "search.objectives: got two objectives, and the sampler gp, expected one of the",
        ),
    ],
)
def test_other_objectives_are_refused(given: str, message: str) -> None:
    text = GOOD.replace("num_trials: 6", f"num_trials: 6, objectives: {given}")
    with pytest.raises(InputError) as caught:
        study(text)
    assert message in str(caught.value)
