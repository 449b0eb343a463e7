"""What goes before a command is sent through Ray's client: its words, and joining the cluster."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

import distill_tune
from distill_tune.cli.through_client import without
from distill_tune.errors import InputError
from distill_tune.search.cluster import cluster

NOT_ALIVE = "Initialization failure from server:\nTraceback (...):\nno such process"


def test_an_option_goes_with_its_value_in_either_spelling() -> None:
    given = ["search", "--address", "ray://a:1", "--set=--address", "--address=ray://b:2", "--json"]
    assert without(given, "--address") == ["search", "--set=--address", "--json"]


@pytest.fixture
def address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"ray://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(("num_failures", "joins"), [(0, True), (3, True), (4, False)])
def test_a_server_for_clients_that_does_not_come_to_life_is_asked_again(
    num_failures: int, address: str, monkeypatch: pytest.MonkeyPatch, *, joins: bool
) -> None:
    asked: list[object] = []

    def init(**options: object) -> None:
        asked.append(options["address"])
        if len(asked) <= num_failures:
            raise ConnectionAbortedError(NOT_ALIVE)

    monkeypatch.setattr(ray, "init", init)
    if joins:
        with cluster(address):
            assert asked == [address] * (num_failures + 1)
    else:
        said = r"running Ray cluster \(no such process\)"
        with pytest.raises(InputError, match=said), cluster(address):
            pass
        assert len(asked) == num_failures


@pytest.mark.usefixtures("no_ray")
def test_what_no_other_attempt_would_cure_is_told_at_once(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_options: object) -> None:
        asked.append(1)
        raise ConnectionError("ray client connection timeout")

    asked: list[int] = []
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError, match="ray client connection timeout"), cluster(address):
        pass
    assert len(asked) == 1


def test_a_call_from_python_cannot_go_there(tmp_path: Path) -> None:
    said = (
        r"address: got 'ray://a:1', expected auto or HOST:PORT, .*only commands go through ray://"
    )
    with pytest.raises(InputError, match=said):
        distill_tune.search({}, storage=tmp_path, address="ray://a:1")
    assert list(tmp_path.iterdir()) == []
