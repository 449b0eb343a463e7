"""Report of a study: an HTML page, the same content as JSON, and a table of the trials."""

from typing import NamedTuple

from distill_tune.errors import Message, Parameter, StudyError
from distill_tune.records.directory import PAGE_FILE, TRIALS_FILE, StudyDirectory
from distill_tune.records.files.storage import storage_at
from distill_tune.records.tables import trials_csv

JSON_FILE = "report.json"
FILES = (PAGE_FILE, JSON_FILE, TRIALS_FILE)


class WrittenReport(NamedTuple):
    """Files of a report.

    Attributes:
        page: Path or URI of the page.
        json: Path or URI of the same content for programs.
        trials: Path or URI of the table.
    """

    page: str
    json: str
    trials: str


def write_report(directory: StudyDirectory, out: str | None = None) -> WrittenReport:
    """Write the report of a study, finished or not.

    Args:
        directory: Directory of the study.
        out: Folder or URI for the files; None writes them to the study.

    Raises:
        StudyError: There is no study, or the files cannot be written.
        InputError: ``out`` is not a writable folder.
    """
    from distill_tune.report.contents import contents, contents_json
    from distill_tune.report.output_files import chosen_storage, json_text, write_texts
    from distill_tune.report.page import page
    from distill_tune.report.study_records import source

    found = contents(source(directory))
    # All files are made before any is written.
    files = {
        PAGE_FILE: page(found),
        JSON_FILE: json_text(contents_json(found)),
        TRIALS_FILE: trials_csv(found.source.state),
    }
    storage = storage_at(directory.path()) if out is None else chosen_storage(out)
    if out is None and (obstacle := storage.obstacle()):
        given = f"{directory.root}: {obstacle}, expected a folder that can be written to; "
        raise StudyError(Message(given, "give another by ", Parameter("out")))
    write_texts(storage, files)
    return WrittenReport(*(storage.path(name) for name in FILES))
