"""The study directory: the log survives kills, texts are replaced whole."""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tune.errors import InputError, StudyError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.files.local_files import whole_lines
from distill_tune.records.trials import Event


def started(trial: int, backbone: str = "resnet50", **params: Any) -> Event:
    name = f"{backbone}-{trial:04d}"
    event = {"event": "trial_started", "trial": trial, "name": name, "backbone": backbone}
    return event | {"params": params, "time": 100.0 + trial}


def epoch(trial: int, number: int, objective: float) -> Event:
    metrics = {"objective": objective}
    return {"event": "epoch", "trial": trial, "epoch": number, "metrics": metrics, "time": 200.0}


def ended(trial: int) -> Event:
    return {"event": "trial_ended", "trial": trial, "status": "complete", "time": 300.0}


@pytest.fixture(params=["local", "memory"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> StudyDirectory:
    places = {"local": str(tmp_path / "runs/s"), "memory": f"memory://{tmp_path.name}/runs/s"}
    return StudyDirectory(places[request.param])


def test_events_come_back_as_written_with_the_time_added(directory: StudyDirectory) -> None:
    directory.append({"event": "warning", "text": "schräg\nzwei Zeilen"})
    directory.append({"event": "novelty", "time": 7.0, "anything": [1, {"a": None}]})
    first, second = directory.events()
    assert first["text"] == "schräg\nzwei Zeilen"
    assert first["time"] > 1e9
    assert second == {"event": "novelty", "time": 7.0, "anything": [1, {"a": None}]}


def test_a_log_continues_in_another_process(directory: StudyDirectory) -> None:
    directory.append(started(0))
    StudyDirectory(directory.root).append(epoch(0, 1, 0.5))
    assert [event["event"] for event in directory.events()] == ["trial_started", "epoch"]


def test_numbers_of_numpy_and_numbers_that_are_not_finite_keep_their_value(
    directory: StudyDirectory,
) -> None:
    metrics = {
        "objective": np.float32(0.5),
        "loss": math.inf,
        "gap": float("nan"),
        "n": np.int64(3),
    }
    directory.append({"event": "epoch", "trial": 0, "epoch": 1, "metrics": metrics})
    line = json.dumps(directory.events()[0], allow_nan=False)
    kept = directory.state().trials[0].metrics
    assert '"inf"' in line
    assert kept["loss"] == math.inf
    assert math.isnan(kept["gap"])
    assert (kept["objective"], kept["n"]) == (0.5, 3.0)


def test_what_json_cannot_hold_is_refused_before_anything_is_written(
    directory: StudyDirectory,
) -> None:
    with pytest.raises(TypeError, match="set"):
        directory.append({"event": "warning", "text": {1, 2}})
    assert directory.events() == []


CONTINUED_TRIAL = {"event": "continued", "code": "c", "trials": []}


@pytest.mark.parametrize(
    "left", [b"", b'{"event": "sess', b"\0" * 50, None], ids=["empty", "torn", "NULs", "trials"]
)
def test_a_log_without_a_session_is_no_study_and_a_search_takes_it_over(
    tmp_path: Path, left: bytes | None
) -> None:
    directory = StudyDirectory(str(tmp_path / "s"))
    if left is None:
        directory.append(CONTINUED_TRIAL)
    else:
        (tmp_path / "s").mkdir()
        (tmp_path / "s/events.jsonl").write_bytes(left)
    assert not directory.exists()
    with pytest.raises(StudyError, match=r"s: no study here \(no study.yaml\)"):
        directory.require()
    directory.create()
    # What it took over from other studies is not mixed with what the next one takes over.
    assert directory.events() == []
    directory.append({"event": "session_started"})
    assert [event["event"] for event in StudyDirectory(directory.root).events()] == [
        "session_started"
    ]
    assert directory.exists()
    with pytest.raises(StudyError, match="a study already exists here"):
        directory.create()


def test_an_empty_log_beside_results_is_a_study(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").touch()
    (tmp_path / "tensorboard").mkdir()
    assert StudyDirectory(str(tmp_path)).exists()


@pytest.mark.parametrize("torn", ['{"event": "epo', '{"event"', "{", "\x00\x00\x00", '"', "12"])
def test_a_torn_last_line_is_ignored_and_repaired(tmp_path: Path, torn: str) -> None:
    directory = StudyDirectory(str(tmp_path))
    directory.append(started(0))
    with (tmp_path / "events.jsonl").open("a") as log:
        log.write(torn)
    assert len(directory.events()) == 1
    directory.append(epoch(0, 1, 0.5))
    assert [event["event"] for event in directory.events()] == ["trial_started", "epoch"]
    assert directory.state().warnings == ()
    assert torn not in (tmp_path / "events.jsonl").read_text().splitlines()


def test_a_last_line_that_lacks_only_its_newline_is_kept(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path))
    directory.append({"event": "warning", "text": "a"})
    log = tmp_path / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-1])
    assert directory.events()[0]["text"] == "a"
    directory.append({"event": "warning", "text": "b"})
    assert [event["text"] for event in directory.events()] == ["a", "b"]


LINES = [
    json.dumps(event, ensure_ascii=False).encode()
    for event in (started(0, lr=1e-5, kind="größer {\n}"), epoch(0, 1, 0.5), ended(0))
]


@given(st.integers(0, len(b"\n".join(LINES)) + 1))
def test_a_log_cut_anywhere_holds_exactly_the_lines_that_were_whole(cut: int) -> None:
    log = whole_lines((b"\n".join(LINES) + b"\n")[:cut])
    lengths = [len(b"\n".join(LINES[: n + 1])) for n in range(3)]
    whole = sum(length <= cut for length in lengths)
    assert log == b"".join(line + b"\n" for line in LINES[:whole])


