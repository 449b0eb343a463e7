"""What TensorBoard itself shows of trials: asked over its HTTP API, after a kill and a resume."""

import http.client
import io
import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from distill_tune.training.tensorboard.writer import TensorBoard

PATIENCE_S = 60
RUNS = {f"resnet50-{number:04d}" for number in range(3)}
PARAMS = {"joint.margin": 0.3, "joint.refresh": 2, "gan.kind": "sngan", "gan.flip": True}


@pytest.fixture(params=["true", "false"], ids=["fast", "slow-loading"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A log folder and the URL of a TensorBoard that has loaded it, with either of its loaders.

    One that does not come to it is begun again: its server is not what is tested.
    """
    write_three_trials(tmp_path)
    said, seen = tmp_path.with_name(f"{tmp_path.name}.log"), ""
    for _ in range(3):
        server, url = start(tmp_path, request.param, said)
        try:
            seen = what_is_missing(server, url)
            if not seen:
                yield tmp_path, url
                return
        finally:
            server.terminate()
            server.wait()
    raise AssertionError(f"TensorBoard did not load the runs: {seen}\n{said.read_text()}")


def start(folder: Path, load_fast: str, said: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a TensorBoard over a folder that says what it has to say to a file; return its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--load_fast", load_fast]
    command += ["--samples_per_plugin", "images=100", "--reload_interval", "1"]
    with said.open("ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    return server, f"http://127.0.0.1:{port}"


def write_three_trials(folder: Path) -> None:
    """Write three trials; the second is killed and resumed, the third still runs."""
    lists: list[Any] = [[4, 4], [8], []]
    warmups: list[Any] = [None, 500, 20.5]
    for number in range(3):
        params = PARAMS | {"joint.margin": 0.1 * number, "gan.sizes": lists[number]}
        params["gan.warmup"] = warmups[number]
        logdir = str(folder / f"resnet50-{number:04d}")
        board = TensorBoard(logdir)
        board.hparams(params, {"objective": math.nan})
        for step in (1, 2, 3):
            if number == 1 and step == 3:
                tear(Path(logdir))
                board = TensorBoard(logdir)
                board.hparams(params, {"objective": math.nan})
                run_epoch(board, number, 2)
            run_epoch(board, number, step)
        if number < 2:
            board.hparams(params, {"objective": 0.95})
            board.hparams_end(succeeded=True)


def tear(logdir: Path) -> None:
    """Cut a run's only file in the midst of its last record, as a power failure may."""
    (path,) = logdir.iterdir()
    os.truncate(path, path.stat().st_size - 5)


def run_epoch(board: TensorBoard, number: int, step: int) -> None:
    board.scalars("warmup", 100 * step, {"loss/generator": 1.0 / step})
    board.scalars("joint", step, {"val/accuracy": 0.1 * step, "diversity": 0.5})
    board.images("synthetic/ema", step, torch.rand(9, 1, 16, 16) * 2 - 1)
    board.hparams({}, {"objective": 0.1 * step + 0.2 * number})


def ask(url: str, body: Any = None) -> Any:
    return json.loads(fetch(url, None if body is None else json.dumps(body).encode()))


def fetch(url: str, data: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content


def what_is_missing(server: subprocess.Popen[bytes], url: str) -> str:
    """Wait until TensorBoard has loaded all runs to their last epoch; return what it lacked, if so.

    Its fast loader shows a run while it still reads it: a tag is there before its last steps.
    """
    deadline, missing = time.monotonic() + PATIENCE_S, "it never answered"
    while missing and server.poll() is None and time.monotonic() < deadline:
        try:
            tags: dict[str, Any] = ask(f"{url}/data/plugin/scalars/tags")
            unread = [what_is_unread(url, run) for run in sorted(RUNS & set(tags))]
            missing = "; ".join([*sorted(RUNS - set(tags)), *filter(None, unread)])
        except (OSError, http.client.HTTPException) as error:
            missing = missing or repr(error)
        time.sleep(0.3)
    return missing


def what_is_unread(url: str, run: str) -> str:
    """Return the objectives and the outcome of a run, unless they are those of its end."""
    has_ended = run != "resnet50-0002"
    row = groups(url).get(run, {"sessions": [{}]})
    status = row["sessions"][0].get("status")
    objectives = points(url, run, "trial/objective")
    is_read = len(objectives) == 3 + has_ended and (status == "STATUS_SUCCESS") == has_ended
    return "" if is_read else f"{run}: {status}, {objectives}"


def points(url: str, run: str, tag: str) -> list[Any]:
    """Return the points of a curve: wall time, step and value of each."""
    query = urllib.parse.urlencode({"run": run, "tag": tag})
    curve: list[Any] = ask(f"{url}/data/plugin/scalars/scalars?{query}")
    return curve


@pytest.mark.slow
def test_tensorboard_shows_every_trial_once_with_unique_steps(served: tuple[Path, str]) -> None:
    folder, url = served
    tags = ask(f"{url}/data/plugin/scalars/tags")
    assert set(tags) == RUNS
    for run in RUNS:
        assert_curves(url, run, set(tags[run]))
    check_hparams(url)
    categories = ask(f"{url}/data/plugin/custom_scalars/layout")["category"]
    charts = {chart["title"]: chart["multiline"] for one in categories for chart in one["chart"]}
    assert len(charts) == 9
    (pattern,) = charts["validation accuracy"]["tag"]
    asked = urllib.parse.urlencode({"tag": pattern, "run": "resnet50-0000"})
    found = ask(f"{url}/data/plugin/custom_scalars/scalars?{asked}")["tag_to_events"]
    assert {tag: len(curve) for tag, curve in found.items()} == {"joint/val/accuracy": 3}
    # The row of the trial that still runs follows it.
    board = TensorBoard(str(folder / "resnet50-0002"))
    board.hparams({}, {"objective": 0.99})
    board.hparams_end(succeeded=False)
    board.close()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        row = groups(url)["resnet50-0002"]
        if row["sessions"][0].get("status") == "STATUS_FAILURE":
            break
        time.sleep(0.5)
    assert row["metricValues"][0]["value"] == pytest.approx(0.99)


def assert_curves(url: str, run: str, tags: set[str]) -> None:
    curves = {"warmup/loss/generator", "joint/val/accuracy", "joint/diversity", "trial/objective"}
    assert tags == curves
    for tag, steps in (("warmup/loss/generator", [100, 200, 300]), ("joint/diversity", [1, 2, 3])):
        assert [step for _, step, _ in points(url, run, tag)] == steps
    images = ask(f"{url}/data/plugin/images/tags")[run]["synthetic/ema"]
    assert images["samples"] == 1
    query = urllib.parse.urlencode({"run": run, "tag": "synthetic/ema", "sample": 0})
    pictures = ask(f"{url}/data/plugin/images/images?{query}")
    assert [picture["step"] for picture in pictures] == [1, 2, 3]
    png = fetch(f"{url}/data/plugin/images/individualImage?{pictures[0]['query']}")
    assert Image.open(io.BytesIO(png)).size == (148, 148)


def groups(url: str) -> dict[str, Any]:
    columns = [{"hparam": "gan.warmup", "order": "ORDER_ASC", "includeInResult": True}]
    columns += [{"hparam": name, "includeInResult": True} for name in (*PARAMS, "gan.sizes")]
    columns += [{"metric": {"tag": "trial/objective"}, "includeInResult": True}]
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    body = {"allowedStatuses": statuses, "startIndex": 0, "sliceSize": 100, "colParams": columns}
    answer = ask(f"{url}/data/plugin/hparams/session_groups", body)
    assert answer["totalSize"] == len(answer["sessionGroups"])
    return {group["name"]: group for group in answer["sessionGroups"]}


def check_hparams(url: str) -> None:
    rows = groups(url)
    assert sorted(rows) == [f"resnet50-{number:04d}" for number in range(3)]
    cells = [rows[f"resnet50-{number:04d}"]["hparams"] for number in range(3)]
    assert [cell.get("gan.warmup") for cell in cells] == [None, 500, 20.5]
    assert [cell["gan.sizes"] for cell in cells] == ["[4, 4]", "[8]", "[]"]
    assert all(PARAMS.items() <= (cell | {"joint.margin": 0.3}).items() for cell in cells)
    objectives = [rows[name]["metricValues"][0]["value"] for name in sorted(rows)]
    assert objectives == [pytest.approx(value) for value in (0.95, 0.95, 0.7)]
    done = rows["resnet50-0001"]
    assert (len(done["sessions"]), done["sessions"][0]["status"]) == (1, "STATUS_SUCCESS")
    experiment = ask(f"{url}/data/plugin/hparams/experiment", {})
    kinds = {info["name"]: info.get("type") for info in experiment["hparamInfos"]}
    assert set(kinds) == {*PARAMS, "gan.sizes", "gan.warmup"}
    assert (kinds["joint.margin"], kinds["gan.flip"]) == ("DATA_TYPE_FLOAT64", "DATA_TYPE_BOOL")
    assert [info["name"]["tag"] for info in experiment["metricInfos"]] == ["trial/objective"]
