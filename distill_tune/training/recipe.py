"""What is to be trained: a trial's whole configuration, and whose it is."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.errors import InputError, Message, Parameter, Text
from distill_tune.study.validation import Document, read_yaml


class Recipe(NamedTuple):
    """A configuration that is to be trained.

    Attributes:
        document: Its fields, and where they stand.
        origin: Whose it is, in plain data: ``study``, ``trial``, ``params``; empty for a file's.
        digest: Of the images that the study had; empty when unknown.
        threads: With which a trial of the study computed on a CPU; None when unknown.
    """

    document: Document
    origin: dict[str, Any]
    digest: str = ""
    threads: int | None = None

    def changed(self, assignments: Sequence[str], seed: int | None = None) -> "Recipe":
        """Return it with ``path=value`` changes, and with another seed if there is one.

        Raises:
            InputError: An assignment is none.
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
    """Return the recipe of a file such as ``best/resnet50.yaml``, or ``config.yaml`` of a model.

    Raises:
        InputError: It is no YAML, or describes a whole study.
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
