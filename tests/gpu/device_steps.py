"""Steps that only a GPU can take: waits of the host, memory, compilation, searches."""

import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from distill_tune.distill.classifier_stage import real_batches
from distill_tune.distill.joint_stage import JointStage, enter
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Reusable, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DivergedError
from distill_tune.records.directory import StudyDirectory
from distill_tune.training.memory import named_failures
from distill_tune.training.peak_memory import run_largest_steps
from tests.commands import STUDY
from tests.distill.tiny import packed, run_until
from tests.gpu.place import Place, noise, small_networks, small_trial, trial_at_joint

GIB = 2.0**30
SYNCHRONISES = "called a synchronizing CUDA operation"


def large_config(name: str, **joint: Any) -> TrialConfig:
    """Return a configuration of the poster's sizes for 32x32 pixels, past its ramps."""
    fields = {"ramp_epochs": 0, "epochs": 30, "unfit_policy": "warn", "synthetic_ratio": 1.0}
    gan = {"generator_width": 256, "generator_min_width": 256, "discriminator_width": 128}
    return TrialConfig.model_validate(
        {
            "data": {"kind": "digits"},
            "backbone": {"name": name, "stem": "small"},
            "classifier": {"batch_size": 128},
            "gan": {**gan, "latent_dim": 128, "batch_size": 64, "class_ramp_steps": 0},
            "joint": {**fields, **joint},
        }
    )


def stage_of(trial: Trial) -> JointStage:
    """Return stage 3 of an untrained trial."""
    reference = Reference.measure(trial.trainer)
    stage = JointStage(trial.trainer, reference)
    stage.refresh(0)
    trial.state.gan.step = trial.config.gan.lecam_start
    enter(trial.state, trial.config)
    return stage


def waits(place: Place) -> None:
    """A joint step never waits for the GPU; with an assignment exactly twice."""
    with small_networks():
        saved = packed(run_until(small_trial(place), "triplet").state_dict())
        for pairing, expected in (("class", 0), ("assign", 2)):
            joint, classifier = {"pairing": pairing}, {"batch_size": 40}
            trial = trial_at_joint(place, saved, joint=joint, classifier=classifier)
            stage = JointStage(trial.trainer, None)
            batches = list(real_batches(trial.data, trial.config.classifier, seed=0, epoch=0))
            stage.step(1, 0, batches[0])
            with _synchronisations() as caught:
                stage.step(1, 1, batches[1])
            found = [str(one.message) for one in caught if SYNCHRONISES in str(one.message)]
            place.note(**{pairing: len(found)})
            assert len(found) == expected, pairing


@contextmanager
def _synchronisations() -> Iterator[list[warnings.WarningMessage]]:
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield caught
        finally:
            torch.cuda.set_sync_debug_mode("default")


def memory(place: Place) -> None:
    """Peaks of a large trial; out of its share a trial ends with a name, and the next one runs."""
    images = noise()
    trial = Trial(large_config("resnet50"), images, place.device)
    stage = stage_of(trial)
    torch.cuda.reset_peak_memory_stats()
    stage.monitor()
    place.note(monitor_gib=round(torch.cuda.max_memory_allocated() / GIB, 2))
    del trial, stage
    for ratio in (1.0, 2.0):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        run_largest_steps(large_config("resnet50", synthetic_ratio=ratio), images, place.device)
        place.note(**{f"ratio_{ratio:g}_gib": round(torch.cuda.max_memory_reserved() / GIB, 2)})
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(0.25 * GIB / total)
    config = large_config("resnet50")
    reason = ""
    try:
        with named_failures(config, gpu_share=0.05):
            lacking = Trial(config, images, place.device)
            stage_of(lacking).monitor()
    except DivergedError as error:
        reason = error.reason
    assert reason == "out_of_memory"
    torch.cuda.set_per_process_memory_fraction(1.0)
    run_largest_steps(large_config("alexnet"), images, place.device)


