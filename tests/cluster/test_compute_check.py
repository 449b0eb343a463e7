"""Why torch cannot compute on a machine as a trial asks; the GPU is made up."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch

from distill_tune.cluster import compute_check, node_start_checks
from distill_tune.cluster.compute_check import compiler_obstacle, gpu_obstacle, unused_gpu
from distill_tune.cluster.node_start_checks import Answer, check_nodes
from distill_tune.cluster.resources import Slots
from distill_tune.distill.trial_config import Compute
from distill_tune.errors import InputError
from distill_tune.records.directory import StudyDirectory

DEFAULT = Compute()
TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update it.\n"
    "Alternatively, go to https://pytorch.org"
)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let torch take the CPU for a GPU that works."""
    image = torch.ones
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch, "ones", lambda *size, **_: image(*size))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)  # noqa: ARG005
    return monkeypatch


def raising(text: str) -> Callable[..., Any]:
    def work(*_: Any, **__: Any) -> Any:
        raise RuntimeError(text)

    return work


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_convolves_is_usable() -> None:
    assert gpu_obstacle(DEFAULT) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TOO_OLD, "The NVIDIA driver on your system is too old (found version 11040)."),
        ("No CUDA GPUs are available", "No CUDA GPUs are available"),
    ],
)
def test_torch_itself_says_why_it_does_not_see_the_gpu(
    gpu: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    gpu.setattr(torch.cuda, "init", raising(text))
    found = gpu_obstacle(DEFAULT)
    assert found.startswith(f"torch {torch.__version__} cannot use its GPU: {expected}")
    assert "\n" not in found


def test_a_gpu_that_is_seen_but_does_not_convolve_is_not_usable(gpu: pytest.MonkeyPatch) -> None:
    gpu.setattr(
        "torch.nn.functional.conv2d",
        raising("CUDA error: no kernel image is available for execution on the device"),
    )
    assert gpu_obstacle(DEFAULT).endswith(
        "cannot use its GPU: CUDA error: no kernel image is available for execution on the device"
    )


def test_a_gpu_whose_memory_others_hold_is_usable(gpu: pytest.MonkeyPatch) -> None:
    gpu.setattr("torch.nn.functional.conv2d", raising("CUDA error: out of memory"))
    assert gpu_obstacle(DEFAULT) == ""


def test_wheels_for_cpus_are_named(gpu: pytest.MonkeyPatch) -> None:
    gpu.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert gpu_obstacle(DEFAULT) == f"torch {torch.__version__} is built for CPUs only"


@pytest.mark.usefixtures("gpu")
def test_bfloat16_is_refused_where_it_is_only_emulated() -> None:
    assert gpu_obstacle(Compute(precision="auto")) == ""
    assert "does not compute in bfloat16" in gpu_obstacle(Compute(precision="bfloat16"))


@pytest.mark.usefixtures("gpu")
def test_gpus_that_ray_hides_from_the_check_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu_obstacle(DEFAULT) == ""


@pytest.mark.parametrize("is_gpu", [True, False])
def test_a_compiler_is_wanted_by_what_is_compiled_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_gpu: bool
) -> None:
    compiled = Compute(compile=True)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    expected = "a C compiler (gcc, clang)" if is_gpu else "a C++ compiler (g++, clang++, c++)"
    found = compiler_obstacle(compiled, is_gpu=is_gpu)
    assert found == f"trial.compute.compile needs {expected}"
    assert compiler_obstacle(DEFAULT, is_gpu=is_gpu) == ""
    for name in ("gcc", "g++"):
        (tmp_path / name).touch(mode=0o755)
    assert compiler_obstacle(compiled, is_gpu=is_gpu) == ""
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    assert "Python's header files" in compiler_obstacle(compiled, is_gpu=is_gpu)


def test_a_gpu_that_torch_leaves_unused_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(compute_check, "_DEVICES", tmp_path)
    monkeypatch.setattr(torch.cuda, "init", raising(TOO_OLD))
    assert unused_gpu() == ""
    (tmp_path / "nvidia0").touch()
    assert unused_gpu().startswith("this machine has a GPU, but torch")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert unused_gpu() == ""


class Cluster:
    """A cluster of two nodes with a GPU each, of which this process runs on the first."""

    def __init__(self, patch: pytest.MonkeyPatch, *answers: Answer) -> None:
        self.asked: list[str] = []
        self._answers = dict(zip("ab", answers, strict=True))
        nodes = [
            {
                "NodeID": name,
                "NodeManagerAddress": f"10.0.0.{number}",
                "Resources": {"CPU": 4, "GPU": 1},
            }
            for number, name in enumerate("ab")
        ]
        own = SimpleNamespace(get_node_id=lambda: "a")
        patch.setattr(ray, "get_runtime_context", lambda: own)
        patch.setattr(node_start_checks, "alive_nodes", lambda: nodes)
        patch.setattr(node_start_checks, "ask", self._ask)
        patch.setattr(node_start_checks, "answer", self._answers.get)
        patch.setattr(ray, "wait", lambda calls, **_: (calls, []))

    def _ask(self, node: str, *_: object) -> str:
        self.asked.append(node)
        return node


def test_every_node_is_asked_for_its_gpu_this_one_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = StudyDirectory(str(tmp_path / "runs/tiny"))
    found = Cluster(monkeypatch, Answer(gpu="no driver"), Answer())
    with pytest.raises(InputError, match=r"^resources\.gpus: got 10\.0\.0\.0: no driver, expected"):
        check_nodes(directory, Slots({"CPU": 1, "GPU": 1}, 2))
    assert found.asked == ["a", "b"]


def test_the_own_node_is_not_asked_for_what_no_trial_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = StudyDirectory(str(tmp_path / "runs/tiny"))
    found = Cluster(monkeypatch, Answer(), Answer())
    check_nodes(directory, Slots({"CPU": 1}, 2))
    assert found.asked == ["b"]
    lacking = Cluster(monkeypatch, Answer(), Answer(compiler="needs a C++ compiler"))
    with pytest.raises(InputError, match=r"^trial\.compute\.compile: got 10\.0\.0\.1: needs"):
        check_nodes(directory, Slots({"CPU": 1}, 2, compute=Compute(compile=True)))
    assert lacking.asked == ["a", "b"]
