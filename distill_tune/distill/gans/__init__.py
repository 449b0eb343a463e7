"""GAN kinds, one file each. A new kind = a new file and its line in ``GANS`` and ``AnyGan``."""

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from distill_tune.distill.gans.sngan import Sngan

GANS = {"sngan": Sngan}
"""Kind -> its configuration class."""


def _kind(raw: Any) -> str:
    kind = raw.get("kind", "sngan") if isinstance(raw, dict) else getattr(raw, "kind", "sngan")
    return str(kind)


AnyGan = Annotated[Annotated[Sngan, Tag("sngan")], Discriminator(_kind)]

__all__ = ["GANS", "AnyGan", "Sngan"]
