"""Stage 1: the classifier on real images; stage 3 and the baselines use its steps too."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.compute.batches import (
    Batch,
    ExtraBatch,
    augmented_batch,
    smoothed,
    weighted,
)
from distill_tune.distill.compute.class_balance import class_weights
from distill_tune.distill.compute.device_data import ClassPools, DeviceData
from distill_tune.distill.compute.execution import Execution
from distill_tune.distill.compute.optimizers import step_in_memory_order, write_lr
from distill_tune.distill.compute.random_streams import seed_global, stream
from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.monitoring.evaluation import ensure_training, running_statistics_kept
from distill_tune.distill.trial_config import ClassifierTraining
from distill_tune.errors import DivergedError


def make_optimizer(
    classifier: nn.Module, training: ClassifierTraining, lr: float
) -> torch.optim.Optimizer:
    """Return a new optimiser of what is trained; fused, several times faster on a CPU."""
    parameters = [one for one in classifier.parameters() if one.requires_grad]
    decay = training.weight_decay
    optimizer: torch.optim.Optimizer
    if training.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=decay, fused=True
        )
    else:
        optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=decay, fused=True)
    step_in_memory_order(optimizer)
    return optimizer


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        write_lr(group, lr)


def scheduled_lr(training: ClassifierTraining, lr: float, epoch: int, epochs: int) -> float:
    """Return the learning rate of an epoch (0-based) of a stage with ``epochs`` epochs."""
    if training.schedule == "constant":
        return lr
    return lr * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def num_steps(data: DeviceData, training: ClassifierTraining) -> int:
    """Return the number of steps per epoch: full batches of real images, at least one."""
    return max(1, len(data.train.labels) // training.batch_size)


def real_batches(
    data: DeviceData, training: ClassifierTraining, *, seed: int, epoch: int
) -> Iterator[Batch]:
    """Yield the augmented real batches of one epoch.

    Args:
        data: Source of the images.
        training: Batch size and augmentation.
        seed: The trial's seed.
        epoch: Counted from the start of stage 1 through stage 3, so that stage 3 without
            synthetic images is a continuation of stage 1.
    """
    order = _order(data, training, stream(seed, "order", epoch)).to(data.device)
    weights = class_weights(data.by_class.counts, training)
    for step in range(num_steps(data, training)):
        chosen = order[step * training.batch_size : (step + 1) * training.batch_size]
        images, labels = augmented_batch(
            data.train.images[chosen],
            data.train.labels[chosen],
            data,
            training,
            (seed, "augmentation", epoch, step),
        )
        labels = smoothed(labels, training.label_smoothing, data.num_classes)
        yield images, weighted(labels, weights)


def _order(data: DeviceData, training: ClassifierTraining, generator: torch.Generator) -> Tensor:
    count = len(data.train.labels)
    if training.sampling == "balanced":
        return balanced_order(data.by_class, count, generator)
    return torch.randperm(count, generator=generator)


def balanced_order(pools: ClassPools, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` image indices on the host, equally many of each class.

    The images of a class recur equally often. Every class occurs once in each run of as many
    indices as there are classes, so that batches are balanced too.

    Args:
        pools: Images by class; classes without images are left out.
        count: Number of indices.
        generator: On the host.
    """
    classes = [row[:size] for row, size in zip(pools.indices, pools.counts.tolist(), strict=True)]
    members = [row.cpu() for row in classes if len(row)]
    each = -(-count // len(members))
    drawn = torch.stack([_recurring(row, each, generator) for row in members])
    ranks = torch.rand(drawn.shape, generator=generator).argsort(dim=0)
    return drawn.gather(0, ranks).T.flatten()[:count]


def _recurring(row: Tensor, count: int, generator: torch.Generator) -> Tensor:
    rounds = -(-count // len(row))
    orders = [torch.randperm(len(row), generator=generator) for _ in range(rounds)]
    return row[torch.cat(orders)[:count]]


def train_step(
    classifier: Classifier,
    optimizer: torch.optim.Optimizer,
    real: Batch,
    extra: ExtraBatch | None = None,
    *,
    joint: JointTraining | None = None,
    execution: Execution | None = None,
) -> Tensor:
    """Take one optimiser step and return the loss, a scalar on the device.

    ``L_F = CE(real) + weight * CE_smoothed(extra)``. Dropout draws from torch's
    global random state: seed it first
    (:func:`distill_tune.distill.compute.random_streams.seed_global`).

    Args:
        classifier: In training mode afterwards.
        optimizer: Its optimiser.
        real: Augmented images in [-1, 1] and labels.
        extra: Augmented extra images, labels and weight; None = real images only.
        joint: Required with extra images: label smoothing and batch-norm mode.
        execution: How the classifier is called; None: in float32, not compiled.
    """
    call = classifier if execution is None else partial(execution, classifier)
    ensure_training(classifier)
    images, labels = real
    if extra is None or joint is None:
        loss = F.cross_entropy(call(images), labels)
    else:
        loss = _mixture_loss(classifier, call, real, extra, joint)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def _mixture_loss(
    classifier: Classifier,
    call: Callable[[Tensor], Tensor],
    real: Batch,
    extra: ExtraBatch,
    joint: JointTraining,
) -> Tensor:
    if joint.batch_norm == "mixed":
        logits = call(torch.cat([real[0], extra.images]))
        real_logits, extra_logits = logits.split([len(real[1]), len(extra.labels)])
    else:
        real_logits = call(real[0])
        with running_statistics_kept(classifier):
            extra_logits = call(extra.images)
    smoothing = 0.0 if joint.extra_images == "pseudo" else joint.label_smoothing
    smoothed = F.cross_entropy(extra_logits, extra.labels, label_smoothing=smoothing)
    return F.cross_entropy(real_logits, real[1]) + extra.weight * smoothed


def train_epoch(
    classifier: Classifier,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    *,
    seed: int,
    epoch: int,
    execution: Execution | None = None,
) -> float:
    """Train on the real images of one epoch and return the mean loss.

    Args:
        classifier: In training mode afterwards.
        optimizer: Its optimiser.
        batches: Batches of this epoch, from :func:`real_batches`.
        seed: The trial's seed.
        epoch: Seeds dropout, together with ``seed``.
        execution: As for :func:`train_step`.

    Raises:
        DivergedError: The loss is no longer finite.
    """
    losses = []
    for step, batch in enumerate(batches):
        seed_global(seed, "dropout", epoch, step)
        losses.append(train_step(classifier, optimizer, batch, execution=execution))
    return mean_loss(losses, f"the classifier's loss in epoch {epoch + 1}")


def mean_loss(losses: list[Tensor], what: str) -> float:
    """Return the mean of scalars on a device; the only synchronisation of an epoch.

    Raises:
        DivergedError: The mean is not finite.
    """
    value = torch.stack(losses).mean().item()
    if not math.isfinite(value):
        raise DivergedError("diverged", f"{what} is {value}")
    return value
