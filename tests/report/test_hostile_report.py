"""Whatever stands in a study's log and files, it has a report, and that is harmless."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from distill_tune.records.checksums import add_line_checksum
from distill_tune.records.directory import StudyDirectory
from tests.report.made_up import make_study
from tests.report.page_reader import report
from tests.test_hostile_log import EVENTS


def test_a_damaged_log_is_told(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 3)
    for name in ("events.jsonl", "events.copy.jsonl"):
        path = tmp_path / "study" / name
        lines = path.read_bytes().split(b"\n")
        lines[5] = lines[5].replace(b"objective", b"objectiva")
        lines[0] = lines[0][:-9] + b"00000000}"
        path.write_bytes(b"\n".join(lines))
    page, said = report(StudyDirectory(directory.root))
    assert "events.jsonl line 1 is damaged and was skipped" in page.text
    assert len(said["warnings"]) == 2
    # Its terms stand in study.yaml as well.
    assert "uniform(0.05, 0.9)" in page.text


STRANGE = {
    "study": {"space": {"<i>": "uniform(0, 1)", "joint.margin": 5}, "search": {"metric": ["a"]},
              "resources": {"gpus": "<u>", "cpus": -1}, "trial": {"joint": {"epochs": 10**30}}},
    "version": ["<s>"], "environment": {"<b>": {"a": "</script><script>alert(1)"}, "x": 1},
}  # fmt: skip


def test_what_a_stranger_wrote_is_text(tmp_path: Path) -> None:
    evil = "</style></script><script>alert(1)</script><img src=x onerror=alert(1)>\ud800"
    directory = StudyDirectory(str(tmp_path / "study"))
    directory.append({"event": "session_started", "command": f"/bin/{evil} {evil}", **STRANGE})
    directory.append({"event": "data", "name": evil, "digest": evil, "classes": {}})
    params = {evil: evil, "b": 10**400}
    trial = {"name": f"../{evil}", "backbone": evil, "params": params}
    for number in range(12):
        directory.append({"event": "trial_started", **trial, "trial": number})
        row = {"trial": number, "metrics": {"objective": number}}
        directory.append({"event": "epoch", **row, "epoch": 10**400 if number == 5 else 1})
        end = {"trial": number, "status": "failed" if number % 2 else "complete", "reason": evil}
        directory.append({"event": "trial_ended", **end, "detail": evil})
    directory.append({"event": "warning", "text": evil})
    page, _ = report(directory)
    assert [tag for tag, _ in page.tags if tag in {"script", "img", "i", "u", "s"}] == ["script"]
    assert "alert(1)" in page.text
    policy = next(f["content"] for _, f in page.tags if f.get("http-equiv", "").startswith("Con"))
    assert policy.startswith("default-src 'none'; img-src data:; ")


@given(st.lists(EVENTS, max_size=8))
def test_any_log_has_a_report(events: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        lines = b"".join(add_line_checksum(json.dumps(event).encode()) + b"\n" for event in events)
        (Path(folder) / "events.jsonl").write_bytes(lines)
        directory = StudyDirectory(folder)
        # Without an event, it is no study.
        assume(directory.exists())
        report(directory)


def test_a_confirmation_that_makes_no_sense_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 2)
    directory.append({"event": "confirm_chosen", "backbone": ["a"]})
    page, said = report(directory)
    assert said["confirmation"] is None
    assert "the confirmation's records are invalid" in page.text
