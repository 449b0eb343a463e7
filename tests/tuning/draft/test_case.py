"""What suits images and a machine, decided without either."""

from typing import Any

import pytest

from distill_tune.cli.options import option
from distill_tune.errors import InputError
from distill_tune.tuning.draft.case import Machine, Wish, given_backbone, image_sizes
from tests.tuning.draft.cases import GPUS, LAPTOP, SERVER, case, facts


@pytest.mark.parametrize(
    ("side", "on_cpu", "on_gpu"),
    [
        (2, (4,), (4,)),
        (8, (8,), (8,)),
        (16, (16,), (16,)),
        (28, (28, 16), (28, 16)),
        (32, (32, 16), (32, 16)),
        (64, (32, 16), (64, 32, 16)),
        (512, (32, 16), (64, 32, 16)),
    ],
)
def test_images_keep_their_size_as_far_as_the_machine_goes(
    side: int, on_cpu: tuple[int, ...], on_gpu: tuple[int, ...]
) -> None:
    images = facts(50, 50, side=side)
    assert image_sizes(images, LAPTOP) == on_cpu
    assert image_sizes(images, GPUS) == on_gpu
    given = facts(50, 50, side=side, fields={"kind": "npz", "image_size": 100})
    assert image_sizes(given, LAPTOP) == (100,)


@pytest.mark.parametrize(
    ("machine", "cpus", "slots"),
    [
        (LAPTOP, 1, 2),
        (Machine(1, 0, 10**9), 1, 1),
        (Machine(16, 0, 64 * 10**9), 1, 16),
        (SERVER, 4, 16),
        (GPUS, 4, 4),
        (Machine(2, 4, 64 * 10**9), 1, 4),
    ],
)
def test_a_trial_has_a_core_and_no_more_than_sixteen_run_at_once(
    machine: Machine, cpus: int, slots: int
) -> None:
    assert (machine.cpus, machine.slots) == (cpus, slots)


def test_memory_limits_the_trials_that_run_at_once() -> None:
    assert [Machine(8, 0, memory).fitting for memory in (10**8, 10**9, 4 * 10**9)] == [1, 1, 4]


@pytest.mark.parametrize(
    ("name", "size", "layers"),
    [
        ("resnet18", 8, {"stem": "imagenet", "input_size": 16}),
        ("resnet18", 28, {"stem": "imagenet", "input_size": 28}),
        ("resnet50", 32, {"stem": "imagenet"}),
        ("densenet121", 16, {}),
        ("densenet121", 32, {"stem": "imagenet"}),
        ("alexnet", 32, {}),
        ("squeezenet1_1", 32, {}),
    ],
)
def test_the_first_layers_are_fast_on_a_cpu(name: str, size: int, layers: dict[str, Any]) -> None:
    wish = Wish(({"name": name},))
    images = facts(50, 50)
    assert case(images, LAPTOP, wish, size).backbones() == [{"name": name, **layers}]
    assert case(images, GPUS, wish, size).backbones() == [{"name": name}]


def test_backbones_are_the_users_own_as_they_were_given() -> None:
    images = facts(50, 50)
    assert [one["name"] for one in case(images).backbones()] == ["resnet18"]
    assert [one["name"] for one in case(images, GPUS).backbones()] == ["resnet50"]
    fields = given_backbone("{name: resnet18, input_size: 40}")
    own = Wish((given_backbone("alexnet"), fields))
    assert case(images, LAPTOP, own).backbones() == [{"name": "alexnet"}, fields]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet19", "--backbone: name: got 'resnet19', expected a classification model of"),
        ("{input_size: 40}", "--backbone: name: got nothing"),
        ("{name: resnet18, size: 4}", "--backbone: top level: got 'size', expected one of"),
        ("{name", "--backbone: got '{name', expected YAML, not "),
    ],
)
def test_a_backbone_that_does_not_exist_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        given_backbone(text)
    assert refused.value.spelled(option).startswith(message)


@pytest.mark.parametrize(
    ("num_classes", "count", "on_cpu", "on_gpu"),
    [(2, 2, 4, 4), (2, 10, 16, 16), (10, 20, 16, 16), (20, 20, 32, 32), (250, 20, 32, 128)],
)
def test_an_epoch_has_several_steps(num_classes: int, count: int, on_cpu: int, on_gpu: int) -> None:
    images = facts(*[count] * num_classes, val_counts=(5,) * num_classes, has_test=True)
    assert (case(images).batch, case(images, GPUS).batch) == (on_cpu, on_gpu)


def test_a_gpu_gets_more_time_unless_somebody_says() -> None:
    images = facts(50, 50)
    assert case(images).minutes == 30
    assert case(images, GPUS).minutes == 120
    assert case(images, GPUS, Wish(minutes=5)).minutes == 5
