"""The sealed test split: nothing else opens it, and every reading is logged beforehand."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from distill_tune.cluster.shared_images import PlacedImages, opened_split, placed_split
from distill_tune.confirmation.run import ArmRun
from distill_tune.datasets import Dataset, unsealed
from distill_tune.datasets.split_images import digest
from distill_tune.distill.monitoring.evaluation import features_and_logits, recalls, scores
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import StudyError
from distill_tune.interfaces import Metrics, Split
from distill_tune.records.confirm_log import READING, run_records
from distill_tune.training.devices import device_of

if TYPE_CHECKING:
    from distill_tune.tuning.journal import Journal


class SealedTest:
    """The test images, handed out for one reading at a time.

    Args:
        data: Data set of the images.
        journal: Where readings are logged.
        reading: Number of the reading: 1 the first time.

    Attributes:
        chance: Metric to the score of predicting the largest class for every image; empty until
            the split is opened.
        digest: Digest of the test images; empty until the split is opened.
    """

    def __init__(self, data: Dataset, journal: "Journal", reading: int) -> None:
        self._data, self._journal, self.reading = data, journal, reading
        self._placed: Any = None
        self.chance: dict[str, float] = {}
        self.digest = ""

    def open(self, run: ArmRun) -> Any:
        """Log that a run's model is read, then return where Ray keeps the test images.

        Raises:
            StudyError: Earlier runs were read on other test images.
        """
        if self._placed is None:
            with unsealed():
                split = self._data.load_test()
            self.digest = digest((), split)
            self._require_same(split)
            self.chance = chance(split.labels, run.config.metric)
            self._placed = placed_split(split)
        self._journal.emit(
            READING,
            run=run.name,
            backbone=run.backbone,
            arm=run.arm.name,
            key=run.key,
            seed=run.config.seed,
            reading=self.reading,
        )
        return self._placed

    def _require_same(self, split: Split) -> None:
        """Raise ``StudyError`` if an earlier run was read on other images than these."""
        for run in run_records(self._journal.directory.events()):
            # Logs of older versions have the numbers of images alone.
            count = sum(run.class_counts)
            is_other = (
                run.test_images != self.digest if run.test_images else count != len(split.labels)
            )
            if run.test and count and is_other:
                raise StudyError(
                    f"{self._journal.directory.root}: got {len(split.labels)} test images (digest "
                    f"{self.digest}), expected the {count} of {run.name} (digest "
                    f"{run.test_images or 'unknown'}): arms are compared on the same images"
                )


class Reading(NamedTuple):
    """The results of a model on the test split.

    Attributes:
        metrics: ``accuracy``, the trial's metric and more, see ``evaluate``.
        recalls: Recall of every class; None for a class without test images.
        counts: Test images of every class.
    """

    metrics: Metrics
    recalls: list[float | None]
    counts: list[int]


def read_test(
    config: TrialConfig,
    weights: dict[str, Tensor],
    placed: PlacedImages,
    test: Any,
    bundle: Mapping[str, float],
) -> Iterator[Reading]:
    """Evaluate trained weights on the test split.

    Args:
        config: Configuration of the run.
        weights: Weights of its classifier.
        placed: Images of the run, for the number of classes and the shape.
        test: The placed test split.
        bundle: Resources to compute with.

    Yields:
        The only reading.
    """
    device = device_of(bundle)
    images = placed.described
    classifier = config.backbone.build(
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        is_fetching=False,
    ).to(device)
    classifier.load_state_dict(weights)
    split = Split(*(tensor.to(device) for tensor in opened_split(test)))
    _, logits = features_and_logits(classifier, split.images)
    yield Reading(
        scores(logits, split.labels, config.metric),
        recalls(logits, split.labels),
        split.labels.bincount(minlength=images.num_classes).tolist(),
    )


def chance(labels: Tensor, metric: str) -> Metrics:
    """Return metrics of predicting the shares of the classes for every image.

    The largest class has the highest probability, so that it is predicted.

    Args:
        labels: ``[n]`` int64, n > 0.
        metric: Metric of the study.
    """
    # Finite for a class without images, too.
    logits = labels.bincount().double().clamp(min=1e-6).log()
    return scores(logits.expand(len(labels), -1), labels, metric)
