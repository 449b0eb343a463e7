"""Requests to an autoscaler, withdrawn however a search ends; Ray is made up."""

from typing import Any

import pytest
from ray.autoscaler import sdk

from distill_tune.cluster import autoscaler
from distill_tune.cluster.autoscaler import scaled
from distill_tune.errors import InputError
from distill_tune.study.sections import Resources
from distill_tune.tuning.run_options import RunOptions

NODE = {"Resources": {"CPU": 4.0, "GPU": 1.0}}
HEAD: dict[str, Any] = {"Resources": {}}


class Cluster:
    """A cluster that grows by a node each time that somebody looks, once it was asked."""

    def __init__(self, patch: pytest.MonkeyPatch, *later: dict[str, Any]) -> None:
        self.asked: list[list[dict[str, float]]] = []
        self.said: list[str] = []
        self.nodes: list[dict[str, Any]] = [HEAD]
        self._later = list(later)
        self.now = 0.0
        patch.setattr(sdk, "request_resources", self._ask)
        patch.setattr(autoscaler, "alive_nodes", self._look)
        patch.setattr("time.monotonic", lambda: self.now)
        patch.setattr("time.sleep", self._sleep)

    def _ask(self, *, bundles: list[dict[str, float]]) -> None:
        self.asked.append(bundles)

    def _look(self) -> list[dict[str, Any]]:
        return self.nodes

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.nodes += [self._later.pop(0)] if self._later else []


GPU = Resources(cpus=2, gpus=1.0)
BUNDLE = {"CPU": 2, "GPU": 1.0}


def test_room_is_asked_for_waited_for_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, HEAD, NODE)
    with scaled(GPU, 3, cluster.said.append):
        assert cluster.asked == [[BUNDLE] * 3]
        assert cluster.nodes == [HEAD, HEAD, NODE]
    assert cluster.asked[1:] == [[]]
    assert cluster.said == ["asked the autoscaler for room for 3 trials with 2 CPU, 1 GPU each"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_it_is_let_go_however_the_search_ends(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    cluster = Cluster(monkeypatch, NODE)
    with pytest.raises(error), scaled(GPU, 2, cluster.said.append):
        raise error
    assert cluster.asked[-1] == []


def test_it_is_let_go_if_the_user_does_not_want_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt), scaled(GPU, 2, cluster.said.append):
        raise AssertionError("there is no room")
    assert cluster.asked == [[BUNDLE] * 2, []]


def test_waiting_ends_without_an_autoscaler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search then says what it lacks, as always."""
    cluster = Cluster(monkeypatch)
    with scaled(GPU, 2, cluster.said.append):
        assert cluster.now >= 900


def test_if_ray_is_gone_its_own_error_is_the_one_that_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(monkeypatch, NODE)

    def failing(**_: Any) -> None:
        raise OSError("nobody listens")

    def search() -> None:
        with scaled(GPU, 2, cluster.said.append):
            monkeypatch.setattr(sdk, "request_resources", failing)
            raise ValueError("the raylet died")

    with pytest.raises(ValueError, match="raylet"):
        search()


def test_on_this_machine_there_is_nothing_to_scale() -> None:
    views: Any = None
    with pytest.raises(InputError, match=r"^scale_to: got 4, expected address of a cluster with"):
        RunOptions(command="search", views=views, scale_to=4)
    assert RunOptions(command="search", views=views, address="auto", scale_to=4).scale_to == 4
