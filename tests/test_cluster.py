"""A search over several hosts, and their bad days: ``pytest -m cluster``."""

import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tune.records.confirm_log import RUN
from tests.certificates import tls_variables
from tests.cluster_hosts import DASHBOARD_PORT, NETWORK, PORT, TOKEN, Host, Hosts, obstacle
from tests.commands import (
    TRIAL,
    Run,
    epochs_reported,
    of_kind,
    read_events,
    rows,
    unfinished,
    warnings_in,
    write_space,
)
from tests.storm import doubled_rows, lost_rows

_OBSTACLE = obstacle() if shutil.which("ip") else "there is no ip command (iproute2)"
pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(_OBSTACLE), reason=_OBSTACLE)]

NUM_TRIALS = 24
TEXT = f"""\
study: tiny
data: {{kind: digits, train_per_class: 6, val_per_class: 10}}
backbones: [shufflenet_v2_x0_5]
{TRIAL.replace("joint: {epochs: 4", "joint: {epochs: 40")}\
space:
  joint.margin:          uniform(0.05, 0.9)
  joint.gan_lr:          loguniform(1e-6, 2e-4)
search: {{num_trials: {NUM_TRIALS}, min_epochs: 10, checkpoint_share: 1, max_failures: 9,
         controls: []}}
"""


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    found = Hosts()
    try:
        yield found
    finally:
        found.close()


SMALL = (
    TEXT.replace("joint: {epochs: 40", "joint: {epochs: 3")
    .replace("min_epochs: 10", "min_epochs: 3")
    .replace(f"num_trials: {NUM_TRIALS}", "num_trials: 3")
)


class Watched:
    """A study on a cluster, looked at from outside."""

    def __init__(self, folder: Path) -> None:
        self.study = folder / "runs/tiny"

    def nodes(self, since: int = 0) -> Counter[str]:
        """Return how many epochs were reported from each node, after so many events."""
        epochs = of_kind(read_events(self.study)[since:], "epoch")
        return Counter(str(epoch.get("node")) for epoch in epochs)

    def num_events(self) -> int:
        return len(read_events(self.study))

    def warnings(self) -> list[str]:
        return warnings_in(read_events(self.study))


