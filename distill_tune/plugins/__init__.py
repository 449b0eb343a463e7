"""Parts of one's own: backbones, GANs, data sets, arms and metrics beside this package's.

A plugin is a Python file, or an installed distribution with entry points. A file registers classes
by name in plain dicts at its end, such as ``GANS = {"mine": Mine}``; an entry point of the group
``distill_tune.gans`` does the same. Only plugins that the user names are loaded.
"""

from distill_tune.plugins.parts import parts, validated
from distill_tune.plugins.sources import digests, options, require, use, variables

__all__ = ["digests", "options", "parts", "require", "use", "validated", "variables"]
