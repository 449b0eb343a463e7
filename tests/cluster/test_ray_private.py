"""The private names of Ray that we use are there; each docstring says what breaks without one."""

import inspect
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray._private.node import Node

from distill_tune.cluster.ray_private import LEFT_OUT, actor_id, few_processes, own_node


@pytest.mark.usefixtures("our_ray")
def test_a_process_knows_the_node_that_it_started() -> None:
    """Else the watch on Ray's daemons sees none, and the last words of a process are not found."""
    node = own_node()
    assert {"raylet", "gcs_server"} <= set(node.all_processes)
    assert node.all_processes["raylet"][0].process.pid > 0
    assert node.gcs_address.rpartition(":")[2].isdigit()
    assert node.raylet_socket_name
    assert Path(node.get_logs_dir_path()).is_dir()


@pytest.mark.usefixtures("our_ray")
def test_a_node_has_only_the_processes_that_serve_us() -> None:
    """Else every search starts a second or two later, with processes that nothing asks."""
    assert set(own_node().all_processes) == {"raylet", "gcs_server"}


def test_ray_starts_as_before_once_ours_has_started() -> None:
    names = [*LEFT_OUT, "start_ray_processes"]
    before = [getattr(Node, name) for name in names]
    with suppress(KeyboardInterrupt), few_processes():
        assert not {getattr(Node, name) for name in names} & set(before)
        raise KeyboardInterrupt
    assert [getattr(Node, name) for name in names] == before


def test_ray_asks_its_node_to_start_what_we_leave_out() -> None:
    """Else it is started in another way, and left out no more."""
    starts = inspect.getsource(Node.start_head_processes) + inspect.getsource(
        Node.start_ray_processes
    )
    assert all(f"self.{name}(" in starts for name in LEFT_OUT)


@pytest.mark.usefixtures("our_ray")
def test_a_node_can_end_its_processes_at_once() -> None:
    """Else a search waits at its end, a second for each process that is deaf to SIGTERM."""
    options = inspect.signature(type(own_node()).kill_all_processes).parameters
    assert {"check_alive", "allow_graceful"} <= set(options)
    shutdown = inspect.getsource(ray._private.worker.shutdown)
    assert "_global_node.kill_all_processes(" in shutdown


@pytest.mark.usefixtures("our_ray")
def test_a_handle_has_the_id_that_the_memory_monitor_names() -> None:
    """Else the trial whose worker was killed for memory is not found."""
    handle: Any = ray.remote(num_cpus=0)(SimpleNamespace).remote()
    trial = SimpleNamespace(temporary_state=SimpleNamespace(ray_actor=handle))
    assert actor_id(trial) in str(handle)
    ray.kill(handle)
