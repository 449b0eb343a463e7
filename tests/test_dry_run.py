"""A dry run as users see it: what it says, what it refuses, and that it leaves nothing behind."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from distill_tune.cluster.resources import Slots
from distill_tune.cluster.task_pool import Failed
from distill_tune.records.gpu_use import GpuUse
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.terminal.dry_run_view import dry_run_json, dry_run_view
from distill_tune.tuning.dry_run import plan
from distill_tune.tuning.dry_run.forecast import TrialCost, forecast
from distill_tune.tuning.dry_run.plan import DryRun, _refusal
from tests.commands import STUDY, inside, write_space
from tests.refusals import refused, write
from tests.tuning.test_gpu_sharing import nodes

DRAWN = [
    {"backbone": "squeezenet1_1", "number": 0},
    {"backbone": "shufflenet_v2_x0_5", "number": 1},
    {"backbone": "squeezenet1_1", "number": 2},
]
BACKBONES = ["squeezenet1_1", "shufflenet_v2_x0_5"]


@pytest.mark.usefixtures("our_ray")
def test_a_dry_run_says_what_a_search_takes_and_writes_nothing(tmp_path: Path) -> None:
    command = write_space(tmp_path, STUDY + "resources: {max_concurrent: 2}\n")
    done = inside(*command, "--dry-run", "--json")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
    assert done.stdout.count("\n") == 1
    found = json.loads(done.stdout)
    # The defaults first, for each backbone; then what the study's own sampler draws.
    assert [
        {key: one[key] for key in ("backbone", "number")} for one in found["proposals"]
    ] == DRAWN
    assert found["proposals"][0]["params"]["joint.margin"] == 0.3
    assert found["proposals"][2]["params"]["joint.margin"] != 0.3
    assert list(found["stages_s"]) == list(found["trial_s"]) == BACKBONES
    of_backbone = [f"{stage}/{name}" for stage in ("classifier", "triplet") for name in BACKBONES]
    names = ["warmup", *of_backbone]
    assert found["shared"] == [{"name": name, "is_ready": False} for name in names]
    assert 0 < found["hours"] < found["hours_unpruned"] < 1
    assert all(size > 0 for size in found["disk_bytes"].values())
    assert done.stderr.startswith("tiny (dry run): 60 training and 100 validation images of 10")
    count = found["slots"]["count"]
    for said in (
        "first proposals",
        "One trial of 4 epochs: squeezenet1_1 ",
        "Shared stages, computed once: warmup, classifier/squeezenet1_1, ",
        f"Hours of 6 trials, {count} at a time, 1 CPU each: ",
        "Disk: ",
        "Nothing was written. The search would take about ",
    ):
        assert f"\n{said}" in done.stderr


def dry(text: str, gpu: GpuUse | None = None) -> DryRun:
    """Return a dry run of a study with one trial at a time, all made up."""
    study = parse(Study, read_yaml_text(text, "tiny.yaml"))
    stages = dict.fromkeys(("setup", "classifier", "warmup", "triplet", "joint"), 900.0)
    costs = dict.fromkeys(BACKBONES, TrialCost(stages, 2_000_000, 1_000_000, gpu))
    params = dict.fromkeys(study.space.dimensions, 0.25)
    drawn: list[dict[str, Any]] = [{"backbone": BACKBONES[0], "number": 0, "params": params}]
    slots = Slots({"CPU": 1.0}, 1)
    shared = {"warmup": True, "classifier/squeezenet1_1": False}
    return DryRun(study, drawn, slots, costs, shared, forecast(study, costs, 1, []))


def test_with_fit_the_forecast_counts_as_many_trials_as_share_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes(monkeypatch, {"CPU": 64.0, "GPU": 2.0})
    gpu = GpuUse(20 * 2**30, 80 * 2**30, None)
    costs = dict.fromkeys(BACKBONES, TrialCost({}, 0, 0, gpu))
    monkeypatch.setattr(plan, "_costs", lambda *_: (costs, 0.0))
    unused: Any = None
    for gpus, count in (("fit", 2 * 3), ("auto", 2)):
        study = parse(Study, read_yaml_text(f"{STUDY}resources: {{gpus: {gpus}}}\n", "tiny.yaml"))
        assert plan.measure(study, unused, unused).slots.count == count


def test_the_words_of_a_dry_run() -> None:
    assert list(dry_run_view(dry(STUDY)))[2:] == [
        "One trial of 4 epochs: squeezenet1_1 1h 15m, shufflenet_v2_x0_5 1h 15m.",
        "Shared stages, computed once: warmup (ready), classifier/squeezenet1_1: 0s.",
        "Hours of 6 trials, 1 at a time, 1 CPU each: 7.00 with pruning, 7.50 without.",
        "Disk: 4.0 MB of checkpoints while it runs, 6.0 MB of models in the end.",
        "Not counted: retries, checkpoints (at most 100% of a trial's time).",
        "Nothing was written. The search would take about 7h 00m.",
    ]


def test_what_does_not_concern_every_study_is_said_where_it_does() -> None:
    text = STUDY.replace("warmup_steps: 10", "warmup_steps: auto, max_warmup_steps: 700")
    text = text.replace("checkpoint_share: 1", "time_budget_s: 90") + "confirm: {}\n"
    found = dry(text, GpuUse(2**30, 8 * 2**30, None))
    said = "\n".join(map(str, dry_run_view(found)))
    assert "squeezenet1_1: one trial takes 1.0 GiB of 8.0 GiB of its GPU" in said
    assert "4 fit (resources.gpus: 0.25)" in said
    assert "the longest, 700 steps, is counted." in said
    assert "(at most 5% of a trial's time), the confirmation that follows." in said
    assert "The time budget ends a session after 1m 30s." in said
    plain = dry_run_json(found)
    assert plain == json.loads(json.dumps(plain))
    assert plain["gpu_bytes"]["squeezenet1_1"] == {"used": 2**30, "total": 8 * 2**30}
    assert (plain["hours"], plain["hours_unpruned"]) == (7, 7.5)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ValueError("no"), "ValueError: no"),
        (
            torch.OutOfMemoryError("CUDA out of memory.\nmore"),
            (
                "squeezenet1_1 with batches of 30, GAN 10, on 0.5 of a GPU (resources.gpus): "
                "CUDA out of memory."
            ),
        ),
    ],
)
def test_a_trial_that_cannot_run_is_refused(error: Exception, why: str) -> None:
    study = parse(Study, read_yaml_text(STUDY, "tiny.yaml"))
    failed = Failed(study.trial_config(BACKBONES[0], {}), "error", "ValueError: no", error)
    refusal = _refusal(failed, Slots({"CPU": 1.0, "GPU": 0.5}, 1))
    assert str(refusal) == f"a trial of squeezenet1_1 cannot run here: {why}"


def test_mistakes_are_told_as_by_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("uniform(0.05, 0.9)", "uniform(0.9, 0.05)")
    dry = ("search", "--space", "bad.yaml", "--dry-run")
    assert refused(*dry) == (
        "bad.yaml:9:17: space.joint.margin: got 'uniform(0.9, 0.05)', expected min below max"
    )
    assert refused(*dry, "--resume") == "--dry-run: got --resume too, expected one of them"
    write()
    Path("runs/bad").mkdir(parents=True)
    Path("runs/bad/study.yaml").touch()
    assert refused(*dry).startswith("runs/bad: got a study that already exists")
    said = (
        "bad (dry run): 200 training and 300 validation images of 10 classes, 0, 1, 2, 3, 4, "
        "5, 6, 7, 8, 9 (digits, 1x8x8; validation and test drawn from the same images); "
        "starting Ray on nonsense\n"
    )
    assert refused(
        *dry, "--name", "bad", "--storage", "other", "--address", "nonsense", stdout=said
    )
