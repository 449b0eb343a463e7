"""A study: data, backbones, procedure, space, search and resources, checked as a whole."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from distill_tune.datasets import Dataset
from distill_tune.distill.backbones import AnyBackbone, Backbone
from distill_tune.distill.trial_config import TrialConfig, TrialTemplate
from distill_tune.errors import InputError, InputErrors, Text
from distill_tune.interfaces import Config, plain
from distill_tune.plugins import require
from distill_tune.study.rungs import default_min_epochs
from distill_tune.study.sampler_needs import noise_errors, objective_errors, space_errors
from distill_tune.study.sections import (
    Confirm,
    Plugin,
    Resources,
    Search,
    unlabelled_errors,
    weights_errors,
)
from distill_tune.study.space import SearchSpace, apply
from distill_tune.study.validation import get_path, parse, read_yaml_text, to_yaml

_SEARCHABLE = ("classifier", "gan", "joint")
_UNSEARCHABLE = {
    "data": "all trials of a study have the same data",
    "backbone": "list the backbones under backbones: each gets its own search",
    "backbones": "list them under backbones: each gets its own search",
    "compute": "it changes how fast a trial computes, not its method; set trial.compute",
    "seed": "a lucky seed is not a better configuration; set trial.seed",
    "preset": "set trial.preset, and search the fields that it changes",
    "search": "it is not part of a trial",
    "resources": "it is not part of a trial",
    "joint.epochs": "rungs compare trials after equal numbers of epochs; set trial.joint.epochs",
    "joint.monitor_images": "it is not part of the method; set trial.joint.monitor_images",
    "joint.monitor_every": "it changes no result",
    "gan.kind": "its fields depend on it; set trial.gan.kind",
}


class Study(Config):
    """A whole search, as described by a YAML file."""

    study: str
    """Name of the study and of its directory."""
    data: Dataset
    """The data set to learn."""
    backbones: tuple[AnyBackbone, ...] = Field(min_length=1)
    """Backbones of the classifiers; each gets its own sampler, rungs and winner."""
    trial: TrialTemplate = TrialTemplate()
    """The procedure; fields that are not given keep their defaults."""
    space: SearchSpace
    """Fields of the trial to search: dotted paths, each with its dimension."""
    search: Search = Search()
    """Sampler, scheduler, budget."""
    resources: Resources = Resources()
    """Resources of a trial."""
    plugins: tuple[Plugin, ...] = ()
    """Plugins that the study needs; the command line must name them too. A search adds all that are
    in use."""
    confirm: Confirm | None = None
    """Settings of a ``distill-tune confirm`` as the last step of the search; null: no such step."""

    @model_validator(mode="before")
    @classmethod
    def _plugins_are_named(cls, raw: Any) -> Any:
        require(raw.get("plugins") if isinstance(raw, dict) else ())
        return raw

    @field_validator("study")
    @classmethod
    def _names_a_directory(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            fitting = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100]
            expected = "letters, digits, '.', '_' and '-', a letter or a digit first"
            if len(name) > 100:
                expected += ", at most 100"
            raise ValueError(InputError("study", got=name, expected=expected, choices=[fitting]))
        return name

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        errors = [*self._backbone_errors(), *self._search_errors(), *self._space_errors()]
        errors += self._first_point_errors()
        errors += self._unlabelled_errors() if self.data.unlabelled is None else ()
        names = [backbone.name for backbone in self.backbones]
        errors += weights_errors(self.confirm.weights if self.confirm else {}, names)
        if errors:
            raise ValueError(InputErrors(errors))
        return self

    @property
    def min_epochs(self) -> int:
        """Epochs that every trial gets."""
        return self.search.min_epochs or default_min_epochs(self.max_epochs)

    @property
    def max_epochs(self) -> int:
        """Epochs of a trial that is not pruned."""
        return self.trial.joint.epochs

    def backbone(self, name: str) -> Backbone:
        """Return the backbone of that name."""
        return next(backbone for backbone in self.backbones if backbone.name == name)

    def arm_weights(self, backbone: str) -> str | None:
        """Return the weights given for the arm ``fine_tuned`` of a backbone; None: none are."""
        return self.confirm.weights.get(backbone) if self.confirm else None

    @property
    def stage_3_only(self) -> dict[str, str]:
        """Searched fields that do not act in stage 2, with those that take their place there."""
        places = {"joint.margin": "triplet_margin", "joint.hard_threshold": "triplet_threshold"}
        fixed = self.trial.gan.model_dump()
        return {
            path: f"gan.{name}"
            for path, name in places.items()
            if path in self.space.dimensions
            and (self.search.triplet == "shared" or fixed[name] is not None)
        }

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
            "metric": self.search.metric,
        }
        shared = {
            name: get_path(base, path.split("."))
            for path, name in self.stage_3_only.items()
            if get_path(base, name.split(".")) is None
        }
        return TrialConfig.model_validate(apply(base, {**shared, **params}))

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
        yield from objective_errors(self.search)
        yield from noise_errors(self.search)
        yield from space_errors(self.search, self.space.dimensions, len(self.backbones))

    def _unlabelled_errors(self) -> Iterator[InputError]:
        arms = self.confirm.arms if self.confirm is not None else ()
        kinds = self.space.dimensions.get("joint.extra_images")
        yield from unlabelled_errors("confirm.arms", arms)
        yield from unlabelled_errors("search.controls", self.search.controls)
        yield from unlabelled_errors("trial.joint.extra_images", [self.trial.joint.extra_images])
        yield from unlabelled_errors("space.joint.extra_images", kinds.examples() if kinds else ())

    def _first_point_errors(self) -> Iterator[InputError]:
        names = [backbone.name for backbone in self.backbones]
        for name, points in self.search.first_points.items():
            where = "search.first_points"
            if name not in names:
                expected = "a backbone of the study"
                yield InputError(where, got=name, expected=expected, choices=names)
            for index, point in enumerate(points):
                yield from _point_errors(f"{where}.{name}.{index}", point, self.space)

    def _space_errors(self) -> Iterator[InputError]:
        base = plain(self.trial)
        known = [path for section in _SEARCHABLE for path in _leaves(base[section], section)]
        for path, dimension in self.space.dimensions.items():
            error = _path_error(path, known) or _value_error(base, path, dimension.examples())
            if error is not None:
                yield error


def _point_errors(
    where: str, point: Mapping[str, object], space: SearchSpace
) -> Iterator[InputError]:
    """Yield an error for every value of a point that lies outside the space."""
    for path, value in point.items():
        dimension = space.dimensions.get(path)
        if dimension is None:
            expected = "a dimension of the space"
            yield InputError(where, got=path, expected=expected, choices=space.dimensions)
        elif not dimension.holds(value):
            expected = f"a value of {dimension.describe()}"
            yield InputError(f"{where}.{path}", got=value, expected=expected)


def _leaves(value: object, path: str) -> Iterator[str]:
    """Yield the dotted path of every field."""
    if not isinstance(value, dict):
        yield path
        return
    for name, inner in value.items():
        yield from _leaves(inner, f"{path}.{name}")


def _path_error(path: str, known: list[str]) -> InputError | None:
    """Return the error in a dimension's path; None if it can be searched."""
    where, section = f"space.{path}", path.split(".", maxsplit=1)[0]
    reason = _UNSEARCHABLE.get(path) or _UNSEARCHABLE.get(section)
    if reason:
        got = Text(f"a path that cannot be searched ({reason})")
        return InputError(where, got=got, expected=f"a field below {', '.join(_SEARCHABLE)}")
    if path in known:
        return None
    names = [name.removeprefix(f"{section}.") for name in known if name.startswith(f"{section}.")]
    expected = f"{section} and one of its fields {', '.join(names)}"
    if not names:
        expected = f"a field below {', '.join(_SEARCHABLE)}, such as joint.margin"
    return InputError(where, got=path, expected=expected, choices=known)


def _value_error(base: dict[str, Any], path: str, values: list[Any]) -> InputError | None:
    """Return the error for the first of a dimension's extreme values that a trial refuses."""
    for value in values:
        config = apply(base, {path: value})
        try:
            TrialTemplate.model_validate(config)
        except ValidationError:
            try:
                parse(TrialTemplate, read_yaml_text(to_yaml(config), "trial"))
            except (InputError, InputErrors) as error:
                first = error.errors[0] if isinstance(error, InputErrors) else error
                return InputError(f"space.{path}", got=value, expected=first.expected)
    return None
