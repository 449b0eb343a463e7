"""Checks that a node sees the study's folder: a host may have come back without it."""

import time

from distill_tune.cluster.resources import own_address
from distill_tune.errors import StudyError
from distill_tune.records.directory import STUDY_FILE, StudyDirectory

_PATIENCE_S, _LOOK_EVERY_S = 60.0, 1.0


def sees_study(root: str) -> bool:
    """Return whether this node sees a study.

    Args:
        root: Its folder, or its URI, which every node sees.
    """
    directory = StudyDirectory(root)
    return not directory.is_local or directory.has(STUDY_FILE)


def wait_for_study(root: str) -> None:
    """Wait up to a minute until this node sees a study, whose folder may still be on its way.

    Without it, work would write its model and its checkpoints where nobody finds them.

    Args:
        root: Its folder, or its URI.

    Raises:
        StudyError: The node does not see it.
    """
    until = time.monotonic() + _PATIENCE_S
    while not sees_study(root):
        if time.monotonic() >= until:
            raise StudyError(f"{own_address()} does not see {root}")
        time.sleep(_LOOK_EVERY_S)
