"""Environment of the processes in which Ray Tune runs trials."""

import os
from typing import Any

from ray.tune.execution.class_cache import DEFAULT_ENV_VARS, ENV_VARS_TO_PROPAGATE


def trial_environment() -> dict[str, Any]:
    """Return the runtime environment that Ray Tune gives the actors of trials.

    Ray gives an actor no process that was started with another one.
    """
    passed_on = {name: os.environ[name] for name in ENV_VARS_TO_PROPAGATE if name in os.environ}
    return {"env_vars": DEFAULT_ENV_VARS | passed_on}
