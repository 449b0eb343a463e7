"""A search that makes a cluster grow and lets it shrink, with Ray's fake autoscaler."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.commands import STUDY, of_kind, read_events

_UNSHARE = shutil.which("unshare")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not _UNSHARE or os.geteuid() != 0, reason="needs root and unshare"),
]

SCRIPT = """
import json, os, subprocess, sys, time
import ray

config, search = json.loads(sys.argv[1])
fake = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
head = ["ray", "start", "--head", "--num-cpus=0", f"--autoscaling-config={config}"]
subprocess.run(head, env=os.environ | fake, check=True, stdout=sys.stderr)
done = subprocess.run(search, stdout=sys.stderr)
ray.init(address="auto", log_to_driver=False)
alive = lambda: sum(node["Alive"] for node in ray.nodes())
most, until = len(ray.nodes()), time.monotonic() + 90
while alive() > 1 and time.monotonic() < until:
    time.sleep(1)
print(json.dumps({"rc": done.returncode, "nodes": most, "left": alive()}))
"""
"""Starts a cluster and a search on it; nothing of it outlives the namespace of its processes."""

_EMPTY_LISTS = (
    "cluster_synced_files",
    "head_setup_commands",
    "head_start_ray_commands",
    "initialization_commands",
    "rsync_exclude",
    "rsync_filter",
    "setup_commands",
    "worker_setup_commands",
    "worker_start_ray_commands",
)
WORKER = {"resources": {"CPU": 1, "object_store_memory": 2**28}, "node_config": {}}
CONFIG = {
    "cluster_name": "fake",
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    **{name: list[str]() for name in _EMPTY_LISTS},
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "file_mounts_sync_continuously": False,
    "upscaling_speed": 1.0,
    "max_workers": 3,
    "idle_timeout_minutes": 0.1,
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {**WORKER, "min_workers": 0, "max_workers": 3},
    },
}
"""A head without room for a trial, and workers with room for one each."""


def test_nodes_come_for_a_search_and_go_after_it(tmp_path: Path) -> None:
    text = STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    (tmp_path / "tiny.yaml").write_text(text.replace("num_trials: 6", "num_trials: 2"))
    search = [sys.executable, "-m", "distill_tune.cli", "search", "--address", "auto"]
    search += ["--space", str(tmp_path / "tiny.yaml"), "--storage", str(tmp_path)]
    search += ["--scale-to", "5"]
    inside = 'ip link set lo up && exec "$0" -c "$1" "$2"'
    apart = ["--fork", "--pid", "--kill-child", "--mount-proc", "--net", "--"]
    config = tmp_path / "cluster.json"
    config.write_text(json.dumps(CONFIG))
    given = json.dumps([str(config), search])
    script = ["sh", "-c", inside, sys.executable, SCRIPT, given]
    # Ray's sockets need a short path.
    temporary = tempfile.mkdtemp(prefix="as-", dir="/tmp")
    done = subprocess.run(
        [str(_UNSHARE), *apart, *script],
        env=os.environ | {"RAY_TMPDIR": temporary, "PATH": _path()},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    shutil.rmtree(temporary, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    # Two trials are open, so room for two was asked, of the five that were wished for.
    assert found == {"rc": 0, "nodes": 1 + 2, "left": 1}
    ended = of_kind(read_events(tmp_path / "tiny"), "trial_ended")
    assert [event["status"] for event in ended].count("failed") == 0
    assert "asked the autoscaler for room for 2 trials with 1 CPU each" in done.stderr


def _path() -> str:
    """Return the PATH with the folder of the ``ray`` command first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
