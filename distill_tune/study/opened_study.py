"""A study opened for a command: either fully valid, or refused before anything is created."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.errors import InputError, Message, Parameter, StudyError, Text
from distill_tune.interfaces import ImageData
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.files.storage import joined
from distill_tune.study.absolute_paths import with_absolute_paths
from distill_tune.study.continuing.continuation import Continuation, continuation, is_untouched
from distill_tune.study.opening import (
    Options,
    check_same,
    load_images,
    located,
    read_study,
    require_utf8,
    resume_command,
    stored_study,
)
from distill_tune.study.sampler_needs import coverage, require_package
from distill_tune.study.sections import GPUS, Resources
from distill_tune.study.study import Study
from distill_tune.study.validation import Document
from distill_tune.study.warm_start import WARM_START_TRIALS, warm_start


class Opened(NamedTuple):
    """A valid study with everything that belongs to it.

    Attributes:
        study: The checked study.
        directory: Its directory, which may not exist yet.
        images: Its data.
        document: The document that it was read from, with the positions of fields.
        remark: Text to print before anything else; may be empty.
        continuation: Trials taken over from other studies; None for no such trials.
    """

    study: Study
    directory: StudyDirectory
    images: ImageData
    document: Document
    remark: str = ""
    continuation: Continuation | None = None


class WarmStartRequest(NamedTuple):
    """A request to try configurations of another study first.

    Attributes:
        source: The study whose best configurations are tried; None: no warm start.
        num_trials: Number of configurations per backbone; None: the default.
    """

    source: str | None = None
    num_trials: int | None = None


class StudyRequest(NamedTuple):
    """A user's request for a study that may be new.

    Attributes:
        space: A YAML file, or a mapping with the same content.
        storage: Folder or URI of studies.
        assignments: ``path=value`` changes to the space.
        options: Further changes.
        warm_start: Configurations to try first.
        continue_from: Studies whose trials count as observations.
    """

    space: Path | Mapping[str, Any]
    storage: str
    assignments: list[str]
    options: Options
    warm_start: WarmStartRequest = WarmStartRequest()
    continue_from: tuple[str, ...] = ()


def open_new(request: StudyRequest, *, resume: bool, allow_changed: bool) -> Opened:
    """Return a study that may already exist, if it may be started or resumed.

    Raises:
        InputError, InputErrors: All errors, with their positions.
        StudyError: It exists and is not to be resumed, or was started with other settings.
    """
    typed, document = read_study(request.space, request.assignments, request.options)
    with located(document):
        require_package(typed.search)
        _require_one_gpu(typed.resources)
        placed = with_absolute_paths(typed)
    with located(document):
        study, remark = warm_started(placed, request.warm_start)
    directory = _new_place(request.storage, study.study)
    if directory.exists():
        if not resume:
            raise StudyError(
                Message(
                    f"{directory.root}: got a study that already exists, expected another ",
                    Parameter("name"),
                    ", or ",
                    Parameter("resume=True"),
                    f" (the same as: {resume_command(directory)})",
                )
            )
        check_same(directory, study, allow_changed=allow_changed)
    require_utf8(directory)
    remarks = [remark, _coverage(study)]
    images = load_images(typed, document, say=remarks.append)
    found = None
    if request.continue_from and is_untouched(directory):
        found = continuation(request.continue_from, study, images.digest)
        remarks += found.words
    elif request.continue_from:
        remarks.append("the study has begun: no further trials of other studies are taken over")
    text = "\n".join(filter(None, remarks))
    return Opened(study, directory, images, document, text, found)


def open_stored(
    root: str, options: Options | None = None, assignments: Sequence[str] = ()
) -> Opened:
    """Return an existing study with changes applied; raises as :func:`stored_study`."""
    directory = StudyDirectory(root)
    require_utf8(directory)
    stored, document = stored_study(directory, options, assignments)
    with located(document):
        require_package(stored.search)
        study = with_absolute_paths(stored)
    remarks = [_coverage(study)]
    resume = resume_command(directory)
    images = load_images(study, document, resume, directory, say=remarks.append)
    return Opened(study, directory, images, document, "\n".join(filter(None, remarks)))


def warm_started(study: Study, request: WarmStartRequest) -> tuple[Study, str]:
    """Return the study with its first points, and a text that describes them."""
    if request.source is None:
        if request.num_trials is not None:
            expected = Message(Parameter("warm_start"), " beside it")
            raise InputError(
                Parameter("warm_start_trials"), got=request.num_trials, expected=expected
            )
        return study, ""
    if any(study.search.first_points.values()):
        expected = Message("none beside ", Parameter("warm_start"), ", which sets them")
        got = Text("points of its own")
        raise InputError("search.first_points", got=got, expected=expected)
    names = [backbone.name for backbone in study.backbones]
    number = WARM_START_TRIALS if request.num_trials is None else request.num_trials
    found = warm_start(StudyDirectory(request.source), names, study.space.dimensions, number)
    search = study.search.model_copy(update={"first_points": found.points})
    return study.model_copy(update={"search": search}), found.words


def _coverage(study: Study) -> str:
    return coverage(study.search, study.space.dimensions, len(study.backbones))


def _new_place(storage: str, name: str) -> StudyDirectory:
    """Return the directory of a study that may be new."""
    if not storage:
        raise InputError(Parameter("storage"), got=storage, expected="a folder or a URI")
    directory = StudyDirectory(joined(storage, name))
    directory.refuse_unusable()
    return directory


def _require_one_gpu(resources: Resources) -> None:
    """Raise InputError if a trial would reserve several GPUs; an older study may."""
    if isinstance(resources.gpus, float) and resources.gpus > 1:
        expected = f"{GPUS}: a trial computes on one GPU, the others would be idle"
        raise InputError("resources.gpus", got=resources.gpus, expected=expected)
