"""Confirmations as users request them, shared by the command line and the Python API."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from distill_tune.confirmation.evidence.findings import Confirmation
from distill_tune.confirmation.plan import planned
from distill_tune.confirmation.session import confirm_study
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.absolute_paths import with_absolute_paths
from distill_tune.study.opened_study import Opened
from distill_tune.study.opening import (
    load_images,
    located,
    require_only_moved,
    require_utf8,
    stored_study,
)
from distill_tune.tuning.run_options import RunOptions


def open_to_confirm(root: str, asked: Mapping[str, Any], assignments: Sequence[str] = ()) -> Opened:
    """Open an existing study with the requested confirmation.

    Args:
        root: Directory of the study.
        asked: Options of the confirmation, as for :func:`planned`.
        assignments: ``path=value`` changes, as for a resumed search.

    Raises:
        InputError: An arm is unknown, or there is nothing to compare with.
        StudyError: There is no study, or a change goes beyond the location of its images.
    """
    directory = StudyDirectory(root)
    require_utf8(directory)
    stored, document = stored_study(directory, assignments=assignments)
    moved = with_absolute_paths(stored)
    if assignments or moved.plugins != stored.plugins:
        require_only_moved(directory, moved)
    study = moved.model_copy(update={"confirm": planned(moved, asked)})
    remarks: list[str] = []
    command = f"distill-tune confirm {shlex.quote(root)}"
    images = load_images(study, document, command, directory, say=remarks.append)
    return Opened(study, directory, images, document, "\n".join(remarks))


def confirm_opened(opened: Opened, options: RunOptions) -> Confirmation:
    """Train the missing runs of a confirmation; see :func:`confirm_study`."""
    with located(opened.document):
        return confirm_study(opened.study, opened.directory, opened.images, options)
