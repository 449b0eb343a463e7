"""GAN kinds, one file each. To add one, add a file and entries in ``GANS`` and ``AnyGan``."""

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from distill_tune.distill.gans.sngan import Sngan

GANS = {"sngan": Sngan}
"""Kind -> configuration class."""


def _kind(raw: Any) -> str:
    kind = raw.get("kind", "sngan") if isinstance(raw, dict) else getattr(raw, "kind", "sngan")
    return str(kind)


AnyGan = Annotated[Annotated[Sngan, Tag("sngan")], Discriminator(_kind)]

__all__ = ["GANS", "AnyGan", "Sngan"]
