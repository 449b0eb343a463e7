"""Output of the model commands: tables that fit 80 columns, lines that can be copied."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from distill_tune.datasets.images.printable import printable
from distill_tune.model.assessment import Assessment, confusions
from distill_tune.records.words.metric_names import title
from distill_tune.terminal.result_table import result_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from distill_tune.model import Model
    from distill_tune.model.generation import ClassImages
    from distill_tune.model.prediction import Prediction

_WIDEST_MATRIX, _MOST_CONFUSIONS = 12, 10


def assessment_view(found: Assessment) -> "Iterator[RenderableType]":
    """Yield an assessment: overall, per class, and the confusion matrix or its largest entries."""
    yield Text(f"{found.num_images} images: {', '.join(_overall(found))}")
    yield _classes(found)
    yield _matrix(found) if len(found.classes) <= _WIDEST_MATRIX else _most_confused(found)


def _classes(found: Assessment) -> Table:
    """Return a row per class; what is unknown for all of them has no column."""
    shown = {
        "precision": [one.precision for one in found.classes],
        "recall": [one.recall for one in found.classes],
        "F1": [one.f1 for one in found.classes],
        "recall, stage 1": [one.recall_stage_one for one in found.classes],
        "agreement": [one.agreement for one in found.classes],
        "diversity": [one.diversity for one in found.classes],
    }
    always = ("precision", "recall", "F1")
    columns = {
        name: values
        for name, values in shown.items()
        if name in always or any(value is not None for value in values)
    }
    table = _table("classes", "class", "images", *columns)
    for index, one in enumerate(found.classes):
        shares = (_share(values[index]) for values in columns.values())
        table.add_row(Text(one.name), str(one.num_images), *shares)
    return table


def _overall(found: Assessment) -> Iterator[str]:
    """Yield the metrics of all images, that by which the model was kept first."""
    always = {
        "accuracy": found.accuracy,
        "balanced_accuracy": found.balanced_accuracy,
        "loss": found.loss,
    }
    for name, value in ({found.metric: found.value} | always).items():
        if value is not None:
            yield f"{title(name)} {value:.4f}"


def _matrix(found: Assessment) -> Table:
    numbers = [str(number) for number in range(len(found.classes))]
    table = _table("confusion: a row is a class, a column what it was taken for", "class", *numbers)
    for number, (one, row) in enumerate(zip(found.classes, found.confusion, strict=True)):
        cells = [
            Text(str(count) if count else "·", style="bold" if column == number else "")
            for column, count in enumerate(row)
        ]
        table.add_row(Text(f"{number} {one.name}"), *cells)
    return table


def _most_confused(found: Assessment) -> Table:
    table = _table(
        "most confused (--json has the whole matrix)", "class", "taken for", "images", ""
    )
    for one in confusions(found, _MOST_CONFUSIONS):
        table.add_row(Text(one.name), Text(one.taken_for), str(one.times), f"{one.share:.1%}")
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def prediction_line(found: "Prediction", width: int, class_width: int) -> str:
    """Return ``file  class  probability  class  probability``, aligned in columns."""
    guesses = (f"{one.name:<{class_width}}  {one.probability:.4f}" for one in found.guesses)
    return "  ".join([f"{printable(found.file):<{width}}", *guesses])


def generation_table(model: "Model", made: Sequence["ClassImages"]) -> Table:
    """Return a table with a row per class: images kept, images drawn, and how hard they are."""
    table = _table("synthetic images", "class", "kept", "drawn", "of these wrong", "P(class), mean")
    for one in made:
        table.add_row(
            Text(model.classes[one.label]),
            str(len(one.images)),
            str(one.num_drawn),
            f"{one.share_wrong:.1%}",
            f"{one.probabilities.mean().item():.4f}",
        )
    return table


def _table(title: str, *columns: str) -> Table:
    return result_table(title, columns, text={"class", "taken for"})
