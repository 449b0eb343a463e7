"""What the figures say of studies whose answers are known."""

from pathlib import Path
from typing import Any

import pytest

from distill_tune.records.directory import StudyDirectory
from distill_tune.report.contents import contents
from distill_tune.report.figures import (
    OF_A_BACKBONE,
    OF_THE_STUDY,
    agreement,
    best_so_far,
    contour,
    curves,
    importances,
    pruning,
    stages,
    value_and_cost,
)
from distill_tune.report.reproduction import commands, reproduction_facts
from distill_tune.report.study_records import Source, source
from tests.confirmation.test_summary import CLEAR, log, planned
from tests.report.made_up import NAME, add, begin, make_study

Values = list[float]


def test_every_figure_says_draws_and_tells(tmp_path: Path) -> None:
    found = source(make_study(tmp_path, 300, ("alexnet", "resnet18")))
    every = [(file, file.info(found, NAME)) for file in OF_A_BACKBONE.values()]
    every += [(file, file.info(found)) for file in OF_THE_STUDY.values()]
    assert len({file.TITLE for file, _ in every}) == len(every)
    for file, info in every:
        assert info._fields, file
        assert file.words(info), file
        assert file.draw(info) or file is agreement, file


def test_the_best_so_far_is_that_of_complete_trials_over_cpu_hours(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    stage = {"name": "warmup", "key": "k", "cost_s": 72.0, "metrics": {}}
    directory.append({"event": "stage", **stage, "seconds": 72.0, "cached": False})
    ready = {"event": "stage", **stage, "key": "l", "seconds": 0.0, "cached": True}
    directory.append(ready)
    directory.append({**ready, "name": "warmup seed=1000", "key": "m", "cached": False})
    directory.append({**ready, "name": f"classifier/{NAME} lr=1", "key": "n"})
    add(directory, 0, [0.9], "pruned", time=2000.0)
    add(directory, 1, [0.5, 0.6], "complete", time=4000.0)
    add(directory, 2, [0.99], "failed", time=3000.0, reason="diverged")
    add(directory, 3, [0.8, 0.7], "complete", time=5000.0)
    add(directory, 4, [0.95], None)
    info = best_so_far.info(source(directory), NAME)
    assert info is not None
    assert [(step.number, step.best) for step in info.steps] == [
        (0, 0.9), (2, 0.9), (1, 0.6), (3, 0.8),
    ]  # fmt: skip
    # Two CPUs, 72 s of a shared stage, then 36 s an epoch.
    assert [step.hours for step in info.steps] == pytest.approx([0.06, 0.08, 0.12, 0.16])
    assert best_so_far.words(info) == (
        "The best validation accuracy, 0.8000, was reached by trial 3, after 4 trials and 0.16 "
        "core-hours; in total 4 trials and 0.16 core-hours."
    )


@pytest.mark.parametrize(
    ("values", "bests"), [((0.0, -0.5, 0.25), (0.0, 0.0, 0.25)), ((-0.5, 0.0), (-0.5, 0.0))]
)
def test_a_best_value_of_zero_is_one(
    tmp_path: Path, values: tuple[float, ...], bests: tuple[float, ...]
) -> None:
    directory = begin(tmp_path)
    for number, value in enumerate(values):
        add(directory, number, [value], "complete", time=2000.0 + number)
    info = best_so_far.info(source(directory), NAME)
    assert info is not None
    assert tuple(step.best for step in info.steps) == bests
    assert f"{max(values):.4f}, was reached by trial {values.index(max(values))}," in (
        best_so_far.words(info)
    )


@pytest.mark.parametrize(
    ("gpus", "is_measured", "device"),
    [(0, False, ("CPU", 2.0)), ("auto", False, ("CPU", 2.0)), ("auto", True, ("GPU", 1.0)),
     (0.25, False, ("GPU", 0.25)), ("fit", True, ("GPU", 0.25)), ("<b>", True, ("CPU", 2.0))],
)  # fmt: skip
def test_hours_are_counted_in_what_a_trial_takes(
    tmp_path: Path, gpus: Any, is_measured: bool, device: tuple[str, float]
) -> None:
    directory = StudyDirectory(str(tmp_path / "study"))
    study = {"resources": {"gpus": gpus, "cpus": 2}}
    directory.append({"event": "session_started", "command": "search", "study": study})
    if is_measured:
        use = {"memory_bytes": 2**30, "total_bytes": 2**33, "utilisation": 0.26}
        directory.append({"event": "packing", "backbone": NAME, **use})
    assert source(directory).device == device


def test_curves_show_the_metric_itself_and_who_was_pruned(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    add(directory, 0, [0.5, 0.8, 0.7], "complete")
    add(directory, 1, [0.4], "pruned", reason="rung 1")
    add(directory, 2, [0.6, 0.65], None)
    info = curves.info(source(directory), NAME)
    assert info is not None
    assert info.rungs == (3,)
    assert [(c.number, c.outcome, c.is_best) for c in info.curves] == [
        (0, "complete", True), (1, "pruned", False), (2, "interrupted", False),
    ]  # fmt: skip
    assert info.curves[0].points == ((1, 0.5), (2, 0.8), (3, 0.7))
    assert curves.words(info) == (
        "3 trials (1 complete, 1 pruned, 1 interrupted); rungs at epochs: 3. The best, trial 0, "
        "reached 0.8000 after epoch 2 and ended at 0.7000."
    )


def rising(number: int, count: int, *, is_crossing: bool) -> Values:
    """Return a curve of nine epochs; the early order is the final one, or the reverse of it."""
    final = 0.5 + 0.4 * number / count
    start = 0.3 + 0.1 * (count - number if is_crossing else number) / count
    return [start + (final - start) * max(0, epoch - 5) / 4 for epoch in range(1, 10)]


def test_pruning_is_safe_where_early_order_is_the_final_order(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    for number in range(12):
        add(directory, number, rising(number, 12, is_crossing=False), "complete")
    add(directory, 12, [0.2], "pruned")
    info = pruning.info(source(directory), NAME)
    assert info is not None
    assert info.safe_from == 1
    assert [row.epoch for row in info.rows] == list(range(1, 9))
    assert pruning.words(info) == (
        "Rung at epoch 3: rho 1.00 (95 %: 1.00 to 1.00), n = 12; among complete trials alone, the "
        "one that is best in the end would have continued. From epoch 1 on the interval stays "
        "above 0.5: pruning from epoch 3 on, as in this search, looks safe. Only complete trials "
        "are compared: the final values of pruned ones (n = 1) are unknown."
    )


def test_pruning_is_not_safe_where_curves_cross_later(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    for number in range(12):
        add(directory, number, rising(number, 12, is_crossing=True), "complete")
    info = pruning.info(source(directory), NAME)
    assert info is not None
    by_epoch = {row.epoch: row for row in info.rows}
    assert by_epoch[3].agreement.rho == pytest.approx(-1)
    assert not by_epoch[3].is_best_kept
    assert by_epoch[8].is_best_kept
    assert info.safe_from in {6, 7, 8}
    assert f"min_epochs: {info.safe_from} would have been safe." in pruning.words(info)
    assert "would have been pruned there" in pruning.words(info)


def test_without_an_interval_pruning_is_neither_safe_nor_unsafe(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    for number in range(7):
        add(directory, number, rising(number, 7, is_crossing=False), "complete")
    info = pruning.info(source(directory), NAME)
    assert info is not None
    assert info.safe_from is None
    assert "n = 7 (no interval below 10)" in pruning.words(info)
    assert pruning.words(info).endswith(
        "Without an interval, nothing can be said about whether pruning is safe here."
    )


@pytest.mark.parametrize("count", [1, 4])
def test_of_few_trials_nothing_is_said_but_their_number(tmp_path: Path, count: int) -> None:
    directory = begin(tmp_path)
    for number in range(count):
        add(directory, number, rising(number, count, is_crossing=False), "complete")
    found = source(directory)
    safety, plane = pruning.info(found, NAME), contour.info(found, NAME)
    assert safety is not None
    assert plane is not None
    assert pruning.words(safety) == f"Too few complete trials: n = {count}, at least 5 are needed."
    info = importances.info(found, NAME)
    assert info == importances.Importances(count, ())
    assert importances.words(info).startswith(f"Too few complete trials: n = {count}, ")
    assert importances.draw(info) == ""
    assert f"n = {count}, 20 are needed" in contour.words(plane)


def test_stages_tell_what_sharing_saved(tmp_path: Path) -> None:
    info = stages.info(source(make_study(tmp_path, 3)))
    assert info is not None
    assert [(row.name, row.trials) for row in info.rows] == [
        ("joint", 3), ("triplet", 3), ("warmup (shared)", 3),
    ]  # fmt: skip
    assert info.saved_s == pytest.approx(40)
    assert stages.words(info).endswith("Sharing saved 40s.")


def test_surroundings_hold_what_a_repetition_needs(tmp_path: Path) -> None:
    directory = make_study(tmp_path, 1)
    facts = reproduction_facts(source(directory))
    assert facts["images"] == "digits, 10 classes, 200 training, 300 validation"
    assert facts["digest of the images"] == "0123456789abcdef"
    assert facts["command"] == "distill-tune search --space made-up.yaml"
    assert facts["rungs"] == "3"
    # Of a log that does not tell, or of classes of one size, there is nothing to list.
    assert "training images of each class" not in facts
    assert {"seed of the images", "seed of the sampler", "seed of the trials"} < set(facts)
    machine = {"event": "session_started", "command": "x", "environment": {"torch": "2.14.1"}}
    directory.append(machine)
    assert reproduction_facts(source(directory))["torch"] == "2.14.1"


def next_steps(directory: StudyDirectory) -> dict[str, str]:
    """Return the suggested command lines by their purpose, without the folder of the study."""
    found = commands(source(directory))
    return {one.purpose: one.line.replace(directory.root, "STUDY") for one in found}


def test_the_next_steps_follow_what_is_confirmed(tmp_path: Path) -> None:
    directory = make_study(tmp_path, 3)
    steps = next_steps(directory)
    assert steps["check whether the gain is real"] == "distill-tune confirm STUDY --seeds 5"
    config = "distill-tune train --config STUDY/best/resnet18.yaml --out model-resnet18"
    assert steps["train the best resnet18"] == config
    # A confirmation of some arms, of which the last seed is not over.
    events = planned(log({"resnet18": CLEAR}))
    request = {"command": "/usr/bin/distill-tune confirm STUDY --arms all --tune-arms"}
    for event in [events[0] | request, *events[1:-2]]:
        directory.append(event)
    steps = next_steps(directory)
    assert "check whether the gain is real" not in steps
    going_on = "distill-tune confirm STUDY --arms all --tune-arms"
    assert steps["finish the confirmation"] == going_on
    # Its trial is not the search's best one, and the numbers are those of its configuration.
    assert "train the best resnet18" not in steps
    line = "distill-tune train --study STUDY --trial resnet18-0004 --out model-resnet18"
    assert steps["train the confirmed resnet18"] == line
    for event in events[-2:]:
        directory.append(event)
    assert not [purpose for purpose in next_steps(directory) if "confirmation" in purpose]


def test_a_study_that_says_how_to_confirm_it_is_confirmed_so(tmp_path: Path) -> None:
    """Fewer seeds than its own, as a suggestion, would weaken the answer that it asks for."""
    directory = make_study(tmp_path, 1)
    (begun,) = [event for event in directory.events() if event["event"] == "session_started"]
    directory.append(begun | {"study": begun["study"] | {"confirm": {"seeds": 10}}})
    assert next_steps(directory)["check whether the gain is real"] == "distill-tune confirm STUDY"


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([100, 10, 32], "ant 100, cat 32, bee 10"),
        ([20, 20, 20], None),
        ([100, 10], None),
        (["many", 1, 2], None),
    ],
)
def test_uneven_classes_are_listed_with_their_sizes(
    counts: list[Any], told: str | None, tmp_path: Path
) -> None:
    directory = make_study(tmp_path, 1)
    data = {"event": "data", "name": "insects", "classes": ["ant", "bee", "cat"]}
    directory.append(data | {"train_counts": counts})
    found = reproduction_facts(source(directory)).get("training images of each class")
    assert found == told


def test_a_search_that_went_on_after_its_confirmation_says_so(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    for number in range(5):
        add(directory, number, [0.5 + number / 100], "complete")
    for event in log({NAME: CLEAR}):
        directory.append(event)
    assert not headline_of(source(directory)).is_newer
    add(directory, 5, [0.9], "complete")
    newer = headline_of(source(directory))
    assert newer.is_newer
    assert newer.trial == f"{NAME}-0005"
    assert newer.params["joint.margin"] == pytest.approx(0.3)


def headline_of(found: Source) -> Any:
    (headline,) = contents(found).headlines
    return headline


def test_the_pareto_front_names_what_no_faster_trial_beats(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    # 36 s an epoch.
    add(directory, 0, [0.5, 0.6, 0.7], "complete")
    add(directory, 1, [0.6], "complete")
    add(directory, 2, [0.5, 0.55], "complete")
    add(directory, 3, [0.5, 0.65], "complete")
    add(directory, 4, [0.9], "pruned")
    add(directory, 5, [0.99, 0.99], "failed", reason="diverged")
    info = value_and_cost.info(source(directory), NAME)
    assert info is not None
    assert [point.number for point in info.points] == [0, 1, 2, 3, 4]
    assert [(one.number, one.seconds) for one in info.front] == [(1, 36), (3, 72), (0, 108)]
    assert value_and_cost.words(info).startswith(
        "Pareto front of the complete trials, fastest first: trial 1 (0.6000 in 36s), "
        "trial 3 (0.6500 in 1m 12s), trial 0 (0.7000 in 1m 48s)."
    )
    drawn = value_and_cost.draw(info)
    assert drawn.count('class="best"') == 3
    assert all(f">{number}</text>" in drawn for number in (0, 1, 3))
    add(directory, 6, [0.5, 0.6, 0.7], "complete")
    same = value_and_cost.info(source(directory), NAME)
    assert same is not None
    assert [one.number for one in same.front] == [1, 3, 0], "the first of two equal ones"
