"""What one study is: data, backbones, procedure, space, search, resources; checked as a whole."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from distill_tune.backbones import Backbone
from distill_tune.datasets import Dataset
from distill_tune.distill.trial_config import TrialConfig, TrialTemplate
from distill_tune.errors import InputError, InputErrors, Text
from distill_tune.interfaces import Config, plain
from distill_tune.space import SearchSpace, apply

_SEARCHABLE = ("classifier", "gan", "joint")
_UNSEARCHABLE = {
    "joint.epochs": "rungs compare trials after equal numbers of epochs",
    "joint.monitor_images": "it changes no result",
    "gan.kind": "name it under trial.gan",
}
HARMLESS_CHANGES = ("search.num_trials", "search.time_budget_s", "resources.")
"""What may differ between a study and its resumption: the results are the same."""


class Search(Config):
    """How the search goes about it."""

    num_trials: int = Field(default=16, ge=1)
    """Trials in total, shared out evenly between the backbones."""
    metric: Literal["val/accuracy", "val/balanced_accuracy"] = "val/accuracy"
    """What is compared: a trial's best value over its epochs."""
    mode: Literal["max"] = "max"
    """Higher is better."""
    seed: int = Field(default=0, ge=0)
    """Of the sampler."""
    num_startup_trials: int = Field(default=5, ge=1)
    """Random configurations per backbone before TPE begins to learn."""
    min_epochs: int | None = Field(default=None, ge=1)
    """Epochs that every trial gets (ASHA's grace period); null: a third of ``joint.epochs``."""
    reduction_factor: float = Field(default=3, gt=1)
    """One in so many trials survives a rung (ASHA's eta)."""
    max_failures: int = Field(default=2, ge=0)
    """How often a trial whose worker was lost is continued from its last checkpoint."""
    time_budget_s: float | None = Field(default=None, gt=0)
    """Seconds after which a session stops as if interrupted; null: no limit."""


class Resources(Config):
    """What one trial takes."""

    cpus: float = Field(default=1, gt=0)
    """CPU cores; also its number of threads."""
    gpus: float | Literal["auto"] = "auto"
    """GPUs, fractions allowed; ``auto``: one where the cluster has any."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """Most trials at a time; null: as many as fit."""

    @model_validator(mode="after")
    def _gpus_are_not_negative(self) -> "Resources":
        if isinstance(self.gpus, float | int) and self.gpus < 0:
            raise ValueError(
                InputError("gpus", got=self.gpus, expected="a number >= 0, or auto")
            )
        return self


class Study(Config):
    """A whole search, as a YAML file describes it."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Its name, and that of its directory."""
    data: Dataset
    """What is learnt."""
    backbones: tuple[Backbone, ...] = Field(min_length=1)
    """Who learns it; each gets its own sampler, rungs and winner."""
    trial: TrialTemplate = TrialTemplate()
    """The procedure; unnamed fields keep their defaults."""
    space: SearchSpace
    """What is searched: dotted paths of ``trial`` and their dimensions."""
    search: Search = Search()
    """Sampler, scheduler, budget."""
    resources: Resources = Resources()
    """What a trial takes."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        errors = [*self._backbone_errors(), *self._search_errors(), *self._space_errors()]
        if errors:
            raise ValueError(InputErrors(errors))
        return self

    @property
    def min_epochs(self) -> int:
        """Epochs that every trial gets."""
        return self.search.min_epochs or -(-self.trial.joint.epochs // 3)

    @property
    def max_epochs(self) -> int:
        """Epochs of a trial that nobody prunes."""
        return self.trial.joint.epochs

    def backbone(self, name: str) -> Backbone:
        """Return the backbone of that name."""
        return next(backbone for backbone in self.backbones if backbone.name == name)

    def trial_config(self, backbone: str, params: Mapping[str, object]) -> TrialConfig:
        """Return the whole configuration of one trial.

        Args:
            backbone: Name of one of the study's backbones.
            params: Dotted path -> value, as the sampler proposed them.

        Raises:
            InputError: A value does not fit its field.
        """
        base = {
            "data": plain(self.data),
            "backbone": plain(self.backbone(backbone)),
            **plain(self.trial),
        }
        return TrialConfig.model_validate(apply(base, params))

    def _backbone_errors(self) -> Iterator[InputError]:
        names = [backbone.name for backbone in self.backbones]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield InputError(
                    f"backbones.{index}.name", got=name, expected="every backbone once"
                )
        if self.search.num_trials < len(names):
            yield InputError(
                "search.num_trials",
                got=self.search.num_trials,
                expected=f"at least {len(names)}: one for each backbone",
            )

    def _search_errors(self) -> Iterator[InputError]:
        if self.min_epochs > self.max_epochs:
            yield InputError(
                "search.min_epochs",
                got=self.search.min_epochs,
                expected=f"at most trial.joint.epochs, which is {self.max_epochs}",
            )

    def _space_errors(self) -> Iterator[InputError]:
        base = plain(self.trial)
        for path, dimension in self.space.dimensions.items():
            where = f"space.{path}"
            reason = _UNSEARCHABLE.get(path)
            if reason or path.split(".")[0] not in _SEARCHABLE or "." not in path:
                why = f" ({reason})" if reason else ""
                yield InputError(
                    where,
                    got=Text(f"a path that cannot be searched{why}"),
                    expected=f"a field below {', '.join(_SEARCHABLE)}",
                    choices=(),
                )
                continue
            yield from _probe(where, base, path, dimension.examples())


def _probe(where: str, base: dict[str, Any], path: str, values: list[Any]) -> Iterator[InputError]:
    """Check that the trial takes every extreme value of a dimension."""
    for value in values:
        try:
            TrialTemplate.model_validate(apply(base, {path: value}))
        except ValidationError as error:
            first = error.errors()[0]
            unknown = first["type"] == "extra_forbidden"
            yield InputError(
                where,
                got=Text("an unknown field") if unknown else value,
                expected=_field_names(base, path) if unknown else _plain_words(first["msg"]),
                choices=(),
            )
            return
        except InputError as error:
            yield InputError(where, got=error.got, expected=error.expected)
            return


def _field_names(base: dict[str, Any], path: str) -> str:
    parent = base
    parts = path.split(".")
    for part in parts[:-1]:
        parent = parent.get(part, {})
    names = ", ".join(sorted(parent)) if parent else "classifier, gan, joint"
    near = InputError("", got=parts[-1], expected="", choices=sorted(parent))
    suggestion = str(near).partition("Did you mean ")[2]
    return f"one of {names}" + (f". Did you mean {suggestion}" if suggestion else "")


def _plain_words(message: str) -> str:
    words = message.removeprefix("Value error, expected ").removeprefix("Input should be ")
    return f"a value that is {words}" if words.startswith(("greater", "less")) else words


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return ``path: old -> new`` for every leaf in which two plain studies differ.

    Those of ``HARMLESS_CHANGES`` are left out.
    """
    found = []
    for key in [*old, *(key for key in new if key not in old)]:
        path = f"{prefix}{key}"
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{path}.")
        elif before != after and not path.startswith(HARMLESS_CHANGES):
            found.append(f"{path}: {before!r} -> {after!r}")
    return found
