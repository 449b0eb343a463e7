"""The metrics that trials are compared by: their numbers, and the weights that they keep."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distill_tune.distill import joint_stage
from distill_tune.distill.configuration.probe import probe
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.metrics import METRICS, metric_named
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.evaluation import Assessed, evaluate, is_measurable, scores
from distill_tune.distill.trial_state import TrialState
from distill_tune.errors import DivergedError, InputError
from distill_tune.interfaces import ImageData, Metrics, Split
from distill_tune.records.words.metric_names import (
    best_so_far,
    is_share,
    on_validation,
    title,
    validation_title,
    without_split,
)
from tests.distill.conftest import Begin
from tests.distill.tiny import config, differences, trial

# Of six images: class 0 has three, two right; class 1 two, one right; class 2 one, never predicted.
LABELS = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.6, 0.3, 0.1],
        [0.2, 0.7, 0.1],
        [0.1, 0.8, 0.1],
        [0.5, 0.3, 0.2],
        [0.4, 0.35, 0.25],
    ]
)
BY_HAND = {
    "val/accuracy": 3 / 6,
    "val/balanced_accuracy": (2 / 3 + 1 / 2 + 0) / 3,
    # Precision and recall: 2/4 and 2/3; 1/2 and 1/2; none and 0.
    "val/macro_f1": (4 / 7 + 1 / 2 + 0) / 3,
    "val/worst_recall": 0.0,
    # Pairs in the right order: 7 of 9 for class 0; 5.5 of 8 (one tie) for class 1; 5 of 5.
    "val/auroc": (7 / 9 + 5.5 / 8 + 1) / 3,
    # Squared distances: two errors by 1, one by 2, over those of independent grades.
    "val/kappa": 1 - (1 + 1 + 4) / ((3 * (2 * 1) + 2 * (4 * 1) + 1 * (4 * 4 + 2 * 1)) / 6),
    "-val/loss": np.log([0.8, 0.6, 0.2, 0.8, 0.3, 0.25]).mean(),
}


def pairwise_auroc(labels: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Return the share of pairs in the right order, ties as half, averaged over the classes."""
    shares = []
    for label in np.unique(labels):
        own, others = probabilities[labels == label], probabilities[labels != label]
        pairs = list(product(own[:, label], others[:, label]))
        shares.append(sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs))
    return float(np.mean(shares))


