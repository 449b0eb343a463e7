"""distill-tune: hyperparameter search for GAN distillation.

From Python: ``search``, ``resume``, ``confirm`` and ``train`` do what the commands do, and
``load_study`` reads a study. Nothing heavy is imported before one of them is called.
"""

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distill_tune.api import confirm, resume, search, train
    from distill_tune.report.study_result import StudyResult, TrainedModel, Winner, load_study

__version__ = "0.1.0"

__all__ = [
    "StudyResult",
    "TrainedModel",
    "Winner",
    "__version__",
    "confirm",
    "load_study",
    "resume",
    "search",
    "train",
]

_RESULTS = {"StudyResult", "TrainedModel", "Winner", "load_study"}

# Type checkers see the names above; to them this would make every other name right, too.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(
            import_module(f"{__name__}.{'results' if name in _RESULTS else 'api'}"), name
        )


class _CallableSearch(ModuleType):
    """The room ``distill_tune.tuning``, which is called as the function of its name.

    Python puts a sub-package into its package under its name, whatever stood there: the function
    would be gone as soon as anything had imported the room.
    """

    @property
    def __call__(self) -> Callable[..., Any]:
        found: Callable[..., Any] = import_module(f"{__package__}.api").search
        return found

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.__call__)


import_module(f"{__name__}.search")
sys.modules[f"{__name__}.search"].__class__ = _CallableSearch