def test_a_search_over_three_hosts_survives_their_bad_days(
    tmp_path: Path, hosts: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    head, first, second = hosts.head(), hosts.worker(), hosts.worker()
    hosts.wait_for(3)
    watched, begun = Watched(tmp_path), time.monotonic()

    def tell(what: str) -> None:
        with capsys.disabled():
            print(f"\n{time.monotonic() - begun:5.0f} s  {what}", end="")  # noqa: T201

    where = ["--address", f"{head.address}:{PORT}"]
    search = head.run(*write_space(tmp_path, TEXT), *where)
    every = {host.address for host in (head, first, second)}
    search.wait_until(lambda: set(watched.nodes()) == every)
    tell(f"trials on {len(every)} hosts: {dict(watched.nodes())}")

    second.plug(is_in=False)
    hosts.wait_for(2)
    search.wait_until(lambda: any("continues from its last" in text for text in watched.warnings()))
    tell(f"{second.address} cut off: {watched.warnings()[-1]}")
    come_back(hosts, second)
    since = watched.num_events()
    search.wait_until(lambda: second.address in watched.nodes(since))
    tell(f"{second.address} back: {dict(watched.nodes(since))}")

    num_warnings = len(watched.warnings())
    search.wait_until(first.kill_a_worker)
    search.wait_until(lambda: len(watched.warnings()) > num_warnings)
    tell(f"worker on {first.address} killed: {watched.warnings()[-1]}")

    search.send(signal.SIGKILL)
    search.wait()
    resumed = head.run("resume", str(watched.study), *where)
    since = watched.num_events()
    resumed.wait_until(lambda: bool(watched.nodes(since)))
    tell(f"driver killed and resumed: {len(unfinished(read_events(watched.study)))} open")

    fourth = hosts.worker()
    resumed.wait_until(lambda: fourth.address in watched.nodes(since))
    tell(f"fourth host: {dict(watched.nodes(since))}")
    assert resumed.wait() == 0, resumed.output
    events = read_events(watched.study)
    epochs = Counter(epochs_reported(events))
    tell(f"trials {dict(Counter(row['state'] for row in rows(watched.study, 'trials.csv')))}")
    tell(f"epochs {len(epochs)}, repeated {sum(epochs.values()) - len(epochs)}")
    lost, doubled = lost_rows(watched.study), doubled_rows(watched.study)
    tell(f"rows lost {len(lost)}, doubled {len(doubled)}")
    assert_all_accounted_for(watched.study)


def test_a_host_that_joins_gets_trials_once_it_sees_the_study(tmp_path: Path, hosts: Hosts) -> None:
    head, first = hosts.head(), hosts.worker()
    hosts.wait_for(2)
    watched, runs = Watched(tmp_path), tmp_path / "runs"
    text = TEXT.replace(f"num_trials: {NUM_TRIALS}", "num_trials: 8")
    search = head.run(*write_space(tmp_path, text), "--address", f"{head.address}:{PORT}")
    search.wait_until(lambda: first.address in watched.nodes())
    # Its trial is without a place, and the host that takes its own does not see the study.
    first.stop_ray()
    blind = hosts.worker(hidden=runs)
    lacks = f"{blind.address} joined but gets no work: {watched.study}: does not see it"
    search.wait_until(lambda: any(text.startswith(lacks) for text in watched.warnings()))
    since = watched.num_events()
    search.wait_until(lambda: len(of_kind(read_events(watched.study)[since:], "epoch")) > 20)
    assert blind.address not in watched.nodes()
    blind.show(runs)
    search.wait_until(lambda: f"{blind.address} can do its part" in "".join(watched.warnings()))
    search.wait_until(lambda: blind.address in watched.nodes())
    assert search.wait() == 0, search.output
    assert_all_accounted_for(watched.study, num_trials=8)


def come_back(hosts: Hosts, host: Host) -> None:
    """Let a host that was cut off join again: its Ray was given up, and ends."""
    host.plug(is_in=True)
    host.stop_ray()
    hosts.join(host)
    hosts.wait_for(3)


def test_a_host_is_lost_while_it_computes_what_trials_share(tmp_path: Path, hosts: Hosts) -> None:
    head, others = hosts.head("--num-cpus=0"), [hosts.worker(), hosts.worker()]
    hosts.wait_for(3)
    text = SMALL.replace("classifier: {epochs: 2", "classifier: {epochs: 100")
    text = text.replace("warmup_steps: 10", "warmup_steps: 500")
    search = head.run(*write_space(tmp_path, text), "--address", f"{head.address}:{PORT}")
    search.wait_until(lambda: all(host.running("_stage") for host in others))
    others[0].plug(is_in=False)
    study = tmp_path / "runs/tiny"
    assert of_kind(read_events(study), "stage") == []
    hosts.wait_for(2)
    assert search.wait() == 0, search.output
    stages = of_kind(read_events(study), "stage")
    assert sorted(stage["name"] for stage in stages) == ["classifier/shufflenet_v2_x0_5", "warmup"]
    assert {stage["cached"] for stage in stages} == {False}
    (warning,) = Watched(tmp_path).warnings()
    # On a machine under load, the host may be lost before the stage has said where it runs.
    place = f"node {others[0].address}, which computed it, is lost"
    not_said = "a node is lost, and it has not begun on another one"
    assert warning.endswith((f"starts over: {place}", f"starts over: {not_said}"))
    assert_all_accounted_for(study, num_trials=3)


def test_a_host_is_lost_while_it_trains_a_run_of_a_confirmation(
    tmp_path: Path, hosts: Hosts
) -> None:
    head, others = hosts.head("--num-cpus=0"), [hosts.worker(), hosts.worker()]
    hosts.wait_for(3)
    where = ["--address", f"{head.address}:{PORT}"]
    text = SMALL.replace("val_per_class: 10", "val_per_class: 10, test_fraction: 0.3")
    text = text.replace("num_trials: 3", "num_trials: 1").replace("epochs: 3,", "epochs: 30,")
    search = head.run(*write_space(tmp_path, text), *where)
    assert search.wait() == 0, search.output
    study = tmp_path / "runs/tiny"
    options = ["--seeds", "1", "--top", "1", "--arms", "baseline,gan_distillation"]
    confirmation = head.run("confirm", str(study), *options, *where)
    confirmation.wait_until(lambda: all(host.running("train_arm") for host in others))
    others[0].plug(is_in=False)
    hosts.wait_for(2)
    assert confirmation.wait() == 0, confirmation.output
    evidence = of_kind(read_events(study), RUN)
    assert {"baseline", "gan_distillation"} <= {run["arm"] for run in evidence}
    assert len(evidence) == len({run["name"] for run in evidence})
    assert {run["status"] for run in evidence} == {"complete"}
    (warning,) = [text for text in Watched(tmp_path).warnings() if "is restarted" in text]
    # It is cut off while both begin, perhaps before the run on it has said where it is.
    computed = f"node {others[0].address}, which computed it, is lost"
    assert warning.endswith(
        (f": {computed}", ": a node is lost, and it has not begun on another one")
    )
    assert list(study.rglob("checkpoint_*")) == []


def test_a_search_is_a_job_of_rays(tmp_path: Path, hosts: Hosts) -> None:
    pytest.importorskip("ray.dashboard.modules.job.job_agent", reason="there is no ray[default]")
    options = ["--include-dashboard=true", "--dashboard-host=0.0.0.0", "--num-cpus=0"]
    head, worker = hosts.head(*options, is_current=True), hosts.worker()
    login = hosts.stranger()
    hosts.wait_for(2)
    folder = tmp_path / "submitted"
    folder.mkdir()
    (folder / "space.yaml").write_text(SMALL)
    search = ["search", "--space", "space.yaml", "--address", "auto"]
    where = f"http://{head.address}:{DASHBOARD_PORT}"
    said = login.submit(folder, where, *search, "--storage", str(tmp_path / "runs"))
    assert "succeeded" in said
    assert set(Watched(tmp_path).nodes()) == {worker.address}
    assert_all_accounted_for(tmp_path / "runs/tiny", num_trials=3)


def test_a_cluster_with_tls(tmp_path: Path) -> None:
    addresses = ["127.0.0.1", *(f"{NETWORK}{number}" for number in (1, 2))]
    hosts = Hosts(**tls_variables(tmp_path, addresses))
    try:
        head, worker = hosts.head("--num-cpus=0"), hosts.worker()
        hosts.wait_for(2)
        where = ["--address", f"{head.address}:{PORT}"]
        search = head.run(*write_space(tmp_path, SMALL), *where)
        assert search.wait() == 0, search.output
    finally:
        hosts.close()
    assert set(Watched(tmp_path).nodes()) == {worker.address}
    assert_all_accounted_for(tmp_path / "runs/tiny", num_trials=3)


def assert_all_accounted_for(study: Path, num_trials: int = NUM_TRIALS) -> None:
    """Check that every trial came to its end, and that every row is there, once."""
    table = rows(study, "trials.csv")
    assert [int(row["number"]) for row in table] == list(range(num_trials))
    assert {row["state"] for row in table} <= {"complete", "pruned"}
    assert unfinished(read_events(study)) == set()
    assert lost_rows(study) == []
    assert doubled_rows(study) == []
    assert list(study.rglob("checkpoint_*")) == []


def test_a_host_that_cannot_do_its_part_is_told_of_before_anything_is_written(
    tmp_path: Path, hosts: Hosts
) -> None:
    head = hosts.head()
    (tmp_path / "runs").mkdir()
    worker = hosts.worker(hidden=tmp_path / "runs")
    hosts.wait_for(2)
    command = write_space(tmp_path, TEXT)
    command += ["--address", f"{head.address}:{PORT}"]
    stranger: Run = head.run(*command, **dict.fromkeys(TOKEN, "disabled"))
    assert stranger.wait() == 2, stranger.output
    assert "Traceback" not in stranger.output
    assert f"--address: got '{head.address}:{PORT}', expected " in stranger.stderr
    assert "it wants its token: RAY_AUTH_MODE=token" in stranger.stderr
    search: Run = head.run(*command)
    assert search.wait() == 2, search.output
    said = search.stderr.strip()
    assert said.startswith(f"--storage: got '{tmp_path / 'runs'}', expected a folder that every")
    assert said.endswith(f"({worker.address}: does not see it)")
    assert list((tmp_path / "runs").iterdir()) == []
    bare = hosts.worker(lacking="torchvision")
    hosts.worker("--num-cpus=0", lacking="torchvision")  # It gets no trials.
    hosts.wait_for(4)
    search = head.run(*command)
    assert search.wait() == 2, search.output
    lacks = f"--address: got {bare.address}: No module named 'torchvision', expected nodes with "
    assert search.stderr.startswith(lacks), search.stderr
    assert list((tmp_path / "runs").iterdir()) == []
