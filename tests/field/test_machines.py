"""Machines that lack what Ray takes for granted: a home, a short path, a process of its own."""

import getpass
import os
import pwd
import socket
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest
import ray

import distill_tune
from distill_tune import errors
from distill_tune.cluster.resources import cluster
from distill_tune.cluster.user_environment import (
    LONGEST_TEMPORARY,
    provide_user,
    short_temporary_folder,
)
from distill_tune.errors import DistillTuneError, InputError, RayError, StudyError
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.opening import require_utf8
from tests.field.studies import SPACE, started


def nobody(*_: object) -> None:
    raise KeyError("uid not found")


@pytest.mark.parametrize("home", [None, ""])
def test_whom_the_machine_does_not_know_has_a_home_and_a_name(
    monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    provide_user()
    found = Path.home()
    assert found.is_dir()
    assert found.stat().st_mode & 0o777 == 0o700
    assert getpass.getuser() == f"user-{os.getuid()}"
    monkeypatch.delenv("LOGNAME")
    monkeypatch.delenv("HOME")


def test_a_home_that_is_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere/else")
    provide_user()
    assert os.environ["HOME"] == "/somewhere/else"


@pytest.mark.storm
def test_a_user_without_home_or_name_searches(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "nobody.py").write_text(
        "import pwd\n"
        "def nobody(number):\n"
        "    raise KeyError(f'getpwuid(): uid not found: {number}')\n"
        "pwd.getpwuid = nobody\n"
        "from distill_tune.cli import main\n"
        "main()\n"
    )
    command = ["search", "--space", "space.yaml", "--no-shared-stages"]
    process = started(tmp_path, *command, program=["nobody.py"], HOME="", USER="", LOGNAME="")
    stdout, stderr = process.communicate(timeout=1200)
    assert process.returncode == 0, f"{stdout}\n{stderr}"


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_temporary_folder_gets_a_short_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    long = tmp_path / ("x" * 90)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, str(long))
    short = Path(short_temporary_folder())
    assert len(os.fsencode(short)) <= LONGEST_TEMPORARY
    (short / "file").touch()
    assert (long / "file").exists(), "what Ray writes lies where the user wants it"
    place = short / "ray/session_2026-11-28_21-39-28_957345_4194304/sockets"
    place.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(str(place / "plasma_store"))


def test_a_short_one_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.delenv("TMPDIR", raising=False)
    assert short_temporary_folder() == ""
    monkeypatch.setenv("TMPDIR", "/dev/shm")  # noqa: S108 - nothing is written
    assert short_temporary_folder() == "/dev/shm"  # noqa: S108 - nothing is written


def test_without_any_place_for_a_short_name_the_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("x" * 90)))
    places = "distill_tune.cluster.user_environment._SHORT_PLACES"
    monkeypatch.setattr(places, (str(tmp_path / "gone"),))
    with pytest.raises(InputError, match=rf"^TMPDIR: got '.*at most {LONGEST_TEMPORARY} bytes"):
        short_temporary_folder()


@pytest.mark.usefixtures("no_ray")
def test_a_temporary_folder_that_is_none_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "file/below"))
    with (
        pytest.raises(InputError, match=r"^TMPDIR: got .*, expected a folder that can be written"),
        cluster(None),
    ):
        pass


def test_a_study_whose_path_is_no_utf8_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="got a path that is not UTF-8"):
        require_utf8(StudyDirectory(f"{tmp_path}/runs\udcff/s"))


@pytest.mark.parametrize("address", [None, "auto"])
def test_a_process_that_uses_ray_already_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with pytest.raises(RayError, match=r"call ray\.shutdown\(\) first"), cluster(address):
        pass


def test_every_exception_of_ours_is_in_errors() -> None:
    for module in walk_packages(distill_tune.__path__, "distill_tune."):
        if not module.name.endswith("__main__"):
            import_module(module.name)

    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    ours = {one for one in below(DistillTuneError) if one.__module__.startswith("distill_tune")}
    assert {one.__module__ for one in ours} == {errors.__name__}
    assert all(getattr(errors, one.__name__) is one for one in ours)