def compilation(place: Place) -> None:
    """Compiled networks: no skipped graphs, no late recompiles, losses as they were, memory held.

    Later trials of a process, which take over the networks, compile nothing.
    """
    from torch._dynamo.utils import counters

    images, held = noise(), list[float]()
    for name in ("alexnet", "resnet50"):
        losses = {}
        for is_compiled in (False, True):
            counters.clear()
            trial = _large_trial(place, name, images, is_compiled=is_compiled)
            losses[is_compiled] = _thirty_steps(trial, num_compiling=3)
        skipped = counters["inductor"].get("cudagraph_skips", 0)
        place.note(**{name: {"skipped_graphs": skipped, "losses": losses[True][:3]}})
        assert skipped == 0, name
        means = [sum(values) / len(values) for values in losses.values()]
        assert abs(means[0] - means[1]) < 0.1 * means[0], (name, means)
    reusable = trial.reusable
    del trial
    for _ in range(4):
        trial = _large_trial(place, "resnet50", images, reusable, is_compiled=True)
        _thirty_steps(trial, num_compiling=0)
        reusable = trial.reusable
        del trial
        held.append(torch.cuda.memory_reserved() / GIB)
        place.note(held_gib=[round(value, 2) for value in held])
    assert held[-1] < 1.1 * held[0]


def _large_trial(
    place: Place, name: str, images: Any, reusable: Reusable | None = None, *, is_compiled: bool
) -> Trial:
    config = large_config(name)
    compute = config.compute.model_copy(update={"compile": is_compiled})
    return Trial(config.model_copy(update={"compute": compute}), images, place.device, reusable)


def _thirty_steps(trial: Trial, *, num_compiling: int) -> list[float]:
    """Return the losses of thirty steps, of which only the first ones may compile anything."""
    from torch._dynamo.utils import counters

    stage, losses = stage_of(trial), list[float]()
    known = counters["stats"]["unique_graphs"]
    batches = list(real_batches(trial.data, trial.config.classifier, seed=0, epoch=0))[:-1]
    for step in range(30):
        losses.append(float(stage.step(1, step, batches[step % len(batches)]).loss))
        if step < num_compiling:
            known = counters["stats"]["unique_graphs"]
    late = counters["stats"]["unique_graphs"] - known
    assert late == 0, f"{late} graphs were compiled after step {num_compiling}"
    return losses


def searches(place: Place) -> None:
    """Searches with a GPU per trial, with as many trials as fit, and with four; memory is freed."""
    free = torch.cuda.mem_get_info()[0]
    for gpus in ("auto", "fit", "0.25"):
        began = time.monotonic()
        events = _search(place, gpus)
        ended = [one["status"] for one in events if one["event"] == "trial_ended"]
        uses = [one["memory_bytes"] for one in events if one["event"] == "packing"]
        place.note(**{gpus: {"seconds": round(time.monotonic() - began), "memory_bytes": uses}})
        assert len(ended) == 3, ended
        assert "failed" not in ended
        assert bool(uses) == (gpus != "0.25")
        until = time.monotonic() + 5
        while torch.cuda.mem_get_info()[0] < free - 0.05 * GIB and time.monotonic() < until:
            time.sleep(0.2)
        assert torch.cuda.mem_get_info()[0] >= free - 0.05 * GIB, "memory is still held"


def _search(place: Place, gpus: str) -> list[Any]:
    text = STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[squeezenet1_1]")
    space = Path(place.folder, "gpu.yaml")
    space.write_text(text.replace("num_trials: 6", "num_trials: 3"), encoding="utf-8")
    command = [sys.executable, "-m", "distill_tune.cli", "search", "--space", str(space)]
    command += ["--storage", str(place.folder), "--name", f"gpus-{gpus}"]
    done = subprocess.run(
        [*command, "--set", f"resources.gpus={gpus}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return StudyDirectory(str(place.folder / f"gpus-{gpus}")).events()
