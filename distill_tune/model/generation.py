"""Synthetic images from a model's generator, and their hardness for its classifier."""

import csv
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from distill_tune.datasets.images.image_files import to_png
from distill_tune.distill.augmentation import to_uint8
from distill_tune.distill.compute.large_images import forward_batch
from distill_tune.distill.compute.random_streams import normal, stream
from distill_tune.distill.monitoring.evaluation import features_and_logits
from distill_tune.errors import InputError, Parameter
from distill_tune.model.figures import contact_sheet
from distill_tune.model.figures.figure import png
from distill_tune.model.folder import Model, load_generator
from distill_tune.records.files.storage import storage_at

CANDIDATES = 8
"""Images drawn for each that is kept as hard."""
SHEET, TABLE = "contact_sheet.png", "images.csv"
_CHUNK = 256
_COLUMNS, _MAX_ROWS = 8, 48


class GenerationRequest(NamedTuple):
    """A request for synthetic images.

    Attributes:
        classes: Class names; empty: all classes of the model.
        num: Images per class.
        is_hard: Whether to draw ``CANDIDATES`` times as many, and keep those with the lowest
            probability of their class from the classifier.
        seed: The same seed gives the same images, bit for bit on a CPU.
    """

    classes: Sequence[str]
    num: int
    is_hard: bool
    seed: int


class ClassImages(NamedTuple):
    """Images of one class, the hardest first if hard ones were requested, else as drawn.

    Attributes:
        label: Label of the class.
        images: ``[n, channels, size, size]`` uint8, as in their files.
        probabilities: ``[n]``, the classifier's probability of their class, from these pixels.
        taken_for: ``[n]``, the most probable class.
        num_drawn: Number of images they were chosen from.
        share_wrong: Share of all drawn images that was taken for another class.
    """

    label: int
    images: Tensor
    probabilities: Tensor
    taken_for: Tensor
    num_drawn: int
    share_wrong: float


def generate(model: Model, request: GenerationRequest) -> Iterator[ClassImages]:
    """Yield the images of each class.

    Raises:
        InputError: A class does not exist, or the model has no generator.
    """
    device = next(model.classifier.parameters()).device
    asked = [_label(model, name) for name in dict.fromkeys(request.classes)]
    labels = asked or list(range(len(model.classes)))
    generator, latent_dim = load_generator(model, device)
    for label in labels:
        yield _made(model, generator, latent_dim, label, request)


def _label(model: Model, name: str) -> int:
    if name not in model.classes:
        expected = f"a class of the model: {', '.join(model.classes)}"
        raise InputError(Parameter("classes"), got=name, expected=expected, choices=model.classes)
    return model.classes.index(name)


