"""The log is kept twice: what one file lost, the other has."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tune.records.directory import StudyDirectory
from distill_tune.records.event_log import COPY_FILE, LOG_FILE
from distill_tune.records.files.local_files import LocalFiles, whole_lines


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    made = StudyDirectory(str(tmp_path))
    for number in range(3):
        made.append({"event": "counted", "number": number})
    return made


def numbers(directory: StudyDirectory) -> list[int]:
    return [event["number"] for event in directory.events() if event["event"] == "counted"]


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"number": 1', b'"number": 7'))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[100:])


def join(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b" ", 1))


@pytest.mark.parametrize("damage", [flip, cut, join, Path.unlink])
def test_what_the_log_lost_its_copy_has_and_both_are_mended(
    directory: StudyDirectory, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    whole = (tmp_path / LOG_FILE).read_bytes()
    damage(tmp_path / LOG_FILE)
    assert numbers(directory) == [0, 1, 2]
    (warning,) = directory.state().warnings
    assert warning.endswith(f"; its copy {COPY_FILE} was read instead")
    assert directory.repair_log() == warning
    assert (tmp_path / LOG_FILE).read_bytes() == (tmp_path / COPY_FILE).read_bytes() == whole
    assert directory.state().warnings == ()


@pytest.mark.parametrize("damage", [flip, cut, join, Path.unlink])
def test_a_damaged_copy_is_written_anew(
    directory: StudyDirectory, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(tmp_path / COPY_FILE)
    assert numbers(directory) == [0, 1, 2]
    assert directory.repair_log() == ""
    assert (tmp_path / LOG_FILE).read_bytes() == (tmp_path / COPY_FILE).read_bytes()


def test_a_copy_that_a_kill_left_a_line_behind_catches_up(
    directory: StudyDirectory, tmp_path: Path
) -> None:
    lines = (tmp_path / COPY_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / COPY_FILE).write_bytes(b"".join(lines[:2]))
    assert numbers(directory) == [0, 1, 2]
    directory.repair_log()
    assert (tmp_path / COPY_FILE).read_bytes() == b"".join(lines)


def test_with_both_damaged_what_is_sound_is_read_and_the_rest_named(
    directory: StudyDirectory, tmp_path: Path
) -> None:
    for name in (LOG_FILE, COPY_FILE):
        flip(tmp_path / name)
    assert numbers(directory) == [0, 2]
    assert directory.state().warnings == (f"{LOG_FILE} line 2 is damaged and was skipped",)


def keep(num_lines: int) -> Callable[[bytes], bytes]:
    return lambda content: b"".join(content.splitlines(keepends=True)[:num_lines])


@pytest.mark.parametrize(
    ("shorten", "first_lost"),
    [
        (keep(0), 1),
        (keep(2), 3),
        (lambda content: content[:100], 2),
        (lambda content: b"\0" * len(content), 1),
        (lambda content: keep(1)(content) + b"\0" * 200, 2),
    ],
    ids=["emptied", "last line lost", "cut within a line", "only NULs", "NULs at its end"],
)
def test_a_log_shorter_than_its_copy_never_replaces_it(
    directory: StudyDirectory,
    tmp_path: Path,
    shorten: Callable[[bytes], bytes],
    first_lost: int,
) -> None:
    whole = (tmp_path / LOG_FILE).read_bytes()
    (tmp_path / LOG_FILE).write_bytes(shorten(whole))
    told = f"{LOG_FILE} is cut off before line {first_lost}; its copy {COPY_FILE} was read instead"
    assert numbers(directory) == [0, 1, 2]
    assert directory.state().warnings == (told,)
    assert directory.repair_log() == told
    assert (tmp_path / LOG_FILE).read_bytes() == (tmp_path / COPY_FILE).read_bytes() == whole


def test_a_log_shortened_during_a_search_lacks_nothing_that_its_copy_has(
    directory: StudyDirectory, tmp_path: Path
) -> None:
    (tmp_path / LOG_FILE).write_bytes(b"")
    directory.append({"event": "counted", "number": 3})
    assert numbers(directory) == [0, 1, 2, 3]
    told = f"{LOG_FILE} is incomplete; its copy {COPY_FILE} was read instead"
    assert directory.repair_log() == told
    assert numbers(StudyDirectory(str(tmp_path))) == [0, 1, 2, 3]


def test_a_log_both_damaged_and_shortened_is_completed(
    directory: StudyDirectory, tmp_path: Path
) -> None:
    whole = (tmp_path / LOG_FILE).read_bytes()
    flipped(tmp_path / LOG_FILE, 0)
    (tmp_path / LOG_FILE).write_bytes(keep(2)((tmp_path / LOG_FILE).read_bytes()))
    assert numbers(directory) == [0, 1, 2]
    assert directory.repair_log() == (
        f"{LOG_FILE} is damaged in line 1 and cut off before line 3; its copy {COPY_FILE} was "
        "read instead"
    )
    assert (tmp_path / LOG_FILE).read_bytes() == (tmp_path / COPY_FILE).read_bytes() == whole


@pytest.mark.parametrize("junk", [b"junk\n" * 20, b"\n" * 500, b"\0" * 500])
def test_a_copy_longer_by_what_is_no_event_is_not_preferred(
    directory: StudyDirectory, tmp_path: Path, junk: bytes
) -> None:
    whole = (tmp_path / LOG_FILE).read_bytes()
    (tmp_path / COPY_FILE).write_bytes(whole + junk)
    assert numbers(directory) == [0, 1, 2]
    assert directory.state().warnings == ()
    assert directory.repair_log() == ""
    assert whole_lines((tmp_path / COPY_FILE).read_bytes()) == whole


DAMAGES = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "drop", "zero"]), st.integers(0, 700)), max_size=3
)


def damaged(content: bytes, damages: list[tuple[str, int]]) -> bytes:
    for what, at in damages:
        lines = content.splitlines(keepends=True)
        if what == "flip" and at < len(content):
            content = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        elif what == "cut":
            content = content[:at]
        elif what == "drop" and lines:
            del lines[at % len(lines)]
            content = b"".join(lines)
        elif what == "zero":
            content = content[:at] + b"\0" * len(content[at:])
    return content


@given(DAMAGES, DAMAGES)
def test_whatever_happens_to_both_files_a_repair_costs_no_event(
    to_log: list[tuple[str, int]], to_copy: list[tuple[str, int]]
) -> None:
    with TemporaryDirectory() as folder:
        made = StudyDirectory(folder)
        for number in range(6):
            made.append({"event": "counted", "number": number})
        whole = (Path(folder) / LOG_FILE).read_bytes()
        contents = damaged(whole, to_log), damaged(whole, to_copy)
        sound = set(whole.splitlines())
        most = max(len(sound & set(content.split(b"\n"))) for content in contents)
        for name, content in zip((LOG_FILE, COPY_FILE), contents, strict=True):
            (Path(folder) / name).write_bytes(content)
        before = numbers(StudyDirectory(folder))
        made.repair_log()
        after = numbers(StudyDirectory(folder))
    assert before == after
    assert len(after) >= most


def test_a_search_that_appends_meanwhile_does_not_make_the_log_look_short(
    directory: StudyDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LocalFiles.read
    writer = StudyDirectory(str(tmp_path))

    def read_and_append(self: LocalFiles, name: str) -> bytes:
        content = read(self, name)
        writer.append({"event": "counted", "number": 3})
        return content

    monkeypatch.setattr(LocalFiles, "read", read_and_append)
    assert numbers(directory) == [0, 1, 2]
    assert directory.state().warnings == ()


def flipped(path: Path, number: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"number": %d' % number, b'"number": 7'))


def test_lines_that_each_file_lost_are_taken_from_the_other(
    directory: StudyDirectory, tmp_path: Path
) -> None:
    whole = (tmp_path / LOG_FILE).read_bytes()
    flipped(tmp_path / LOG_FILE, 0)
    flipped(tmp_path / COPY_FILE, 2)
    assert numbers(directory) == [0, 1, 2]
    told = f"{LOG_FILE} is damaged in line 1; its copy {COPY_FILE} was read instead"
    assert directory.repair_log() == told
    assert (tmp_path / LOG_FILE).read_bytes() == (tmp_path / COPY_FILE).read_bytes() == whole


def test_a_damaged_line_costs_no_event_that_the_copy_never_got(
    directory: StudyDirectory, tmp_path: Path
) -> None:
    whole = (tmp_path / LOG_FILE).read_bytes()
    flipped(tmp_path / LOG_FILE, 0)
    lines = (tmp_path / COPY_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / COPY_FILE).write_bytes(b"".join(lines[:2]))
    assert numbers(directory) == [0, 1, 2]
    directory.repair_log()
    assert (tmp_path / LOG_FILE).read_bytes() == whole


def test_a_line_that_both_lost_is_named_and_the_others_are_kept(
    directory: StudyDirectory, tmp_path: Path
) -> None:
    for name, numbers_lost in ((LOG_FILE, (0, 1)), (COPY_FILE, (1, 2))):
        for number in numbers_lost:
            flipped(tmp_path / name, number)
    assert numbers(directory) == [0, 2]
    assert sorted(directory.state().warnings) == [
        f"{LOG_FILE} is damaged in line 1; its copy {COPY_FILE} was read instead",
        f"{LOG_FILE} line 2 is damaged and was skipped",
    ]


def test_a_log_is_read_again_only_when_it_has_changed(
    directory: StudyDirectory, tmp_path: Path, files_read: list[str]
) -> None:
    for _ in range(3):
        assert numbers(directory) == [0, 1, 2]
    assert files_read == [LOG_FILE]
    directory.append({"event": "counted", "number": 3})
    assert numbers(directory) == [0, 1, 2, 3]
    StudyDirectory(str(tmp_path)).append({"event": "counted", "number": 4})
    assert numbers(directory) == [0, 1, 2, 3, 4]
    assert files_read == [LOG_FILE] * 3
    (tmp_path / LOG_FILE).unlink()
    assert numbers(directory) == [0, 1, 2, 3, 4]
    assert directory.state().warnings == (
        f"{LOG_FILE} is missing; its copy {COPY_FILE} was read instead",
    )


def test_what_a_reader_does_with_the_events_is_its_own_affair(directory: StudyDirectory) -> None:
    directory.events().clear()
    assert numbers(directory) == [0, 1, 2]
