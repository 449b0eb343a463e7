"""Paths of a study in a form in which it can be resumed from another folder."""

from pathlib import Path

from distill_tune.datasets import Dataset
from distill_tune.datasets.folder_tree.paths import absolute
from distill_tune.datasets.train_part.unlabelled import moved_along
from distill_tune.distill.backbones import Backbone
from distill_tune.distill.backbones.weights_file import weights_digest
from distill_tune.errors import InputError
from distill_tune.plugins import digests
from distill_tune.study.sections import Plugin
from distill_tune.study.study import Study


def with_absolute_paths(study: Study) -> Study:
    """Return the study with absolute paths, and with digests of weights and plugins.

    Raises:
        InputError: Weights cannot be read.
    """
    backbones = tuple(_with_digest(one, index) for index, one in enumerate(study.backbones))
    confirm = study.confirm
    if confirm is not None and confirm.weights:
        placed = {name: str(absolute(path)) for name, path in confirm.weights.items()}
        confirm = confirm.model_copy(update={"weights": placed})
    changed = {
        "data": data_with_absolute_paths(study.data),
        "backbones": backbones,
        "confirm": confirm,
    }
    if found := digests():
        changed["plugins"] = tuple(Plugin(name=name, sha256=one) for name, one in found.items())
    return study.model_copy(update=changed)


def data_with_absolute_paths(data: Dataset) -> Dataset:
    """Return a data set with absolute paths."""
    root, changes = getattr(data, "root", None), dict[str, str | None]()
    if root is not None and "://" not in str(root):
        changes["root"] = str(absolute(str(root)))
    if data.unlabelled is not None:
        changes["unlabelled"] = moved_along(data.unlabelled)
    return data.model_copy(update=changes)


def _with_digest(backbone: Backbone, index: int) -> Backbone:
    if backbone.weights is None or backbone.weights_sha256 is not None:
        return backbone
    try:
        digest = weights_digest(Path(backbone.weights))
    except InputError as error:
        where = f"backbones.{index}.weights"
        raise InputError(where, got=error.got, expected=error.expected) from error
    path = str(absolute(backbone.weights))
    return backbone.model_copy(update={"weights": path, "weights_sha256": digest})
