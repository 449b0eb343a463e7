"""The extra images of stage 3: synthetic (optionally selected), hard real, or unlabelled ones."""

from dataclasses import dataclass

import torch
from torch import Tensor

from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.compute.batches import Batch, ExtraBatch, Key, augmented_batch
from distill_tune.distill.compute.class_balance import class_shares, drawn_classes
from distill_tune.distill.compute.execution import Execution
from distill_tune.distill.compute.large_images import in_memory, joined, made_together
from distill_tune.distill.compute.random_streams import integers, stream, uniform
from distill_tune.distill.configuration.joint_training import JointTraining, Selection
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.monitoring.evaluation import features_and_logits
from distill_tune.distill.unlabelled import pseudo_labelled


@dataclass(frozen=True)
class ExtraImages:
    """A source of the extra images of each step; they depend only on seed and step."""

    trainer: GanTrainer

    @property
    def _joint(self) -> JointTraining:
        return self.trainer.config.joint

    def batch(
        self, num_real: int, ratio: float, *, whole_step: int, weight: float, execution: Execution
    ) -> ExtraBatch | None:
        """Return new extra images for one step, or None if there are none.

        They come from the averaged generator, from the hard training images, with uniform classes,
        or from the images without labels. They are augmented like real images: otherwise the
        classifier would learn that images without augmentation are synthetic.

        Args:
            num_real: Number of real images in the step.
            ratio: 0 = no extra images; otherwise ``max(1, ratio) * num_real`` are drawn, at least
                two.
            whole_step: Step within the stage; seeds every draw.
            weight: Weight of their loss if all are kept.
            execution: How the generator is called.
        """
        if ratio == 0 or self._joint.extra_images == "none":
            return None
        count = max(2, num_real, round(ratio * num_real))
        if self._joint.extra_images == "pseudo":
            state, data = self.trainer.state, self.trainer.data
            found = pseudo_labelled(state.classifier, data, self.trainer.config, count, whole_step)
            return found._replace(weight=weight)
        if self._joint.has_gan:
            images, labels = self._synthetic(count, whole_step, execution)
        else:
            images, labels = self._hard(count, whole_step)
        if len(labels) < 2:
            # Batch norm cannot compute a variance from a single image.
            return None
        config = self.trainer.config
        key: Key = (config.seed, "synthetic-augmentation", whole_step)
        share = len(labels) / count
        augmented = augmented_batch(images, labels, self.trainer.data, config.classifier, key)
        return ExtraBatch(*augmented, weight * share, share)

    def _hard(self, count: int, whole_step: int) -> Batch:
        data, sets = self.trainer.data, self.trainer.state.sets
        assert sets is not None, "stage 3 begins with labelled images"  # noqa: S101
        generator = stream(self.trainer.config.seed, "synthetic", whole_step, device=data.device)
        classes = integers(data.num_classes, (count,), generator)
        chosen = sets.hard_pools.draw(classes, uniform((count,), generator))
        return data.train.images[chosen], data.train.labels[chosen]

    @torch.no_grad()
    def _synthetic(self, count: int, whole_step: int, execution: Execution) -> Batch:
        joint, state = self._joint, self.trainer.state
        each = 1 if joint.selection == "none" else joint.candidates
        latent = self.trainer.latent("synthetic", count * each, whole_step)
        classes = self._classes(count, whole_step)
        labels = (latent.labels[:count] if classes is None else classes).repeat_interleave(each)
        generator, signal = state.gan.ema.module, self.trainer.class_signal()
        real = self.trainer.data.train.images
        # Of large candidates, those for a few images at a time.
        together = each * max(1, in_memory(real) // each)
        if joint.selection == "none":
            together = made_together(count, real.shape[1:], labels.device)
        pairs = zip(latent.z.split(together), labels.split(together), strict=True)
        parts = ((execution(generator, z, asked, signal), asked) for z, asked in pairs)
        if joint.selection == "none":
            # Joined, they are copies. Compiled for a GPU, the images themselves lie in a CUDA
            # graph's memory, which its next run overwrites.
            return joined((images for images, _ in parts), count), labels
        found = []
        for images, asked in parts:
            kept = select(state.snapshot, images, asked, each, joint.selection)
            found.append((images[kept], asked[kept]))
        if len(found) == 1:
            return found[0]
        images, labels = map(torch.cat, zip(*found, strict=True))
        return images, labels

    def _classes(self, count: int, whole_step: int) -> Tensor | None:
        """Return the classes of synthetic images ``[count]``; None if all are equally likely."""
        rule = self._joint.class_ratio
        if rule == "uniform":
            return None
        data, sets = self.trainer.data, self.trainer.state.sets
        assert sets is not None, "stage 3 begins with labelled images"  # noqa: S101
        shares = class_shares(rule, data.by_class.counts, sets.scores, data.train.labels)
        if shares is None:
            return None
        seed = self.trainer.config.seed
        generator = stream(seed, "synthetic-classes", whole_step, device=data.device)
        return drawn_classes(shares, uniform((count,), generator))


def select(
    classifier: Classifier, images: Tensor, labels: Tensor, candidates: int, selection: Selection
) -> Tensor:
    """Return the indices of the selected images, at most one per run of candidates.

    The host waits for the device once, because the number of indices is data-dependent.

    Args:
        classifier: Not changed.
        images: ``[n * candidates, channels, size, size]``, float32 in [-1, 1].
        labels: ``[n * candidates]`` int64, equal within a run.
        candidates: Length of a run.
        selection: ``agree``: the first image whose predicted class is its label; ``hard``: of all
            such images, the one with the lowest probability. A run without such an image
            contributes no index.
    """
    _, logits = features_and_logits(classifier, images)
    agrees = (logits.argmax(1) == labels).view(-1, candidates)
    if selection == "hard":
        rank = logits.softmax(1).gather(1, labels[:, None]).view(-1, candidates)
    else:
        rank = torch.arange(candidates, device=labels.device).expand(agrees.shape).float()
    best = rank.masked_fill(~agrees, torch.inf).argmin(1)
    chosen = torch.arange(len(best), device=labels.device) * candidates + best
    return chosen[agrees.any(1)]
