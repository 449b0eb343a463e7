"""Predictions of a model for image files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.datasets.labelled_images import fitted, read_files
from distill_tune.distill.monitoring.evaluation import features_and_logits
from distill_tune.model.assessed_images import form_of
from distill_tune.model.folder import Model

_CHUNK = 256
"""Files decoded together, so that any number of large images needs little memory."""


class Guess(NamedTuple):
    """A class, and its predicted probability in [0, 1]."""

    name: str
    probability: float


class Prediction(NamedTuple):
    """The prediction for one file.

    Attributes:
        file: Path as it was given.
        guesses: The most probable classes in descending order; empty if unreadable.
        error: Reason why the file cannot be read; otherwise empty.
    """

    file: str
    guesses: tuple[Guess, ...]
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as plain data."""
        if self.error:
            return {"file": self.file, "error": self.error}
        return {"file": self.file, "guesses": [one._asdict() for one in self.guesses]}


def predict(model: Model, files: Sequence[Path], top: int = 1) -> Iterator[Prediction]:
    """Yield a prediction for every file, in order.

    Args:
        model: Model on its device.
        files: Image files.
        top: Number of classes for each file, at most all.
    """
    device = next(model.classifier.parameters()).device
    form = fitted(form_of(model), files, "IMAGES")
    for start in range(0, len(files), _CHUNK):
        chunk = files[start : start + _CHUNK]
        images, reasons = read_files(chunk, form)
        _, logits = features_and_logits(model.classifier, images.to(device))
        best = logits.softmax(1).topk(min(top, len(model.classes)), dim=1)
        rows = zip(chunk, best.values.tolist(), best.indices.tolist(), strict=True)
        for number, (file, values, labels) in enumerate(rows):
            reason = reasons.get(number, "")
            pairs = () if reason else zip(labels, values, strict=True)
            guesses = tuple(Guess(model.classes[label], value) for label, value in pairs)
            yield Prediction(str(file), guesses, reason)
