"""Is the generator fit? The figure, its pictures, the headline, and logs that do not tell."""

from pathlib import Path
from typing import Any

import pytest

from distill_tune.records.directory import StudyDirectory
from distill_tune.report.contents import contents, contents_json
from distill_tune.report.figures import generator
from distill_tune.report.headline import Headline
from distill_tune.report.study_records import source
from tests.report.made_up import NAME, add, begin, curve_to, make_study
from tests.report.page_reader import report
from tests.report.test_pictures import png, write_grids

STAGE = {"event": "stage", "seconds": 52.0, "cost_s": 52.0, "cached": False, "metrics": {}}
MEANING = (
    "Agreement is the share of synthetic images that a network trained on the training images "
    "alone assigns to the requested class: fit from 0.9 on, not fit below 0.6. Diversity is "
    "the mean pixel distance within a class, synthetic over real."
)


def stage(directory: StudyDirectory, name: str, agreement: float, key: str = "k") -> None:
    """Record a shared stage of 500 steps."""
    told = {"steps": 500, "max_steps": 2000 if name.startswith("warmup") else None}
    curve = curve_to(agreement)
    directory.append({**STAGE, "name": name, "key": key, **told, "curve": curve})


def headline(directory: StudyDirectory) -> Headline:
    (found,) = contents(source(directory)).headlines
    return found