def weighted_kappa(labels: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return 1 - observed over expected squared distance; expected: over all pairs of images."""
    seen = np.mean((labels - predicted) ** 2)
    return float(1 - seen / np.mean([(a - b) ** 2 for a, b in product(labels, predicted)]))


def by_class(labels: NDArray[Any], predicted: NDArray[Any]) -> tuple[list[float], list[float]]:
    """Return recall and F1 of every class that has images."""
    recalls, f1 = [], []
    for label in np.unique(labels):
        right = int(((labels == label) & (predicted == label)).sum())
        own, named = int((labels == label).sum()), int((predicted == label).sum())
        recalls.append(right / own)
        f1.append(2 * right / (own + named))
    return recalls, f1


def test_every_metric_by_hand() -> None:
    assert BY_HAND.keys() == METRICS.keys()
    for name, expected in BY_HAND.items():
        assert metric_named(name).measure(LABELS, PROBABILITIES) == pytest.approx(expected), name


@given(seed=st.integers(0, 10_000), num=st.integers(2, 40), classes=st.integers(2, 5))
def test_every_metric_agrees_with_its_definition(seed: int, num: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, num)
    # Coarse, so that there are ties.
    probabilities = generator.integers(1, 5, (num, classes)).astype(float)
    probabilities /= probabilities.sum(1, keepdims=True)
    predicted = probabilities.argmax(1)
    recalls, f1 = by_class(labels, predicted)
    expected = {
        "val/accuracy": np.mean(labels == predicted),
        "val/balanced_accuracy": np.mean(recalls),
        "val/macro_f1": np.mean(f1),
        "val/worst_recall": min(recalls),
        "-val/loss": np.log(probabilities[range(num), labels]).mean(),
    }
    if len(np.unique(labels)) > 1:
        expected["val/auroc"] = pairwise_auroc(labels, probabilities)
        expected["val/kappa"] = weighted_kappa(labels, predicted)
    for name, value in expected.items():
        assert METRICS[name].measure(labels, probabilities) == pytest.approx(value), name


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("present", [[0], [1], [0, 2], [0, 1, 2]])
@pytest.mark.filterwarnings("error")
def test_a_metric_is_a_number_whatever_classes_are_there(name: str, present: list[int]) -> None:
    labels = torch.tensor(present * 4)
    for logits in (torch.randn(len(labels), 3), torch.zeros(len(labels), 3)):
        value = scores(logits, labels, name)[without_split(name)]
        assert math.isfinite(value)
    assert is_measurable(name, labels) == (len(present) >= METRICS[name].min_classes)


@pytest.mark.parametrize("name", METRICS)
def test_right_predictions_have_the_best_value(name: str) -> None:
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    right = 50 * torch.nn.functional.one_hot(labels).float()
    worse = right.roll(1, 0)
    best, other = (scores(one, labels, name)[without_split(name)] for one in (right, worse))
    assert best == pytest.approx(0 if name == "-val/loss" else 1)
    assert other < best


def test_an_output_that_is_no_number_ends_the_trial() -> None:
    labels = torch.tensor([0, 1])
    logits = torch.tensor([[0.0, math.nan], [0.0, 1.0]])
    assert "accuracy" in scores(logits, labels)
    for name in ("val/auroc", "-val/loss"):
        with pytest.raises(DivergedError, match="diverged: an output of the classifier"):
            scores(logits, labels, name)


def test_names_in_records_and_in_words() -> None:
    for name in METRICS:
        assert on_validation(without_split(name)) == name
    assert best_so_far("-val/loss") == "-val/best_loss"
    assert (title("val/macro_f1"), title("auroc"), title("val/specificity_at_95")) == (
        "macro F1",
        "AUROC",
        "specificity at 95",
    )
    assert validation_title("-val/loss") == "validation negative loss"
    assert validation_title("objective") == "objective"
    assert is_share("val/worst_recall") > is_share("-val/loss")


def test_an_unknown_metric_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="expected one of val/accuracy"):
        config(metric="val/f1")


VALUES = ({"accuracy": 0.7, "balanced": 0.3}, {"accuracy": 0.6, "balanced": 0.5})
"""The first epoch is the best by accuracy, the second by balanced accuracy."""


def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the two epochs of stage 3 have the metrics of ``VALUES``, and stage 1 none."""
    epochs: Iterator[dict[str, float]] = iter([*VALUES, VALUES[1]])

    def validate(*_: object) -> Metrics:
        values = next(epochs)
        return {"val/accuracy": values["accuracy"], "val/balanced_accuracy": values["balanced"]}

    monkeypatch.setattr(joint_stage, "validate", validate)
    of_stage_one = Assessed({"accuracy": 0.0, "balanced_accuracy": 0.0}, [])
    monkeypatch.setattr(TrialState, "assess_stage_one", lambda *_: of_stage_one)


@pytest.mark.parametrize(("metric", "best"), [("val/accuracy", 1), ("val/balanced_accuracy", 2)])
def test_the_weights_kept_are_those_of_the_best_epoch_by_the_metric(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch, metric: str, best: int
) -> None:
    running = at_joint(metric=metric, joint={"epochs": 2, "extra_images": "none"})
    scripted(monkeypatch)
    after = [
        (metrics, copy_weights(running.state.classifier))
        for metrics in JointStage(running.trainer, None).epochs()
    ]
    state, (last, _) = running.state, after[-1]
    assert state.best.epoch == best
    assert last[best_so_far(metric)] == state.best.value == max(m[metric] for m, _ in after)
    # The trial ends with these weights, so those of its last epoch are known from the first run.
    kept = copy_weights(state.classifier)
    if best == 1:
        assert differences(kept, after[0][1]) == []
    else:
        assert differences(kept, after[0][1]) != []


def test_a_fold_of_uneven_classes_keeps_the_epoch_of_its_metric(digits: ImageData) -> None:
    # Nine in ten validation images are of class 0: a classifier that knows it alone is accurate.
    rare = [int(torch.nonzero(digits.val.labels == label)[0]) for label in range(1, 10)]
    zeros = torch.nonzero(digits.val.labels == 0).flatten().repeat(9)[:81].tolist()
    order = torch.tensor(zeros + rare)
    val = Split(digits.val.images[order], digits.val.labels[order])
    images = ImageData(**{**vars(digits), "val": val})
    changes = {"classifier": {"epochs": 5, "lr": 0.1, "schedule": "constant"}}
    chosen = {}
    for metric in ("val/accuracy", "val/balanced_accuracy"):
        running = trial(images, metric=metric, **changes)
        reports = list(running.run_stage("classifier"))
        curve = [report.metrics[metric] for report in reports]
        held = evaluate(running.state.reference, val, metric)[without_split(metric)]
        assert held == max(curve) == reports[-1].metrics[best_so_far(metric)]
        assert reports[0].metric == metric
        chosen[metric] = 1 + curve.index(max(curve))
    assert len(set(chosen.values())) == 2, chosen


def test_a_checkpoint_of_before_is_loaded_with_the_value_of_its_weights(at_joint: Begin) -> None:
    before = at_joint(joint={"epochs": 2})
    next(iter(before.run()))
    saved = before.state_dict()
    accuracy = saved["best"].pop("value")
    saved["best"]["accuracy"] = accuracy
    for metric in ("val/accuracy", "val/balanced_accuracy", "val/macro_f1"):
        resumed = at_joint(metric=metric, joint={"epochs": 2})
        resumed.load_state_dict(saved)
        assert resumed.state.best.epoch == before.state.best.epoch
        kept, resumed.state.best.weights = resumed.state.best.weights, {}
        assert differences(kept, before.state.best.weights) == []
        assert (
            differences(
                copy_weights(resumed.state.classifier), copy_weights(before.state.classifier)
            )
            == []
        )
        resumed.state.classifier.load_state_dict(kept)
        found = evaluate(resumed.state.classifier, resumed.data.val, metric)
        assert resumed.state.best.value == found[without_split(metric)]


def test_a_metric_that_the_images_cannot_have_is_refused_before_the_start(
    digits: ImageData,
) -> None:
    of_one = digits.val.labels == 3
    val = Split(digits.val.images[of_one], digits.val.labels[of_one])
    images = ImageData(**{**vars(digits), "val": val})
    probe(config(metric="val/worst_recall"), images)
    for name in ("val/auroc", "val/kappa"):
        with pytest.raises(InputError, match=f"metric: got {name}, for validation images of class"):
            probe(config(metric=name), images)
