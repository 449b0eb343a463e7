"""Steps about training: every stage, precision, repeatability, checkpoints, eigenvalues."""

import io
import math
import platform
import subprocess
from collections import defaultdict
from typing import Any

import torch

from distill_tune.cluster.compute_check import gpu_obstacle
from distill_tune.distill.compute.execution import Execution, supports_bfloat16
from distill_tune.distill.monitoring.diversity import effective_rank, vendi_score
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import Compute
from distill_tune.training.checkpoints.content import read_checkpoint, write_checkpoint
from distill_tune.training.devices import device_of
from tests.distill.tiny import differences, packed, run_until
from tests.gpu.place import CPU, Place, digits, on_host, small_networks, small_trial, trial_at_joint

LOSSES = ("loss/classifier", "loss/generator", "loss/discriminator", "loss/triplet")
NETWORKS = ("classifier", "optimizer", "reference", "snapshot", "gan", "best")


def machine(place: Place) -> None:
    """The driver, torch and the GPU fit each other."""
    place.note(torch=torch.__version__, cuda=torch.version.cuda, python=platform.python_version())
    if not place.is_gpu:
        place.note(device="cpu", threads=torch.get_num_threads())
        return
    assert gpu_obstacle(Compute()) == ""
    found = torch.cuda.get_device_properties(0)
    place.note(gpu=found.name, memory_gib=round(found.total_memory / 2**30, 1))
    place.note(capability=f"{found.major}.{found.minor}", bfloat16=supports_bfloat16())
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    place.note(driver=done.stdout.strip())


def stages(place: Place) -> None:
    """A trial runs to its end; saved here, it loads here and on a CPU; images are placed once."""
    seconds: defaultdict[str, float] = defaultdict(float)
    with small_networks():
        running = small_trial(place)
        for report in running.run():
            seconds[report.stage] += report.seconds
            assert all(map(math.isfinite, report.metrics.values())), report
        place.note(seconds={stage: round(value, 2) for stage, value in seconds.items()})
        content = packed(running.state_dict())
        for device in {CPU, place.device}:
            other = Trial(running.config, digits(), device)
            other.load_state_dict(torch.load(io.BytesIO(content), map_location=device))
            loaded = on_host(packed(other.state_dict()))
            assert differences(_networks(loaded), _networks(on_host(content))) == [], device
    bundle = {"CPU": float(torch.get_num_threads()), "GPU": float(place.is_gpu)}
    assert running.data.device == device_of(bundle), "images would be placed for every trial"


def precision(place: Place) -> None:
    """Losses in bfloat16 and TF32 are those in float32 within 3 %; spectral norm is the same."""
    with small_networks():
        saved = packed(run_until(small_trial(place), "triplet").state_dict())
        exact = _first_epoch(place, saved, "float32", is_tf32=False)
        modes = {"bfloat16": ("bfloat16", False)} | (
            {"tf32": ("float32", True)} if place.is_gpu else {}
        )
        for mode, (number, is_tf32) in modes.items():
            found = _first_epoch(place, saved, number, is_tf32=is_tf32)
            apart = {name: abs(found[name] - exact[name]) for name in LOSSES}
            place.note(**{mode: {name: round(value, 5) for name, value in apart.items()}})
            for name in LOSSES:
                assert apart[name] <= 0.02 + 0.03 * abs(exact[name]), (mode, name)
        assert _spectral(place, saved, "float32") == _spectral(place, saved, "bfloat16")


def _first_epoch(place: Place, saved: bytes, precision: str, *, is_tf32: bool) -> dict[str, float]:
    joint = {"ramp_epochs": 0, "epochs": 1}
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = is_tf32
    try:
        trial = trial_at_joint(place, saved, joint=joint, compute={"precision": precision})
        return next(trial.run()).metrics
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _spectral(place: Place, saved: bytes, precision: str) -> dict[str, list[float]]:
    trial = trial_at_joint(place, saved)
    discriminator = trial.state.gan.discriminator.train()
    execution = Execution(Compute.model_validate({"precision": precision}), place.device)
    execution(discriminator, *trial.trainer.real_batch(0, 0), 1.0)
    vectors = discriminator.state_dict().items()
    return {name: value.tolist() for name, value in vectors if name.endswith(("_u", "_v"))}


def repeatability(place: Place) -> None:
    """The same seed twice: bit for bit on a CPU; on a GPU, what differs is listed."""
    states: list[dict[str, Any]] = []
    metrics: list[dict[str, float]] = []
    with small_networks():
        for _ in range(2):
            running = small_trial(place)
            reports = list(running.run())
            metrics.append(reports[0].metrics)
            states.append(on_host(packed(running.state_dict())))
    found = differences(_networks(states[0]), _networks(states[1]))
    place.note(num_different=len(found), different=found[:20])
    assert place.is_gpu or not found
    first, second = (one["loss/classifier"] for one in metrics)
    assert math.isclose(first, second, rel_tol=0.02)


def checkpoint(place: Place) -> None:
    """A checkpoint holds the state at the moment of its writing, whatever is trained after it."""
    with small_networks():
        running = run_until(small_trial(place), "triplet")
        expected = packed(running.state_dict())
        write_checkpoint(place.folder, {"trial": running.state_dict()})
        for _ in range(50):
            running.trainer.step(lr=1e-3, triplet_weight=0.5)
        assert packed(running.state_dict()) != expected
        for device in {CPU, place.device}:
            saved = read_checkpoint(place.folder, device)["trial"]
            assert differences(on_host(packed(saved)), on_host(expected)) == [], device
        place.note(bytes=len(expected))


def eigenvalues(place: Place) -> None:
    """Spreads of features of full rank, of rank one and of equal rows are those of a CPU."""
    for side in (1000, 3072) if place.is_gpu else (100, 200):
        draw = torch.Generator().manual_seed(side)
        full = torch.randn(side, side, generator=draw)
        first = full[:1]
        kinds = {"full": full, "rank one": first * full[:, :1], "equal": first.expand(side, -1)}
        for kind, features in kinds.items():
            for measure in (effective_rank, vendi_score):
                here, there = measure(features.to(place.device)), measure(features)
                place.note(**{f"{measure.__name__}, {kind}, {side}": round(here, 3)})
                assert math.isclose(here, there, rel_tol=0.01, abs_tol=0.05), (kind, here, there)


def _networks(state: dict[str, Any]) -> dict[str, Any]:
    return {name: state[name] for name in NETWORKS}
