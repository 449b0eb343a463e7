"""A study from a stranger: it runs no code, exhausts nothing, writes nowhere but below its name."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distill_tune.errors import InputError, StudyError
from distill_tune.interfaces import plain
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml, read_yaml_text, to_yaml
from distill_tune.study.yaml.files import MAX_BYTES
from distill_tune.study.yaml.text import MAX_REPEATED
from tests.refusals import GOOD, refused, search, write

TAGS = [
    "!!python/object/apply:pathlib.Path.touch [{path: ran}]",
    "!!python/object/apply:os.system ['touch ran']",
    "!!python/object/new:subprocess.Popen [[touch, ran]]",
    "!!python/object:distill_tune.study.study.Study {}",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!binary cmFu",
    "!ran x",
]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def at_once(seconds: float = 20.0) -> Iterator[None]:
    """Fail rather than hang."""

    def fail(*_: object) -> None:
        pytest.fail(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("value", TAGS, ids=lambda value: value.partition(" ")[0])
def test_a_tag_makes_no_object(value: str) -> None:
    tag = value.partition(" ")[0].replace("!!", "tag:yaml.org,2002:")
    complaint = f"got the tag '{tag}', expected a value without one"
    write("study: bad", f"study: {value}")
    assert search() == f"bad.yaml:1:8: study: {complaint}"
    assert refused("train", "--config", "bad.yaml", "--out", "model").endswith(complaint)
    write()
    message = search("--set", f"trial.seed={value}")
    assert message.startswith("--set: got ")
    assert message.endswith(f", expected YAML after the =, not the tag '{tag}'")
    study = parse(Study, read_yaml("bad.yaml"))
    directory = StudyDirectory("runs/bad")
    directory.write_text("study.yaml", f"{to_yaml(plain(study))}more: {value}\n")
    assert refused("resume", "runs/bad").endswith(f"more: {complaint}")
    assert not Path("ran").exists()


def unfolding(levels: int) -> str:
    """Return lists of nine aliases each, of which the last stands for 9**levels values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        before = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} [{before}]")
    return "\n".join(lines)


NESTED = {
    "lists": "[" * 100_000,
    "closed lists": "[" * 100_000 + "]" * 100_000,
    "mappings": "{a: " * 50_000,
    "items": "- " * 100_000 + "x",
    "keys": "? " * 100_000,
    "sixty-six": "a: " + "[" * 66 + "]" * 66,
    "itself": "a: &a [*a]",
    "itself, deeper": "a: &a {b: [{c: *a}]}",
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED)
def test_endless_nesting_is_told(text: str) -> None:
    Path("bad.yaml").write_text(text, encoding="utf-8")
    with at_once():
        assert search() == (
            "bad.yaml: YAML: got values nested without end, or an alias (*) of an enclosing value, "
            "expected fewer levels"
        )


@pytest.mark.parametrize("levels", [5, 9, 40])
def test_aliases_that_unfold_to_billions_are_told(levels: int) -> None:
    Path("bad.yaml").write_text(unfolding(levels), encoding="utf-8")
    with at_once():
        message = search()
    assert message.startswith("bad.yaml:1:31: YAML: got more than ")
    assert f"{MAX_REPEATED} values that aliases (*) repeat, expected" in message


def test_aliases_that_save_writing_are_read() -> None:
    text = GOOD.replace("uniform(0.05, 0.9)", "&some [0.1, 0.2]").replace(
        "joint.gan_lr: loguniform(1e-6, 2e-4)", "joint.gan_lr: *some"
    )
    study = parse(Study, read_yaml_text(text, "aliases"))
    assert study.space.dimensions["joint.gan_lr"] == study.space.dimensions["joint.margin"]


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    Path("bad.yaml").write_text("#" * (MAX_BYTES + 1), encoding="utf-8")
    assert search() == (
        f"file: got 'bad.yaml' (more than {MAX_BYTES} bytes), expected a smaller one"
    )
    with at_once():
        assert "more than" in refused("search", "--space", "/dev/zero")


def test_a_mark_before_the_text_does_not_hide_where_it_is_damaged() -> None:
    Path("bad.yaml").write_bytes(b"\xef\xbb\xbf# \xc3\xbc\nb: \xc3\xbc\xe9")
    assert search() == (
        "bad.yaml:2:5: file: got the byte 0xe9, which is not UTF-8, expected text in UTF-8"
    )


