"""A cluster on one machine: hosts that are network namespaces, each with an address of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import distill_tune
from tests.commands import PATIENCE_S, Run, write_package

PORT, DASHBOARD_PORT = 6379, 8265
NETWORK = "10.77.0."
"""What the hosts' addresses begin with."""
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of-this-test-alone"}
"""What Ray asks of everybody who joins the cluster or gives it work, as variables."""
_IP = shutil.which("ip") or "ip"
# A node that is cut off is given up after some seconds, not after a minute.
_ENVIRONMENT = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
}


def obstacle() -> str:
    """Return why there can be no network namespaces here; empty where there can."""
    name = f"dt{os.getpid()}probe"
    try:
        _ip("netns", "add", name)
        _ip("netns", "exec", name, "mount", "-t", "tmpfs", "tmpfs", "/mnt")
    except FileNotFoundError:
        return "there is no ip command (iproute2)"
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not allowed: {error.stderr.strip()}"
    finally:
        with suppress(OSError, subprocess.CalledProcessError):
            _ip("netns", "del", name)
    return ""


def _ip(*arguments: str) -> str:
    done = subprocess.run([_IP, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


class Host:
    """A namespace with an address; its Ray sees a ``/tmp/ray`` of its own.

    Args:
        switch: The namespace with the bridge.
        number: Of the host, from 1.
        variables: What Ray asks of everybody, in the environment.

    Attributes:
        address: Of its only interface beside the loopback.
    """

    def __init__(self, switch: str, number: int, variables: dict[str, str]) -> None:
        self.address = f"{NETWORK}{number}"
        self._variables = variables
        self._switch, self._name, self._port = switch, f"{switch}h{number}", f"p{number}"
        self._ray: subprocess.Popen[str] | None = None
        _ip("netns", "add", self._name)
        peer = ["peer", "name", "eth0", "netns", self._name]
        _ip("-n", switch, "link", "add", self._port, "type", "veth", *peer)
        _ip("-n", switch, "link", "set", self._port, "master", "bridge", "up")
        _ip("-n", self._name, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", self._name, "link", "set", device, "up")

    def plug(self, *, is_in: bool) -> None:
        """Plug its cable in, or pull it."""
        _ip("-n", self._switch, "link", "set", self._port, "up" if is_in else "down")

    def start_ray(self, *options: str, packages: Path, hidden: Path | None = None) -> None:
        """Start a node of Ray.

        Args:
            *options: Of ``ray start``.
            packages: A folder of packages that stand before those of this Python.
            hidden: A folder that this node does not see.
        """
        mounts = ["mount -t tmpfs tmpfs /tmp/ray"]
        mounts += [f"mount -t tmpfs tmpfs '{hidden}'"] if hidden else []
        Path("/tmp/ray").mkdir(exist_ok=True)  # noqa: S108 - Ray's own place
        ray = Path(sys.executable).with_name("ray")
        start = [str(ray), "start", f"--node-ip-address={self.address}", "--num-cpus=1"]
        start += ["--object-store-memory=150000000", "--disable-usage-stats", "--block", *options]
        script = " && ".join([*mounts, 'exec "$@"'])
        self._ray = subprocess.Popen(
            [*self._exec, "sh", "-c", script, "sh", *start],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | _ENVIRONMENT | self._variables | {"PYTHONPATH": str(packages)},
            start_new_session=True,
        )

    def show(self, hidden: Path) -> None:
        """Let its Ray see the folder that was hidden from it."""
        assert self._ray is not None
        inside = ["nsenter", "-t", str(self._ray.pid), "-m"]
        subprocess.run([*inside, "umount", str(hidden)], check=True)

    def run(self, *arguments: str, **variables: str) -> Run:
        """Run a ``distill-tune`` command on it, where its Ray runs if it has one."""
        inside = ["nsenter", "-t", str(self._ray.pid), "-m", "-n"] if self._ray else self._exec
        return Run(*arguments, before=inside, **self._variables | variables)

    def submit(self, folder: Path, to: str, *arguments: str) -> str:
        """Run a ``distill-tune`` command as a job of Ray's in a copy of a folder; what it said."""
        job = [str(Path(sys.executable).with_name("ray")), "job", "submit", "--address", to]
        job += ["--working-dir", str(folder), "--", sys.executable, "-m", "distill_tune.cli"]
        done = subprocess.run(
            [*self._exec, *job, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            env=os.environ | self._variables,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def _exec(self) -> list[str]:
        return [_IP, "netns", "exec", self._name]

    def running(self, work: str) -> list[int]:
        """Return the processes on it that do a work of Ray's now, such as ``_stage``."""
        assert self._ray is not None
        titles = processes(self._ray.pid).items()
        return [number for number, title in titles if title.startswith(f"ray::{work}")]

    def kill_a_worker(self) -> bool:
        """Kill a trial's process on it; False when none runs there."""
        for number in self.running("ResourceTrainable"):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
                return True
        return False

    def stop_ray(self) -> None:
        """Kill its Ray, with all that it started."""
        if self._ray is None:
            return
        for number in (*processes(self._ray.pid), self._ray.pid):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._ray.wait()
        self._ray = None

    def close(self) -> None:
        """Remove it."""
        self.stop_ray()
        _ip("netns", "del", self._name)


class Hosts:
    """Hosts around a switch, to be removed by ``close``; they have an old version of ours.

    Args:
        **variables: What Ray asks of everybody beside the token, in the environment.
    """

    def __init__(self, **variables: str) -> None:
        self._switch, self._variables = f"dt{os.getpid()}", TOKEN | variables
        self._hosts: list[Host] = []
        self._scratch = tempfile.TemporaryDirectory()
        self._old = self._packages("distill_tune", '__version__ = "0.0.1"')
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")

    def _packages(self, name: str, source: str) -> Path:
        """Return a folder with a package."""
        return write_package(Path(tempfile.mkdtemp(dir=self._scratch.name)), name, source).parent

    def head(self, *options: str, is_current: bool = False) -> Host:
        """Add a host with the head of a cluster; its Ray takes the options."""
        host = self.stranger()
        packages = Path(distill_tune.__file__).parents[1] if is_current else self._old
        ours = ["--head", f"--port={PORT}", "--include-dashboard=false"]
        host.start_ray(*ours, *options, packages=packages)
        self._wait_for(host, 1)
        return host

    def worker(self, *options: str, hidden: Path | None = None, lacking: str = "") -> Host:
        """Add a host that joins the cluster; a folder or a package may be kept from it."""
        host = self.stranger()
        missing = f'raise ModuleNotFoundError("No module named {lacking!r}")'
        packages = self._packages(lacking, missing) if lacking else self._old
        host.start_ray(self._to_head, *options, packages=packages, hidden=hidden)
        return host

    def join(self, host: Host) -> None:
        """Let a host that was in the cluster join it anew."""
        host.start_ray(self._to_head, packages=self._old)

    @property
    def _to_head(self) -> str:
        return f"--address={self._hosts[0].address}:{PORT}"

    def stranger(self) -> Host:
        """Add a host that is none of the cluster's."""
        self._hosts.append(Host(self._switch, len(self._hosts) + 1, self._variables))
        return self._hosts[-1]

    def wait_for(self, count: int) -> None:
        """Wait until so many nodes are alive in the cluster."""
        self._wait_for(self._hosts[0], count)

    def _wait_for(self, head: Host, count: int) -> None:
        script = (
            "import ray; from ray._raylet import GcsClient; "
            f"nodes = GcsClient(address='{head.address}:{PORT}').get_all_node_info(); "
            "print(sum(node.state == 0 for node in nodes.values()))"
        )
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            done = subprocess.run(
                [_IP, "netns", "exec", f"{self._switch}h1", sys.executable, "-c", script],
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE_S,
                env=os.environ | self._variables,
            )
            if done.stdout.strip() == str(count):
                return
            time.sleep(0.5)
        raise AssertionError(f"no {count} nodes: {done.stdout} {done.stderr}")

    def close(self) -> None:
        """Remove everything."""
        for host in reversed(self._hosts):
            host.close()
        _ip("netns", "del", self._switch)
        self._scratch.cleanup()


def processes(session: int) -> dict[int, str]:
    """Return what runs in a session, or was started from it: number to title."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if state != "Z":
                parents[int(folder.name)] = (int(parent), int(of))
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                titles[int(folder.name)] = title.decode(errors="replace")
    found = {number for number, (_, of) in parents.items() if of == session}
    while more := {n for n, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return {number: titles[number] for number in found}
