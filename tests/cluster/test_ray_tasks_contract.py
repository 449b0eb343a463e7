"""What the shared stages rely on in Ray's tasks; each docstring says what breaks with it."""

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.core.generated import common_pb2
from ray.tune.execution.class_cache import _ActorClassCache

import distill_tune
from distill_tune.cluster.failures.ray_daemon_watch import daemons_of_ray
from distill_tune.cluster.failures.ray_errors import _TAKEN_BACK
from distill_tune.cluster.ray_private import own_node
from distill_tune.cluster.ray_session import WorkersAhead, _of_start
from distill_tune.cluster.resources import _WITH_NOTICE, is_taken_back
from distill_tune.tuning.trial_processes import trial_environment

pytestmark = pytest.mark.usefixtures("our_ray")

PATIENCE_S = 60.0


def stage(folder: Path, ends: str, shared: list[int]) -> Iterator[tuple[int, int]]:
    """Report its process and a number, three times; wait for a file before the last one."""
    (folder / "began").touch()
    for number in shared:
        if number == 3:
            if ends == "raises":
                raise ValueError("on purpose")
            until = time.monotonic() + PATIENCE_S
            while not (folder / "go on").exists() and time.monotonic() < until:
                time.sleep(0.02)
            if ends == "dies once" and not (folder / "died").exists():
                (folder / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        yield os.getpid(), number
    (folder / "ended").touch()


def start(folder: Path, ends: str) -> Any:
    """Start a stage as ours are started."""
    task = ray.remote(num_cpus=0.5, num_gpus=0, num_returns="streaming", max_retries=2)(stage)
    return task.remote(folder, ends, ray.put([1, 2, 3]))


def wait(streams: list[Any]) -> list[Any]:
    ready, _ = ray.wait(streams, num_returns=1, fetch_local=False, timeout=PATIENCE_S)
    return list(ready)


def reports(stream: Any) -> Iterator[tuple[int, int]]:
    while wait([stream]) == [stream]:
        try:
            yield ray.get(next(stream))
        except StopIteration:
            return


def test_workers_look_for_modules_where_their_python_does() -> None:
    """Else what lies in the folder where a command was started runs in its workers."""
    task = ray.remote(num_cpus=0.5)(lambda: (sys.path, os.environ["PYTHONSAFEPATH"]))
    found, is_safe = ray.get(task.remote())
    root = str(Path(distill_tune.__file__).parents[1])
    # Ray would put the current folder, and that of the script, before all others once more.
    assert found.count(root) == 1, "by PYTHONPATH"
    # Of a worker of pytest's, the script is called -c: its folder is the current one.
    script = str(Path(sys.argv[0]).resolve().parent)
    assert found.count(script) == (script == root)
    assert is_safe == "1"


def idle() -> set[int]:
    """Return the processes without work of the Ray that these tests share."""
    raylet = str(own_node().all_processes["raylet"][0].process.pid)
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_idle = (path / "cmdline").read_bytes().startswith(b"ray::IDLE")
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
            if is_idle and parent == raylet:
                found.add(int(path.name))
    return found


def settled() -> set[int]:
    """Return them once no process of earlier tests becomes idle, or ends, any more."""
    found, until = idle(), time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        time.sleep(2)
        before, found = found, idle()
        if found == before:
            break
    return found


class Place:
    def where(self) -> int:
        """Return the number of this process."""
        return os.getpid()


def test_a_trial_runs_in_a_process_that_was_started_for_an_actor_that_was_killed() -> None:
    """Else trials do not find the processes that were started ahead for them, and start later."""
    before, ready = settled(), set[int]()
    workers = WorkersAhead(1, trial_environment())
    until = time.monotonic() + PATIENCE_S
    while not ready and time.monotonic() < until:
        workers.start()
        time.sleep(0.1)
        ready = idle() - before
    # As Ray Tune makes the actors of its trials.
    classes: Any = _ActorClassCache
    actor = classes().get(Place).options(num_cpus=0).remote()
    assert {ray.get(actor.where.remote())} == ready
    ray.kill(actor)


def test_workers_can_import_what_they_import_ahead() -> None:
    """Else each worker logs an error, and imports torch only when it has work."""
    named = _of_start(is_importing=True).get("RAY_preload_python_modules", "torch")
    assert all(importlib.util.find_spec(name) for name in named.split(","))
    assert "RAY_preload_python_modules" not in _of_start(is_importing=False)


def test_the_processes_that_ray_depends_on_are_known_and_run() -> None:
    """Else nobody notices that one is gone before Ray ends this process for it."""
    found = daemons_of_ray()
    assert [daemon.name for daemon in found] == ["raylet", "gcs_server"]
    assert [daemon.end() for daemon in found] == ["", ""]


def test_reports_come_while_the_task_runs_and_the_last_before_its_end(tmp_path: Path) -> None:
    """Else the terminal shows nothing of a stage until it is over."""
    told = reports(start(tmp_path, ""))
    assert [next(told)[1], next(told)[1]] == [1, 2]
    assert not (tmp_path / "ended").exists()
    (tmp_path / "go on").touch()
    assert [number for _, number in told] == [3]


def test_the_one_of_several_that_has_something_to_say_is_found(tmp_path: Path) -> None:
    """Else one slow stage holds up the reports of the others."""
    folders = [tmp_path / name for name in ("quiet", "other")]
    for folder in folders:
        folder.mkdir()
    quiet, other = (start(folder, "") for folder in folders)
    for stream in (quiet, other):
        for _ in range(2):
            assert wait([stream]) == [stream]
            ray.get(next(stream))
    (folders[1] / "go on").touch()
    assert wait([quiet, other]) == [other]
    ray.cancel(quiet, force=True)


def test_an_error_comes_after_the_reports_with_its_cause(tmp_path: Path) -> None:
    """Else the warning of a failed stage does not say why."""
    told = reports(start(tmp_path, "raises"))
    assert [next(told)[1], next(told)[1]] == [1, 2]
    with pytest.raises(ray.exceptions.RayError) as caught:
        next(told)
    cause = getattr(caught.value, "cause", None)
    assert isinstance(cause, ValueError)
    assert str(cause) == "on purpose"


def test_a_lost_worker_is_replaced_and_the_stream_comes_to_its_end(tmp_path: Path) -> None:
    """Else a stage is left to the trials, each of which computes it again."""
    told = reports(start(tmp_path, "dies once"))
    # It dies once these have been heard: before, all could come from its successor.
    first = [next(told), next(told)]
    (tmp_path / "go on").touch()
    (last,) = told
    assert [number for _, number in (*first, last)] == [1, 2, 3]
    assert first[0][0] != last[0]


def test_a_cancelled_task_ends_at_once(tmp_path: Path) -> None:
    """Else an interrupted search waits for the stage that it computes."""
    stream = start(tmp_path, "")
    pid, _ = next(reports(stream))
    ray.cancel(stream, force=True)
    until = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    assert not (tmp_path / "ended").exists()


def test_a_node_says_why_it_died_and_an_actor_names_it() -> None:
    """Else a node that the cluster takes back with notice is charged to the trials on it."""
    numbers: Any = common_pb2
    reason = numbers.NodeDeathInfo.Reason
    announced = ("EXPECTED_TERMINATION", "AUTOSCALER_DRAIN_PREEMPTED", "AUTOSCALER_DRAIN_IDLE")
    assert {reason.Value(name) for name in announced} == _WITH_NOTICE
    (node,) = ray.nodes()  # type: ignore[no-untyped-call]
    assert "DeathReason" in node
    assert not is_taken_back(node["NodeID"])
    server = Path(ray.__file__).parent / "core/src/ray/gcs/gcs_server"
    assert all(text.encode() in server.read_bytes() for text in _TAKEN_BACK)
