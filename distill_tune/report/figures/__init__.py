"""Index of the report's figures; a figure is one module here and one line below.

Each module has a ``TITLE``; ``info``, which returns the figure's data as a named tuple, or None if
the study has none; ``draw``, which returns the drawing, empty if there is too little to draw; and
``words``, which returns the caption. ``draw`` computes nothing. Some modules have ``pictures`` of
the study, which are shown beside the drawing.
"""

from types import ModuleType

from distill_tune.report.figures import (
    agreement,
    best_so_far,
    contour,
    curves,
    failures,
    generator,
    importances,
    parallel,
    pruning,
    slices,
    stages,
    value_and_cost,
)

OF_A_BACKBONE: dict[str, ModuleType] = {
    "best-so-far": best_so_far,
    "value-and-cost": value_and_cost,
    "curves": curves,
    "pruning": pruning,
    "importances": importances,
    "failures": failures,
    "slices": slices,
    "parallel": parallel,
    "contour": contour,
}
"""Figures of each backbone: ``info(source, backbone)``."""

OF_THE_STUDY: dict[str, ModuleType] = {
    "generator": generator,
    "agreement": agreement,
    "stages": stages,
}
"""Figures over all backbones: ``info(source)``."""

__all__ = ["OF_A_BACKBONE", "OF_THE_STUDY"]