def test_numbers_that_would_be_counted_to_are_answered_at_once() -> None:
    write()
    for number in (10**9, 2**63 - 1):
        for field in ("train_per_class", "val_per_class"):
            with at_once():
                message = search("--set", f"data.{field}={number}")
            assert f"data.{field}: got 174 images of class '8', " in message
    message = search("--set", f"data.seed={2**63}")
    assert message == (
        f"--set data.seed={2**63}: data.seed: got {2**63}, expected a whole number of at most "
        "9.22337e+18"
    )


def test_networks_without_measure_are_refused_before_they_are_built() -> None:
    write()
    for field in ("latent_dim", "generator_width", "discriminator_width"):
        where = f"--set trial.gan.{field}=1000000000: trial.gan.{field}"
        assert search("--set", f"trial.gan.{field}=1000000000") == (
            f"{where}: got 1000000000, expected a number <= 4096"
        )


NAMES = [
    *("..", ".", "../up", "a/../../up", "/etc/up", "~", "~/up", "-rf", ".hidden", "a/b", "a\\b"),
    *("C:up", "a\nb", "a b", "\uff0e\uff0e", "\u2024\u2024/up", "a\u2215b", "\u0430", "a\u202eb"),
    *("", "x" * 101),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    write()
    expected = "expected letters, digits, '.', '_' and '-', a letter or a digit first"
    assert expected in search(f"--name={name}")
    Path("bad.yaml").write_text(to_yaml({"study": name}) + GOOD.partition("\n")[2])
    message = search()
    assert message.startswith("bad.yaml:1:8: study: got ")
    assert expected in message


@pytest.mark.parametrize("exists", [True, False])
def test_a_new_study_does_not_follow_a_link(tmp_path: Path, exists: bool) -> None:
    write()
    target = tmp_path / "elsewhere"
    if exists:
        target.mkdir()
    Path("runs").mkdir()
    Path("runs/bad").symlink_to(target)
    assert search() == (
        f"runs/bad: got a symbolic link to {target}, expected a new name or the folder of a study: "
        "a new study is written only below its own name"
    )


def test_a_study_that_is_there_is_found_through_a_link(tmp_path: Path) -> None:
    StudyDirectory(str(tmp_path / "real")).write_text("study.yaml", GOOD)
    Path("link").symlink_to(tmp_path / "real")
    StudyDirectory("link").refuse_unusable()
    assert StudyDirectory("link").exists()


def test_what_no_folder_can_be_called_is_refused() -> None:
    write()
    assert search("--storage", "~nobody-of-that-name/x") == (
        "study directory: got '~nobody-of-that-name/x/bad', expected a user that this machine "
        "knows after the '~'"
    )
    message = search("--storage", "x" * 300)
    assert message.endswith(": File name too long")
    with pytest.raises(StudyError, match="File name too long"):
        StudyDirectory("x" * 300).exists()


ROOTS = {
    "~nobody-of-that-name/x": "expected a user that this machine knows after the '~'",
    "x" * 256: "expected a path of at most 4000 bytes, 255 for each name in it",
    "x/" * 2001: "expected a path of at most 4000 bytes, 255 for each name in it",
    "a\0b": "expected a path without a zero byte",
    "\ud800": "expected text without lone surrogates",
}


@pytest.mark.parametrize("kind", ["folder", "npz", "cifar10"])
@pytest.mark.parametrize("root", ROOTS)
def test_a_root_that_no_folder_can_be_called_is_refused(kind: str, root: str) -> None:
    data = {"kind": kind, "root": root}
    text = GOOD.replace("{kind: digits, train_per_class: 20, val_per_class: 30}", "@")
    text = text.replace("data: @\n", to_yaml({"data": data}))
    with pytest.raises(InputError) as caught:
        parse(Study, read_yaml_text(text, "s.yaml"))
    message = str(caught.value)
    assert message.startswith("s.yaml:4:9: data.root: got '")
    assert message.endswith(ROOTS[root])


def test_a_command_that_is_no_utf_8_is_recorded(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path / "study"))
    directory.append({"event": "session_started", "command": "search \udcff ü"})
    assert directory.state().sessions[0].command == "search \udcff ü"
