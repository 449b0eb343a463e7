"""What a user can get wrong in what he types: each with its message, exit status 2, no trace."""

import errno
import os
import socket
from pathlib import Path
from string import Template

import pytest
import yaml
from PIL import Image

from distill_tune.datasets import DATASETS
from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.gans import Sngan
from distill_tune.study.sections import Search
from distill_tune.study.study import Study
from tests.refusals import GOOD, keys, refused, search, write

FOLDER = "{kind: folder, root: pictures, train_per_class: 4, val_per_class: 2}"
DIGITS = "{kind: digits, train_per_class: 20, val_per_class: 30}"
LISTS = {
    "JOINT_FIELDS": ", ".join(JointTraining.model_fields),
    "JOINT_KEYS": keys(JointTraining),
    "GAN_KEYS": keys(Sngan),
    "SEARCH_KEYS": keys(Search),
    "STUDY_KEYS": keys(Study),
    "DIGITS_KEYS": keys(DATASETS["digits"]),
    "KINDS": ", ".join(DATASETS),
    "SORTED_KINDS": ", ".join(sorted(DATASETS)),
}
MISTAKES = yaml.safe_load(Path(__file__).with_name("cli_mistakes.yaml").read_text("utf-8"))

Mistake = dict[str, str]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(mistake: Mistake) -> str:
    return Template(mistake["says"]).substitute(LISTS)


@pytest.mark.parametrize("mistake", MISTAKES["file"], ids=lambda mistake: mistake["name"])
def test_a_mistake_in_the_file_is_named_with_its_place(mistake: Mistake) -> None:
    write(GOOD if mistake["old"] == "$ALL" else mistake["old"], mistake["new"])
    assert search() == said(mistake)


@pytest.mark.parametrize("mistake", MISTAKES["set"], ids=lambda mistake: mistake["set"])
def test_a_mistake_in_set_is_placed_there(mistake: Mistake) -> None:
    write()
    assert search("--set", mistake["set"]) == said(mistake)


@pytest.mark.parametrize("mistake", MISTAKES["option"], ids=said)
def test_a_mistake_in_an_option_is_named_by_the_option(mistake: Mistake) -> None:
    write()
    assert search(mistake["option"], mistake["value"]) == said(mistake)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    write("uniform(0.05, 0.9)", "uniform(0.05, 0.9)\n  joint.epochs: [3, 4]\n  data.seed: [1, 2]")
    lines = search().splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["bad.yaml:10:17", "space.joint.epochs"],
        ["bad.yaml:11:14", "space.data.seed"],
    ]


def test_a_missing_file_brings_one_with_a_near_name_to_mind() -> None:
    write()
    message = "file: got 'bda.yaml', expected a file that exists. Did you mean 'bad.yaml'?"
    assert refused("search", "--space", "bda.yaml") == message


def test_a_name_of_digits_is_text() -> None:
    write("num_trials: 6", "num_trials: 0")
    assert search("--name", "2024").startswith("bad.yaml:11:22: search.num_trials")


def draw_pictures(**counts: int) -> None:
    for label, count in counts.items():
        folder = Path("pictures", label)
        folder.mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (16, 16), (9 * index, 40, 90)).save(folder / f"{index}.png")


def test_a_data_folder_that_is_missing_is_told_where_it_was_looked_for(tmp_path: Path) -> None:
    write(DIGITS, FOLDER)
    assert search() == (
        "bad.yaml:2:28: data.root: got 'pictures', expected a directory with a folder of images "
        f"for each class (looked for {tmp_path / 'pictures'})"
    )


def test_a_folder_without_classes_or_without_images_is_refused(tmp_path: Path) -> None:
    write(DIGITS, FOLDER)
    Path("pictures").mkdir()
    assert search() == (
        f"bad.yaml:2:28: data.root: got {tmp_path / 'pictures'} without sub-folders, expected a "
        "folder of images for each class"
    )
    Path("pictures/cat").mkdir()
    Path("pictures/dog").mkdir()
    message = search()
    assert message.startswith("bad.yaml:2:28: data.root: got no image")
    assert message.endswith(", expected images")


def test_one_class_is_no_classification() -> None:
    write(DIGITS, FOLDER)
    draw_pictures(cat=9)
    assert search() == (
        "bad.yaml:2:28: data.root: got one class only: 'cat', expected two classes or more"
    )


def test_a_class_with_too_few_images_is_named() -> None:
    write(DIGITS, FOLDER)
    draw_pictures(cat=9, dog=3)
    message = search()
    assert message.startswith("bad.yaml:2:")
    assert "got 3 images of class 'dog', expected at least " in message


def starting_ray_on(where: str) -> str:
    return (
        "bad: 200 training and 300 validation images of 10 classes, 0, 1, 2, 3, 4, "
        "5, 6, 7, 8, 9 (digits, 1x8x8; validation and test drawn from the same images); "
        f"starting Ray on {where}\n"
    )


def test_nobody_at_the_address_of_a_cluster_is_told_at_once() -> None:
    write()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    reason = os.strerror(errno.ECONNREFUSED)
    address = f"127.0.0.1:{port}"
    assert search("--address", address, stdout=starting_ray_on(address)) == (
        f"--address: got '{address}', expected the address of a running Ray cluster ({reason})"
    )
    assert search("--address", "nonsense", stdout=starting_ray_on("nonsense")) == (
        "--address: got 'nonsense', expected auto or HOST:PORT"
    )


def test_the_address_of_rays_client_is_refused_with_the_command_for_a_job() -> None:
    write()
    job = "ray job submit --address http://head:8265 --working-dir . -- distill-tune ..."
    expected = (
        "expected auto or HOST:PORT, on a machine of the cluster; from elsewhere: "
        f"`{job} --address auto`"
    )
    where = ["--address", "ray://head:10001"]
    message = f"--address: got 'ray://head:10001', {expected}"
    assert search(*where) == message
    Path("runs/x").mkdir(parents=True)
    Path("runs/x/study.yaml").touch()
    assert refused("resume", "runs/x", *where) == message
    assert refused("confirm", "runs/x", *where) == message


@pytest.mark.usefixtures("no_ray")
def test_no_cluster_to_be_found_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none(**_options: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nMore of this.")

    # In earnest it would find the cluster of whoever else is at work on this machine.
    monkeypatch.setattr("ray.init", find_none)
    write()
    assert search("--address", "auto", stdout=starting_ray_on("auto")) == (
        "--address: got 'auto', expected a running Ray cluster (Could not find any running Ray "
        "instance.)"
    )


@pytest.mark.usefixtures("our_ray")
def test_resources_that_no_node_has_are_an_error_and_no_hang() -> None:
    write("search:", "resources: {cpus: 1000, gpus: 0}\nsearch:")
    message = search(stdout=starting_ray_on("this machine"))
    expected = "resources: got 1000 CPU per trial, expected at most what one node has: "
    assert message.startswith(f"bad.yaml:11:12: {expected}")
    assert message.endswith(" CPU")


def test_fractions_that_leave_nothing_to_train_on_are_named() -> None:
    write(DIGITS, DIGITS.replace("}", ", val_fraction: 0.6, test_fraction: 0.5}"))
    place, _, said = search().partition(" ")
    assert place.startswith("bad.yaml:2:")
    assert said == (
        "data.val_fraction: got 0.6, expected less than 0.5: test_fraction is 0.5, and train is "
        "the rest"
    )
