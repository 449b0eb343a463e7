"""Configuration to train: that of a whole trial, with its origin."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.errors import InputError, Message, Parameter, Text
from distill_tune.study.validation import Document, read_yaml


class Recipe(NamedTuple):
    """Configuration to train.

    Attributes:
        document: Its fields, and where they are written.
        origin: Where it comes from, as plain data: ``study``, ``trial``, ``params``; empty for a
            file.
        digest: Digest of the study's images; empty if unknown.
        threads: CPU threads with which a trial of the study computed; None if unknown.
    """

    document: Document
    origin: dict[str, Any]
    digest: str = ""
    threads: int | None = None

    def changed(self, assignments: Sequence[str], seed: int | None = None) -> "Recipe":
        """Return a copy with ``path=value`` changes, and with another seed if one is given.

        Raises:
            InputError: An assignment is malformed.
        """
        document = deepcopy(self.document)
        for assignment in assignments:
            document.set(assignment)
        if seed is not None:
            document.set(f"seed={seed}")
            document.assigned["seed",] = Message(Parameter("seed"), f" {seed}")
        changes = {"changed": list(assignments)} if assignments and self.origin else {}
        return self._replace(document=document, origin=self.origin | changes)


def read_recipe(config_file: Path) -> Recipe:
    """Return the recipe in a file such as ``best/resnet50.yaml``, or ``config.yaml`` of a model.

    Raises:
        InputError: The file is not YAML, or describes a whole study.
    """
    document = read_yaml(config_file)
    if "backbones" in document.value or "space" in document.value:
        raise InputError(
            Parameter("config"),
            got=Text(f"{config_file}, which describes a whole study"),
            expected="the configuration of one trial, such as best/<backbone>.yaml in the "
            "directory of a finished study",
        )
    return Recipe(document, {})
