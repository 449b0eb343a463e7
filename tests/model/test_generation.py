"""Synthetic images: the same seed, the same images; hard ones are those that it says they are."""

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.model import Model
from distill_tune.model.figures import contact_sheet
from distill_tune.model.figures.figure import HARD, pixels
from distill_tune.model.generation import (
    CANDIDATES,
    ClassImages,
    GenerationRequest,
    generate,
    sheet,
    stray_warning,
)
from distill_tune.study.validation import to_yaml
from tests.model.made import description, write_model
from tests.model.test_figures import has_color
from tests.training.tiny import Trained


def run(command: str, *arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [command, *map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_the_hardest_are_those_of_least_probability_among_all_that_were_drawn(
    model: Model,
) -> None:
    for label, name in ((3, "3"), (8, "8")):
        (all_of_them,) = generate(model, GenerationRequest([name], 5 * CANDIDATES, False, 1))
        (hard,) = generate(model, GenerationRequest([name], 5, True, 1))
        order = all_of_them.probabilities.argsort(stable=True)[:5]
        assert torch.equal(hard.probabilities, all_of_them.probabilities[order])
        assert torch.equal(hard.images, all_of_them.images[order])
        assert torch.equal(hard.taken_for, all_of_them.taken_for[order])
        assert (hard.label, hard.num_drawn) == (label, 5 * CANDIDATES)
        wrong = (all_of_them.taken_for != label).float().mean().item()
        assert hard.share_wrong == pytest.approx(wrong)


def test_an_image_depends_on_seed_class_and_place_alone(model: Model) -> None:
    (three,) = generate(model, GenerationRequest(["5"], 3, False, 2))
    many = list(generate(model, GenerationRequest([], 300, False, 2)))
    assert [one.label for one in many] == list(range(10))
    assert torch.equal(many[5].images[:3], three.images)
    assert many[5].images.flatten(1).unique(dim=0).shape[0] > 290
    (other,) = generate(model, GenerationRequest(["5"], 3, False, 3))
    assert not torch.equal(other.images, three.images)


def test_files_table_and_sheet_tell_the_same_as_predict(trained: Trained, here: Path) -> None:
    asked = ("--class", "3", "--class", "7", "--num", "9", "--hard", "--seed", "4")
    status, stdout, _ = run("generate", trained.folder, *asked, "--out", "hard", "--json")
    assert status == 0
    said = json.loads(stdout)
    assert [one["class"] for one in said["classes"]] == ["3", "7"]
    assert [one["num_drawn"] for one in said["classes"]] == [72, 72]
    assert said["paths"]["sheet"] == str(here / "hard" / "contact_sheet.png")
    with Path("hard/images.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["3"] * 9 + ["7"] * 9
    files = [f"hard/{row['file']}" for row in rows]
    assert sorted(str(path) for path in Path("hard").rglob("0*.png")) == files
    told = json.loads(run("predict", trained.folder, *files, "--top", "10", "--json")[1])
    for row, one in zip(rows, told, strict=True):
        guesses = {guess["name"]: guess["probability"] for guess in one["guesses"]}
        assert one["guesses"][0]["name"] == row["taken_for"]
        assert guesses[row["class"]] == pytest.approx(float(row["probability_of_class"]), abs=1e-5)
    with Image.open("hard/contact_sheet.png") as image:
        assert min(image.size) > 200
    # The folder is a data set: its images are of the classes that they were made for.
    assert run("evaluate", trained.folder, "--data", "hard")[0] == 0
    assert run("generate", trained.folder, *asked, "--out", "again")[0] == 0
    for path in Path("hard").rglob("*"):
        if path.is_file():
            assert Path("again", *path.parts[1:]).read_bytes() == path.read_bytes()


def made(label: int, taken_for: list[int], share_wrong: float) -> ClassImages:
    count = len(taken_for)
    images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    return ClassImages(
        label, images, torch.full((count,), 0.25), torch.tensor(taken_for), 8, share_wrong
    )


def test_the_sheet_names_what_an_image_is_taken_for(model: Model) -> None:
    right, wrong = made(3, [3] * 9, 0.1), made(4, [9, 4], 0.6)
    one = sheet(model, [right, wrong])
    assert [row.name for row in one.rows] == ["3", "", "4"]
    assert [len(row.images) for row in one.rows] == [8, 1, 2]
    assert one.rows[2].taken_for == ("9", "")
    assert "11 of 11 synthetic images of 3, 4, 8 a row" in contact_sheet.words(one)
    assert "1 are taken for another class" in contact_sheet.words(one)
    assert has_color(contact_sheet.draw(one), HARD)
    assert not has_color(contact_sheet.draw(sheet(model, [right])), HARD)


def test_a_sheet_of_very_many_images_stays_a_sheet(model: Model) -> None:
    num_rows = [len(sheet(model, [made(3, [3] * 999, 0)] * count).rows) for count in (1, 7, 200)]
    assert num_rows == [48, 42, 48]
    assert max(pixels(contact_sheet.draw(sheet(model, [made(3, [3] * 999, 0)]))).shape) < 9000


def test_a_generator_that_does_not_follow_its_classes_is_told(model: Model) -> None:
    assert stray_warning(model, [made(3, [3], 0.4)]) == ""
    said = stray_warning(model, [made(3, [3], 0.4), made(4, [9], 0.6), made(5, [9], 0.9)])
    assert said.startswith("most images of class 4, 5 are taken for another class: ")


def test_a_class_name_leads_nowhere_else(trained: Trained, here: Path) -> None:
    copy = here / "model"
    copy.mkdir()
    for path in trained.folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    said = (copy / "model.yaml").read_text("utf-8")
    names = (
        "['../../up', '/etc', 'images.csv', 'a\\\\b', 'class 2', "
        "'.hidden', '__MACOSX', '7', '8 b', '猫']"
    )
    before = "['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']"
    assert before in said
    (copy / "model.yaml").write_text(said.replace(before, names), "utf-8")
    assert run("generate", "model", "--num", "1", "--out", "made/here")[0] == 0
    assert len(list(Path("made/here").rglob("0000.png"))) == 10
    assert sorted(path.name for path in Path("made/here").iterdir() if path.is_dir()) == [
        "7",
        "8 b",
        *(f"class {number}" for number in range(7)),
        "猫",
    ]
    assert {path.name for path in here.iterdir()} == {"model", "made"}


def test_a_class_that_is_asked_for_twice_is_made_once(model: Model) -> None:
    made = generate(model, GenerationRequest(["3", "3", "1"], 2, False, 0))
    assert [one.label for one in made] == [3, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--class four --out new", "--class: got 'four', expected a class of the model: 0, 1, 2"),
        ("--out full", "--out: got full, which already exists, expected a new or empty folder"),
        ("--out full/notes.txt/new", "--out: got full/notes.txt/new"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(
    trained: Trained, here: Path, arguments: str, message: str
) -> None:
    Path("full").mkdir()
    Path("full/notes.txt").touch()
    status, stdout, stderr = run("generate", trained.folder, *arguments.split())
    assert (status, stdout) == (2, "")
    assert stderr.startswith(message)
    assert sorted(str(path.relative_to(here)) for path in here.rglob("*")) == [
        "full",
        "full/notes.txt",
    ]


def test_a_model_without_a_generator_says_so(here: Path) -> None:
    write_model(here / "model", description(["ant", "bee"]))
    config = {"data": {"kind": "digits"}, "backbone": "squeezenet1_1"}
    config |= {"joint": {"extra_images": "hard"}}
    Path("model/config.yaml").write_text(to_yaml(config), "utf-8")
    message = (
        "model: got no generator (joint.extra_images: hard), expected a model that was trained "
        "with a GAN\n"
    )
    assert run("generate", "model", "--out", "new") == (2, "", message)
    Path("model/config.yaml").write_text(to_yaml(config | {"joint": {}}), "utf-8")
    status, _, stderr = run("generate", "model", "--out", "new")
    assert status == 2
    assert stderr.startswith("model/generator.safetensors: got no weights of this generator (")
    assert not Path("new").exists()
    assert [path.name for path in here.iterdir()] == ["model"]
