"""The index of figures; a new figure needs one file here and one line below.

Each file defines its content as a named tuple, ``draw`` to draw it, and ``words`` as a text
alternative. Drawing computes nothing.
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
