"""A check before the start that a configuration and a data set fit together."""

from typing import Any

from distill_tune.distill.monitoring.evaluation import is_measurable
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import ImageData


def probe(config: TrialConfig, images: ImageData) -> str:
    """Build the networks once, as far as that can fail.

    Returns:
        Where the classifier's weights come from, for the user; empty if they are random.

    Raises:
        InputError: The backbone does not accept the images, there are fewer than two training
            images, the validation images lack classes that the metric needs, or pseudo-labels are
            requested without images to give them to.
    """
    if len(images.train.labels) < 2:
        raise InputError(
            "data", got=f"{len(images.train.labels)} training images", expected="at least 2"
        )
    if not is_measurable(config.metric, images.val.labels):
        shown = images.classes[int(images.val.labels[0])]
        raise InputError(
            "metric",
            got=Text(f"{config.metric}, for validation images of class {shown!r} only"),
            expected="validation images of two classes or more, or another metric",
        )
    shape: dict[str, Any] = {
        "num_classes": images.num_classes,
        "channels": images.channels,
        "image_size": images.image_size,
    }
    remark = ""
    if not config.backbone.takes_any_images:
        # ResNets are spared the import of torchvision and a network's initial weights: seconds.
        remark = config.backbone.build(**shape).remark
    config.gan.build_generator(**shape)
    if config.joint.extra_images == "pseudo" and images.unlabelled is None:
        expected = "images without labels to learn from: set data.unlabelled"
        raise InputError("joint.extra_images", got="pseudo", expected=expected)
    return remark
