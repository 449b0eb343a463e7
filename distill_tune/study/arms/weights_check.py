"""A check before the start that an arm which is fine-tuned has weights to start from."""

from distill_tune.distill.configuration.probe import probe
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import ImageData
from distill_tune.study.arms import known_arms
from distill_tune.study.study import Study


def check_weights(study: Study, images: ImageData) -> None:
    """Build the networks of the fine-tuned arms of a study once.

    Raises:
        InputError: Weights are neither given nor can they be fetched, or they do not fit.
    """
    named = {"confirm.arms": study.confirm.arms if study.confirm else ()}
    named |= {"search.controls": study.search.controls}
    for where, arms in named.items():
        for arm in (known_arms()[name] for name in arms if known_arms()[name].is_fine_tuned):
            for backbone in study.backbones:
                weights = study.arm_weights(backbone.name)
                try:
                    probe(arm.config(study.trial_config(backbone.name, {}), weights), images)
                except InputError as error:
                    if weights is not None:
                        place = f"confirm.weights.{backbone.name}"
                        raise InputError(place, got=error.got, expected=error.expected) from error
                    raise _missing(where, arm.name, backbone.name, error) from error


def _missing(where: str, arm: str, backbone: str, error: InputError) -> InputError:
    return InputError(
        where,
        got=Text(f"{arm}, and {error.got}"),
        expected=f"pre-trained weights for it (confirm.weights: {{{backbone}: FILE.safetensors}}), "
        "or another arm",
    )