@torch.no_grad()
def _made(
    model: Model, generator: nn.Module, latent_dim: int, label: int, request: GenerationRequest
) -> ClassImages:
    device = next(generator.parameters()).device
    total = request.num * (CANDIDATES if request.is_hard else 1)
    kept: tuple[Tensor, ...] = ()
    num_wrong = 0
    side = model.transforms.image_size
    shape = (model.transforms.channels, side, side)
    for chunk in range(-(-total // _CHUNK)):
        # Drawn on the CPU in whole chunks, so that neither device nor number changes an image.
        z = normal((_CHUNK, latent_dim), stream(request.seed, "z", "generate", label, chunk))
        labels = torch.full((_CHUNK,), label, device=device)
        images = _drawn(generator, z.to(device), labels, shape)[: total - chunk * _CHUNK]
        _, logits = features_and_logits(model.classifier, images)
        found = images, logits.softmax(1)[:, label], logits.argmax(1)
        num_wrong += int((found[2] != label).sum())
        kept = tuple(torch.cat(pair) for pair in zip(kept, found, strict=True)) if kept else found
        if request.is_hard:
            hardest = kept[1].argsort(stable=True)[: request.num]
            kept = tuple(tensor[hardest] for tensor in kept)
    images, probabilities, taken_for = (tensor.cpu() for tensor in kept)
    return ClassImages(label, images, probabilities, taken_for, total, num_wrong / total)


def _drawn(generator: nn.Module, z: Tensor, labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Return uint8 images of this shape; large ones are made a few at a time."""
    most = forward_batch(shape, _CHUNK)
    batches = zip(z.split(most), labels.split(most), strict=True)
    return torch.cat([to_uint8(generator(*batch)) for batch in batches])


def write_images(model: Model, made: Sequence[ClassImages], out: Path) -> dict[str, str]:
    """Write a PNG file per image in a folder per class, a table and a contact sheet.

    Returns:
        The paths of ``images``, ``table`` and ``sheet``.
    """
    storage = storage_at(str(out))
    rows: list[tuple[object, ...]] = []
    for one in made:
        folder = _folder_name(model.classes[one.label], one.label)
        for number, pixels in enumerate(one.images.numpy()):
            file = f"{folder}/{number:04d}.png"
            storage.write(file, to_png(pixels))
            guess = model.classes[int(one.taken_for[number])]
            probability = f"{one.probabilities[number].item():.6f}"
            rows.append((file, model.classes[one.label], probability, guess))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("file", "class", "probability_of_class", "taken_for"), *rows])
    storage.write(TABLE, text.getvalue().encode())
    with warnings.catch_warnings():
        # A class name may use a script that the font lacks.
        warnings.simplefilter("ignore")
        storage.write(SHEET, png(contact_sheet.draw(sheet(model, made))))
    names = {"images": "", "table": TABLE, "sheet": SHEET}
    return {what: str((out / name).absolute()) for what, name in names.items()}


def generation_json(model: Model, made: Sequence[ClassImages]) -> list[dict[str, Any]]:
    """Return a summary of the images of each class as plain data."""
    return [
        {
            "class": model.classes[one.label],
            "num_kept": len(one.images),
            "num_drawn": one.num_drawn,
            "share_wrong": one.share_wrong,
            "mean_probability": one.probabilities.mean().item(),
        }
        for one in made
    ]


def stray_warning(model: Model, made: Sequence[ClassImages]) -> str:
    """Return a warning about classes that the generator misses; empty if there are none."""
    stray = [model.classes[one.label] for one in made if one.share_wrong > 0.5]
    if not stray:
        return ""
    return (
        f"most images of class {', '.join(stray)} are taken for another class: either the "
        "generator barely follows its classes (gan.warmup_steps: auto, or joint.pairing: contrast, "
        "would help), or the classifier barely knows them; the hardest will show other classes"
    )


def _folder_name(name: str, label: int) -> str:
    """Return the name of a class, or its number if the name is unsafe as a folder name.

    It is unsafe, too, if it could be the number of another class, or one of the files beside it.
    """
    is_taken = name in {TABLE, SHEET} or re.fullmatch(r"class \d+", name, re.IGNORECASE)
    is_safe = re.fullmatch(r"(?!__)\w[\w .+-]{0,99}(?<![ .])", name) and not is_taken
    return name if is_safe else f"class {label}"


def sheet(model: Model, made: Sequence[ClassImages]) -> contact_sheet.Sheet:
    """Return the contact sheet of the images; of many, the first ones of each class."""
    shown = made[:_MAX_ROWS]
    num_rows = max(1, _MAX_ROWS // len(shown)) if len(shown) > 1 else _MAX_ROWS
    rows = []
    for one in shown:
        name = model.classes[one.label]
        for start in range(0, min(len(one.images), num_rows * _COLUMNS), _COLUMNS):
            part = slice(start, start + _COLUMNS)
            guesses = [model.classes[label] for label in one.taken_for[part].tolist()]
            rows.append(
                contact_sheet.Row(
                    name if start == 0 else "",
                    one.images[part].permute(0, 2, 3, 1).numpy(),
                    one.probabilities[part].tolist(),
                    tuple("" if guess == name else guess for guess in guesses),
                )
            )
    kept, drawn = len(made[0].images), made[0].num_drawn
    title = f"the hardest {kept} of {drawn}" if kept < drawn else f"{kept} as drawn"
    total = sum(len(one.images) for one in made)
    title += ", of each class" if len(made) > 1 else ""
    return contact_sheet.Sheet(title, tuple(rows), _COLUMNS, total)
