"""The index of figures: a figure is one file here and one line below.

Each file has what it shows as a named tuple, ``draw`` for the eye and ``words`` for who cannot see
it. A drawing only draws.
"""

from types import ModuleType

from distill_tune.model.figures import collapse, contact_sheet, features, matches

PLOTS: dict[str, ModuleType] = {
    "collapse": collapse,
    "contact_sheet": contact_sheet,
    "features": features,
    "matches": matches,
}

__all__ = ["PLOTS"]
