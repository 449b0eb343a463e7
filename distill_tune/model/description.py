"""The fields of a model's ``model.yaml`` that using the model needs; the file may be untrusted."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from distill_tune.datasets.images.printable import printable
from distill_tune.distill.backbones import AnyBackbone
from distill_tune.interfaces import Config, ValueRanges
from distill_tune.plugins import require
from distill_tune.records.words.metric_names import ACCURACY


class ClassNumbers(Config):
    """The results of a class, as :class:`~distill_tune.distill.monitoring.by_class.ClassResult`."""

    model_config = ConfigDict(extra="ignore")

    num_train: int = 0
    """Training images."""
    recall_stage_one: float | None = None
    """Validation recall at the end of stage 1, before any synthetic image."""
    agreement: float | None = None
    """Share of synthetic images that are recognised as of the class."""
    diversity: float | None = None
    """Distance of two synthetic images over that of two training images."""


class Transforms(Config):
    """The input format of a model."""

    model_config = ConfigDict(extra="ignore")

    channels: Literal[1, 3]
    """1 for grey, 3 for colour."""
    image_size: int = Field(ge=1, le=1024)
    """Height and width in pixels."""
    value_range: ValueRanges = ValueRanges()
    """Values of new images that become 0 and 255; for an older model, each file uses its own."""


class ModelData(Config):
    """The data that a model was made from."""

    model_config = ConfigDict(extra="ignore")

    digest: str = ""
    """Digest of the training and validation images; empty if unknown."""


class Description(Config):
    """The fields of ``model.yaml``."""

    model_config = ConfigDict(extra="ignore")

    backbone: AnyBackbone
    """The network."""
    plugins: tuple[str, ...] = ()
    """Plugins that were in use; using the model needs them."""
    classes: tuple[str, ...] = Field(min_length=2)
    """Names of the classes, in the order of the logits."""
    transforms: Transforms
    """Input format of the model."""
    data: ModelData = ModelData()
    """The data that the model was made from."""
    metric: str = ACCURACY
    """Metric by which its weights were kept."""
    by_class: dict[str, ClassNumbers] = Field(default_factory=dict)
    """Results of each class by its name; empty for an older model."""

    @field_validator("classes")
    @classmethod
    def _differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        # Others may have written the file: a name must not control the terminal.
        shown = tuple(map(printable, classes))
        if len(set(shown)) < len(shown):
            raise ValueError("expected names that differ")
        return shown

    @model_validator(mode="before")
    @classmethod
    def _plugins_are_named(cls, raw: Any) -> Any:
        require(raw.get("plugins") if isinstance(raw, dict) else ())
        return raw
