"""GAN kinds, one file each. To add one, add a file and an entry in ``GANS``."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    Discriminator,
    SerializeAsAny,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from distill_tune.distill.gans.dcgan import Dcgan
from distill_tune.distill.gans.sngan import Sngan
from distill_tune.distill.gans.training_fields import GanTraining
from distill_tune.plugins import parts, validated

GANS: dict[str, type[Sngan] | type[Dcgan]] = {"sngan": Sngan, "dcgan": Dcgan}
"""Kind -> configuration class."""


def _kind(raw: Any) -> str:
    kind = raw.get("kind", "sngan") if isinstance(raw, dict) else getattr(raw, "kind", "sngan")
    return str(kind)


def _of_plugin(raw: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Return a GAN whose kind a plugin registers; the others are left to the index."""
    if isinstance(raw, GanTraining):
        return raw
    own = parts("gans", GanTraining, GANS).get(_kind(raw)) if isinstance(raw, dict) else None
    return handler(raw) if own is None else validated(own, raw)


if TYPE_CHECKING:
    AnyGan = Sngan
else:
    _tagged = (Annotated[gan, Tag(kind)] for kind, gan in GANS.items())
    _Kinds = Annotated[reduce(or_, _tagged), Discriminator(_kind)]
    # A field of this type accepts any kind of the index or of a plugin; ``kind`` selects it.
    AnyGan = Annotated[SerializeAsAny[_Kinds], WrapValidator(_of_plugin)]

__all__ = ["GANS", "AnyGan", "Sngan"]
