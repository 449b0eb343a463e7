"""The index of the report's figures: a figure is one file here and one line below.

Each file has a ``TITLE``; ``info``, which says of a study what is shown, as a named tuple, or None
where there is nothing of the kind; ``draw`` for the eye, empty where there is too little to draw;
and ``words`` for everybody. A drawing only draws. Some have ``pictures`` of the study to stand
beside the drawing.
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
)

OF_A_BACKBONE: dict[str, ModuleType] = {
    "best-so-far": best_so_far,
    "curves": curves,
    "pruning": pruning,
    "importances": importances,
    "failures": failures,
    "slices": slices,
    "parallel": parallel,
    "contour": contour,
}
"""Figures that every backbone has: ``info(source, backbone)``."""

OF_THE_STUDY: dict[str, ModuleType] = {
    "generator": generator,
    "agreement": agreement,
    "stages": stages,
}
"""Figures over all backbones: ``info(source)``."""

__all__ = ["OF_A_BACKBONE", "OF_THE_STUDY"]
