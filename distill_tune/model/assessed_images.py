"""Images to evaluate a model on: its own validation images, or other images of the user.

The test split of its own data stays sealed, whichever path leads to it, until it is requested by
name.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from distill_tune.datasets import Dataset, unsealed
from distill_tune.datasets.folder import Folder
from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.folder_tree.paths import absolute
from distill_tune.datasets.labelled_images import Form, labelled_images, relabelled
from distill_tune.datasets.relocated_images import suggesting_new_location
from distill_tune.errors import InputError, Message, Parameter, Text
from distill_tune.interfaces import ImageData, Split, ValueRanges
from distill_tune.model.folder import CONFIG, Model, model_config
from distill_tune.study.changes import PLACES

TEST_READ = (
    "this reads the test split, which the search never saw. Its score is unbiased only once: after "
    "a choice by it (of a model, a field, when to stop) the next score is too high. "
    "distill-tune confirm compares with rivals, and records each reading."
)


class Assessed(NamedTuple):
    """Images to evaluate a model on.

    Attributes:
        split: Images with labels in the order of the model's classes.
        name: Display name of the images.
        remarks: Notes for the user.
        is_validation: Whether they are the validation images that the model was chosen by.
    """

    split: Split
    name: str
    remarks: tuple[str, ...]
    is_validation: bool = False


def assessed_images(
    model: Model, data: Path | None, part: Part | None, moved: Sequence[str] = ()
) -> Assessed:
    """Return the images that a user chose.

    Args:
        model: Model to evaluate.
        data: A folder of class folders or an ``.npz`` file; None: the model's own data.
        part: ``train``, ``val`` or ``test``; None: validation images of its own data, all images of
            other data.
        moved: ``data.root=PATH``, the new location of the model's own images; empty if unchanged.

    Raises:
        InputError: There are no images, those at the new location are not the model's own, or they
            have classes that the model does not know.
    """
    form = form_of(model)
    for assignment in moved:
        if assignment.partition("=")[0].strip() not in PLACES:
            expected = "data.root=PATH, where the model's own images are now"
            raise InputError(Parameter("assignments"), got=assignment, expected=expected)
    if data is None:
        own = model_config(model.folder, moved).data
        return _of_its_own(model, own, part or "val", is_moved=bool(moved))
    remarks = []
    if (model.folder / CONFIG).exists():
        own = model_config(model.folder, moved).data
        place = _place(own, data)
        if place == "all":
            return _of_its_own(model, own, part or "val", is_moved=bool(moved))
    else:
        place = "elsewhere"
    found = labelled_images(data, form, part=part, where=Parameter("data"))
    split = found.split
    if place == "near":
        split, told = _without_sealed(own, model.transforms.value_range, split, data, part)
        remarks += told
    if found.skipped:
        text = f"{len(found.skipped)} unreadable files left out"
        remarks.append(f"{text}, such as {found.skipped[0]}")
    return Assessed(split, f"{data}" + (f", {part}" if part else ""), tuple(remarks))


def form_of(model: Model) -> Form:
    """Return the input format of a model."""
    takes = model.transforms
    return Form(model.classes, takes.channels, takes.image_size, takes.value_range)


def _place(own: Dataset, data: Path) -> Literal["all", "near", "elsewhere"]:
    """Return where a path lies relative to the model's own data: ``near`` is below or above.

    Raises:
        InputError: The path leads to the test images.
    """
    root = getattr(own, "root", None)
    if root is None:
        return "elsewhere"
    here, there = data.absolute().resolve(), absolute(root).resolve()
    if here == there:
        return "all"
    test = own.part_folder("test") if isinstance(own, Folder) and there.is_dir() else None
    if test is not None and here.is_relative_to(test.resolve()):
        raise _sealed(data)
    is_near = here.is_relative_to(there) or there.is_relative_to(here)
    return "near" if is_near else "elsewhere"


def _without_sealed(
    own: Dataset, ranges: ValueRanges, split: Split, data: Path, part: Part | None
) -> tuple[Split, list[str]]:
    """Return images without test images of the model's own data, and remarks on what it knows.

    Images are recognised by their pixels. If a test split is asked for, its images stay.

    Raises:
        InputError: No other image is there.
    """
    try:
        images = own.load(own.read_pools(ranges))
    except InputError:
        # What is not there any more cannot be recognised.
        return split, []
    given, count = _pixels(split), len(split.labels)
    remarks = [
        f"{among} of {count} images of {data} are {name} images of the model's own data"
        for name, own_part in (("training", images.train), ("validation", images.val))
        if (among := sum(_are_in(own_part, given)))
    ]
    test = _test_of(own, ranges)
    sealed = [] if test is None else _are_in(test, given)
    num_sealed = sum(sealed)
    if not num_sealed:
        return split, remarks
    if part == "test":
        return split, [*remarks, TEST_READ]
    if num_sealed == count:
        raise _sealed(data)
    kept = ~torch.tensor(sealed)
    told = f"{num_sealed} of {count} images of {data} left out: sealed test images of the model's"
    return Split(split.images[kept], split.labels[kept]), [*remarks, f"{told} own data"]


def _sealed(data: Path) -> InputError:
    return InputError(
        Parameter("data"),
        got=Text(f"{data}, the sealed test images of the data that the model was made from"),
        expected=Message(Parameter("split"), " test instead, which asks for them explicitly"),
    )


def _pixels(split: Split) -> list[bytes]:
    return [image.numpy().tobytes() for image in split.images]


def _are_in(split: Split, given: Sequence[bytes]) -> list[bool]:
    """Return for the pixels of each image whether they are those of an image of the split."""
    known = set(_pixels(split))
    return [pixels in known for pixels in given]


def _test_of(own: Dataset, ranges: ValueRanges) -> Split | None:
    try:
        own.require_test()
    except InputError:
        return None
    with unsealed():
        return own.load_test(ranges)


def _of_its_own(model: Model, own: Dataset, part: Part, *, is_moved: bool = False) -> Assessed:
    command = f"distill-tune evaluate {shlex.quote(str(model.folder))}"
    try:
        ranges = model.transforms.value_range
        with suggesting_new_location(getattr(own, "root", None), command, [str(model.folder)]):
            images = own.load(own.read_pools(ranges))
        if is_moved and model.digest not in {"", images.digest}:
            raise _not_its_own(model, images)
        with unsealed():
            split = own.load_test(ranges) if part == "test" else getattr(images, part)
    except InputError as error:
        where = f"{model.folder / CONFIG}: {error.where}"
        expected = Message(error.expected, "; ", Parameter("data"), " names other images")
        raise InputError(where, got=error.got, expected=expected) from error
    _require_form(model, images)
    split = relabelled(split, images.classes, model.classes, str(model.folder / CONFIG))
    remarks = list(images.warnings)
    if model.digest not in {"", images.digest}:
        remarks.append(
            f"these are not the images that the model was made from (digest {model.digest}, now "
            f"{images.digest}): some may have been trained on"
        )
    if part == "test":
        remarks.append(TEST_READ)
    name = {"train": "training", "val": "validation", "test": "test"}[part]
    is_chosen_by = part == "val" and model.digest == images.digest
    return Assessed(split, f"{images.name}, {name} split", tuple(remarks), is_chosen_by)


def _not_its_own(model: Model, images: ImageData) -> InputError:
    return InputError(
        "data.root",
        got=Text(f"other images (digest {images.digest})"),
        expected=f"those that the model was made from (digest {model.digest})",
    )


def _require_form(model: Model, images: ImageData) -> None:
    form, got = form_of(model), (images.channels, images.image_size)
    if got != (form.channels, form.image_size):
        raise InputError(
            str(model.folder / CONFIG),
            got=Text(f"images of {got[0]}x{got[1]}x{got[1]}"),
            expected=f"{form.channels}x{form.image_size}x{form.image_size}, as the model takes",
        )
