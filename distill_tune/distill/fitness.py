"""Bounds of a generator's fitness, apart from the code that measures it: these need no torch."""

FIT_AGREEMENT = 0.9
"""Share of synthetic images that agree with their labels from which on a generator is fit."""

UNFIT_AGREEMENT = 0.6
"""The share below which it is not fit, and is named."""