def test_a_damaged_line_in_the_middle_is_skipped_and_named(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path))
    directory.append(started(0))
    (tmp_path / "events.copy.jsonl").unlink()
    with (tmp_path / "events.jsonl").open("ab") as log:
        log.write(b'\xff\xfe{"event": "epoch"\n[1, 2]\n\n{"event": 5}\n')
    directory.append(epoch(0, 1, 0.25))
    state = directory.state()
    assert state.trials[0].value == 0.25
    assert [text.split()[2] for text in state.warnings] == ["2", "3", "5"]


@given(st.data())
def test_a_changed_byte_costs_its_own_line_and_is_told(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = StudyDirectory(folder)
        for number in range(3):
            directory.append(epoch(0, number + 1, 0.123456))
        (Path(folder) / "events.copy.jsonl").unlink()
        log = Path(folder) / "events.jsonl"
        content = bytearray(log.read_bytes())
        places = [place for place, byte in enumerate(content) if byte != ord("\n")]
        place = data.draw(st.sampled_from(places))
        value = data.draw(st.integers(0, 255).filter(lambda v: v not in {content[place], 10}))
        damaged = content[:place].count(b"\n") + 1
        content[place] = value
        log.write_bytes(bytes(content))
        state = directory.state()
    assert list(state.trials[0].history) == [number for number in (1, 2, 3) if number != damaged]
    assert all(m["objective"] == 0.123456 for m in state.trials[0].history.values())
    assert state.warnings == (f"events.jsonl line {damaged} is damaged and was skipped",)


WRITER = """
import sys
from distill_tune.records.directory import StudyDirectory
directory = StudyDirectory(sys.argv[1])
count = len(directory.events())
print("ready", flush=True)
while True:
    directory.append({"event": "counted", "count": count, "ballast": "x" * 20_000})
    count += 1
"""


def test_a_writer_killed_again_and_again_leaves_no_hole_and_no_double(tmp_path: Path) -> None:
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.15)
        writer.kill()
        writer.wait()
        writer.stdout.close()
    counts = [event["count"] for event in StudyDirectory(str(tmp_path)).events()]
    assert len(counts) > 3
    assert counts == list(range(len(counts)))


def test_a_new_study_is_refused_where_there_is_one(directory: StudyDirectory) -> None:
    assert not directory.exists()
    directory.create()
    assert not directory.exists()
    directory.write_text("study.yaml", "study: s\n")
    with pytest.raises(StudyError, match=f"distill-tune resume {directory.root}"):
        directory.create()


def test_a_missing_study_is_named_with_one_that_is_spelt_alike(tmp_path: Path) -> None:
    StudyDirectory(str(tmp_path / "resnet")).write_text("study.yaml", "")
    with pytest.raises(StudyError, match=r"resnt: no study here .*Did you mean 'resnet'\?"):
        StudyDirectory(str(tmp_path / "resnt")).require()


def test_a_study_in_the_place_of_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StudyError, match=r"taken: .*"):
        StudyDirectory(str(tmp_path / "taken")).create()


def test_an_unknown_uri_is_an_input_error() -> None:
    with pytest.raises(InputError, match="study directory: got 'nowhere://bucket/x'"):
        StudyDirectory("nowhere://bucket/x")


@pytest.mark.parametrize(
    ("root", "name", "path"),
    [
        ("memory://bucket/runs/s/", "a/b.yaml", "memory://bucket/runs/s/a/b.yaml"),
        ("file:///srv/a%20b/s", "x", "/srv/a b/s/x"),
        ("/srv/runs/s/", "", "/srv/runs/s"),
    ],
)
def test_a_name_becomes_a_path_under_the_root(root: str, name: str, path: str) -> None:
    directory = StudyDirectory(root)
    assert directory.path(name) == path
    assert directory.name == "s"
    assert directory.is_local is not root.startswith("memory")


def test_text_is_replaced_whole_and_leaves_no_scraps(directory: StudyDirectory) -> None:
    directory.write_text("best/resnet50.yaml", "a" * 100)
    directory.write_text("best/resnet50.yaml", "größer: 1\n")
    assert directory.read_text("best/resnet50.yaml") == "größer: 1\n"
    assert directory.disk_bytes() == len("größer: 1\n".encode())
    with pytest.raises(StudyError, match=r"none\.yaml: no such file"):
        directory.read_text("none.yaml")


def test_a_reader_never_sees_a_text_change_under_it(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path))
    directory.write_text("trials.csv", "old\n" * 3)
    with (tmp_path / "trials.csv").open() as reader:
        assert reader.readline() == "old\n"
        directory.write_text("trials.csv", "new")
        assert reader.read() == "old\n" * 2


def test_a_failed_write_keeps_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = StudyDirectory(str(tmp_path))
    directory.write_text("study.yaml", "old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(StudyError, match=r"study\.yaml: No space left on device"):
        directory.write_text("study.yaml", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
    assert directory.read_text("study.yaml") == "old"


def test_the_tables_are_written_from_the_log(directory: StudyDirectory) -> None:
    for event in (started(0, lr=1e-5), epoch(0, 1, 0.5), epoch(0, 1, 0.5), ended(0)):
        directory.append(event)
    directory.write_tables()
    assert directory.read_text("trials.csv").splitlines() == [
        "number,name,kind,backbone,state,reason,value,epochs,lr,objective",
        "0,resnet50-0000,trial,resnet50,complete,,0.5,1,1e-05,0.5",
    ]
    assert directory.read_text("epochs.csv").splitlines() == [
        "number,name,epoch,objective",
        "0,resnet50-0000,1,0.5",
    ]