def test_the_figure_says_what_warm_up_and_triplet_stage_came_to(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    stage(directory, "warmup", 0.96)
    stage(directory, f"triplet/{NAME}", 0.7, "t")
    # Those of a confirmation are not of the search.
    stage(directory, "warmup seed=1000", 0.1, "c")
    add(directory, 0, [0.5, 0.75, 0.7], "complete")
    for epoch, agreement in ((1, 0.95), (2, 0.875), (3, 0.9)):
        metrics = {"objective": 0.75, "synthetic/agreement": agreement}
        directory.append({"event": "epoch", "trial": 0, "epoch": epoch, "metrics": metrics})
    info = generator.info(source(directory))
    assert info is not None
    assert [one.name for one in (*info.warmups, *info.triplets)] == ["warmup", f"triplet/{NAME}"]
    assert generator.words(info) == (
        "warmup: 500 steps (auto), agreement 0.96, diversity 0.80: fit; "
        f"triplet/{NAME}: 500 steps, agreement 0.70, diversity 0.80: nearly fit. "
        f"In stage 3 of trial 0, the best of {NAME}, agreement ends at 0.90 (lowest 0.88). "
        f"{MEANING}"
    )


def test_it_is_drawn_over_steps_with_the_bounds_of_fitness(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    stage(directory, "warmup lr=1", 0.96)
    stage(directory, "warmup lr=2", 0.5, "l")
    info = generator.info(source(directory))
    assert info is not None
    drawing = str(generator.draw(info))
    agreement, diversity = drawing.split('<div class="panel">')[1:]
    # From above: 0.9 and 0.6 of an axis from 0 to 1.
    assert [y in agreement for y in ('y1="10.00%"', 'y1="40.00%"')] == [True, True]
    assert agreement.count('class="guide"') == 2
    assert (agreement.count('class="curve"'), agreement.count('class="curve failed"')) == (1, 1)
    assert diversity.count('class="guide"') == 1
    assert "generator steps" in diversity


def test_warm_ups_of_single_trials_are_dots(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    for number, agreement in enumerate((0.95, 0.7, 0.41)):
        add(directory, number, [0.5 + number / 10], "complete")
        metrics = {"objective": 0.5, "seconds/warmup": 9.0, "warmup/steps": 300.0}
        metrics |= {"warmup/synthetic/agreement": agreement}
        metrics |= {"warmup/synthetic/pixel_diversity": 0.75}
        directory.append({"event": "epoch", "trial": number, "epoch": 1, "metrics": metrics})
    info = generator.info(source(directory))
    assert info is not None
    assert [one.end.agreement for one in info.own] == [0.95, 0.7, 0.41]
    assert generator.words(info).startswith(
        "3 trials with a warm-up of their own, whose curves are in TensorBoard: 1 fit, 1 nearly "
        "fit, 1 not fit; the least fit is that of trial 2: 300 steps, agreement 0.41, diversity "
        "0.75. "
    )
    drawing = str(generator.draw(info))
    assert drawing.count('<circle class="failed"') == 2
    assert drawing.count('<circle class="complete"') == 4


def test_of_many_warm_ups_the_least_fit_are_named(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    for number in range(9):
        stage(directory, f"warmup lr={number}", 0.91 + number / 100, str(number))
    info = generator.info(source(directory))
    assert info is not None
    assert generator.words(info).count("(auto)") == 6
    assert "warmup lr=0" in generator.words(info)
    assert "warmup lr=8" not in generator.words(info)


def test_the_picture_of_a_warm_up_stands_beside_its_figure(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 2)
    directory.write_bytes("stages/warmup-k.png", png(398, 498))
    page, said = report(directory)
    figure = said["overall"]["generator"]
    assert figure["pictures"] == [
        {
            "title": "After warmup",
            "words": "Synthetic images after the shared stage warmup, one class a row.",
            "source": "stages/warmup-k.png",
        }
    ]
    assert figure["info"]["warmups"][0]["curve"][-1] == {
        "step": 500,
        "agreement": 0.96,
        "diversity": 0.8,
    }
    (image,) = [found for tag, found in page.tags if tag == "img"]
    assert (image["alt"], image["width"]) == (figure["pictures"][0]["words"], "398")
    assert said["pictures"] == []


def test_in_an_object_store_the_picture_is_found_too(tmp_path: Path) -> None:
    make_study(tmp_path / "study", 2)
    directory = StudyDirectory(f"memory://{tmp_path.name}/study")
    for name in ("study.yaml", "events.jsonl"):
        directory.write_text(name, (tmp_path / "study" / name).read_text())
    directory.write_bytes("stages/warmup-k.png", png(398, 498))
    _, said = report(directory)
    (picture,) = said["overall"]["generator"]["pictures"]
    assert picture["source"] == "stages/warmup-k.png"


def test_the_winners_own_warm_up_has_its_picture_from_tensorboard(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    add(directory, 0, [0.5], "complete")
    metrics = {"objective": 0.5, "seconds/warmup": 9.0, "warmup/steps": 300.0}
    metrics |= {"warmup/synthetic/agreement": 0.95, "warmup/synthetic/pixel_diversity": 0.75}
    directory.append({"event": "epoch", "trial": 0, "epoch": 1, "metrics": metrics})
    write_grids(directory, f"{NAME}-0000", tag="warmup/synthetic")
    _, said = report(directory)
    (picture,) = said["overall"]["generator"]["pictures"]
    assert picture["words"] == (
        f"Synthetic images of trial {NAME}-0000 after 9 steps of its warm-up, one class a row."
    )


@pytest.mark.parametrize(
    ("agreement", "kind", "css"),
    [(0.96, "fit", "soft"), (0.7, "nearly fit", "soft"), (0.41, "not fit", "unfit")],
)
def test_the_headline_says_whether_the_generator_was_fit(
    tmp_path: Path, agreement: float, kind: str, css: str
) -> None:
    directory = make_study(tmp_path / "study", 3, agreement=agreement)
    found = headline(directory)
    assert found.fitness == kind
    page, said = report(directory)
    assert said["headlines"][0]["generator"] == found.generator
    assert f"was {kind}: agreement {agreement:.2f}" in page.text
    assert ("unfit" in page.classes("p")) == (css == "unfit")


def test_a_generator_that_the_triplet_stage_spoilt_was_not_fit(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    add(directory, 0, [0.5], "complete")
    metrics = {"objective": 0.5, "warmup/synthetic/agreement": 0.95}
    metrics |= {"triplet/synthetic/agreement": 0.5}
    directory.append({"event": "epoch", "trial": 0, "epoch": 1, "metrics": metrics})
    assert headline(directory).fitness == "not fit"


def test_where_all_trials_failed_the_shared_stages_tell(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    stage(directory, "warmup", 0.3)
    add(directory, 0, [], "failed", reason="generator_unfit")
    found = headline(directory)
    assert found.trial is None
    assert found.generator.startswith("The generator was not fit: agreement 0.30, below 0.6.")


def old_events(directory: StudyDirectory) -> list[dict[str, Any]]:
    """Return a log as it was before generators were measured."""
    found = []
    for event in directory.events():
        kept = {key: event[key] for key in event if key not in {"steps", "max_steps", "curve"}}
        if "metrics" in kept:
            names = [name for name in kept["metrics"] if "synthetic/" not in name]
            kept["metrics"] = {
                name: kept["metrics"][name] for name in names if name != "warmup/steps"
            }
        found.append(kept)
    return found


def test_an_older_log_has_a_report_without_the_figure(tmp_path: Path) -> None:
    old = StudyDirectory(str(tmp_path / "old"))
    for event in old_events(make_study(tmp_path / "study", 3)):
        old.append(event)
    assert generator.info(source(old)) is None
    found = headline(old)
    assert (found.fitness, found.generator) == ("", "")
    page, said = report(old)
    assert set(said["overall"]) == {"stages"}
    assert "fit" not in page.text.split()


@pytest.mark.parametrize("key", ["x/../../../secret", "..", "a/b", ""])
def test_a_key_in_the_log_leads_to_no_file_outside_of_the_stages(tmp_path: Path, key: str) -> None:
    directory = begin(tmp_path)
    stage(directory, "warmup", 0.96, key)
    (tmp_path / "secret.png").write_bytes(png(10, 10))
    (tmp_path / "study/stages/warmup-x").mkdir(parents=True)
    (tmp_path / "study/stages/warmup-a").mkdir()
    for name in ("warmup-.png", "warmup-...png", "warmup-a/b.png"):
        directory.write_bytes(f"stages/{name}", png(10, 10))
    assert generator.pictures(source(directory)) == ()


def test_numbers_that_nobody_measured_are_passed_over(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    curve = [
        {"step": 50, "agreement": "nan", "diversity": "inf"},
        {"step": 10**30, "agreement": 0.5, "diversity": 1e300},
    ]
    directory.append({**STAGE, "name": "warmup", "key": "k", "steps": 50, "curve": curve})
    add(directory, 0, [0.5], "complete")
    metrics = {"objective": 0.5, "seconds/warmup": 1.0, "warmup/synthetic/agreement": "inf"}
    directory.append({"event": "epoch", "trial": 0, "epoch": 1, "metrics": metrics})
    assert generator.info(source(directory)) is None
    assert headline(directory).fitness == ""
    assert "overall" in contents_json(contents(source(directory)))
