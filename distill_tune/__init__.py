"""distill-tune: hyperparameter search for GAN distillation.

``search``, ``resume``, ``confirm`` and ``train`` are the Python counterparts of the commands;
``load_study`` reads a study, ``compare`` compares several, ``check``
looks at images. Heavy dependencies are imported only
when one of them is called.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill_tune.api import confirm, resume, search, train
    from distill_tune.plugins import use as use_plugins
    from distill_tune.report.comparison import compare
    from distill_tune.report.comparison.findings import Comparison
    from distill_tune.report.study_result import StudyResult, TrainedModel, Winner, load_study
    from distill_tune.tuning.draft.data_check import check

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "StudyResult",
    "TrainedModel",
    "Winner",
    "__version__",
    "check",
    "compare",
    "confirm",
    "load_study",
    "resume",
    "search",
    "train",
    "use_plugins",
]

_MODULES = {
    "Comparison": "report.comparison.findings",
    "check": "tuning.draft.data_check",
    "compare": "report.comparison",
} | dict.fromkeys(("StudyResult", "TrainedModel", "Winner", "load_study"), "report.study_result")

# Hidden from type checkers: with a module __getattr__ they would accept any attribute name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "use_plugins":
            return import_module(f"{__name__}.plugins").use
        module = _MODULES.get(name, "api")
        return getattr(import_module(f"{__name__}.{module}"), name)
