"""Training settings shared by all GAN kinds."""

from typing import Annotated, Literal

from pydantic import Field

from distill_tune.interfaces import Config


class GanTraining(Config):
    """Settings of adversarial training in stages 2 and 3; each kind adds its architecture."""

    latent_dim: int = Field(default=64, ge=1, le=4096)
    """Length of ``z``."""
    warmup_steps: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Generator steps of stage 2 without the triplet loss; they depend on the data only. ``auto``:
    until at least 0.9 of the synthetic images agree with their labels according to a judge trained
    on the training images, and both this share and their diversity are stable."""
    max_warmup_steps: int = Field(default=10_000, ge=0)
    """Maximum number of warm-up steps with ``auto``."""
    judge_steps: int = Field(default=400, ge=1)
    """Optimiser steps of the judge, with 64 images each."""
    triplet_steps: int = Field(default=2_000, ge=0)
    """Generator steps of stage 2 with the triplet loss."""
    triplet_margin: float | None = Field(default=None, ge=0)
    """m of the triplet loss in stage 2; null: that of stage 3, ``joint.margin``."""
    triplet_threshold: float | None = Field(default=None, gt=0, lt=1)
    """Threshold of hard images in stage 2; null: that of stage 3, ``joint.hard_threshold``."""
    batch_size: int = Field(default=64, ge=2)
    """Images per discriminator step and per generator step."""
    discriminator_steps: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Discriminator steps per generator step; ``auto``: 2 on a GPU, 1 on a CPU."""
    lr: float = Field(default=2e-4, gt=0)
    """Learning rate of Adam, betas (0, 0.9), in stage 2."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Weight of the old generator in its moving average (less in the first steps)."""
    class_ramp_steps: int = Field(default=0, ge=0)
    """Generator steps over which the class signal grows from 0 to 1 (Shahbazi et al., ICLR 2022:
    conditioning itself causes collapse with little data; not observed with small images)."""
    mismatch: float = Field(default=1.0, ge=0)
    """Weight of real images with a wrong label, which the discriminator learns to reject as fake
    (Reed et al., ICML 2016): images must be not only realistic but also of the requested class."""
    unlabelled_weight: float = Field(default=1.0, ge=0)
    """Weight of images without labels (``data.unlabelled``) relative to labelled ones in the losses
    of both networks; 0: they are not used. The discriminator judges them, and synthetic images once
    more, without a class."""
    lecam: float = Field(default=0.3, ge=0)
    """Weight of LeCam regularisation (Tseng et al., CVPR 2021)."""
    lecam_start: int = Field(default=1_000, ge=0)
    """First generator step with LeCam regularisation."""
    mode_seeking: float = Field(default=0.3, ge=0)
    """Weight of the mode-seeking term (after Mao et al., CVPR 2019): two images of a class with
    different ``z`` should differ as much as two real ones."""
    shift: float = Field(default=1 / 6, ge=0, le=0.5)
    """Largest shift of the GAN's augmentation, as a share of the image side."""
    cutout: float = Field(default=0.5, ge=0, le=1)
    """Side of the square that the GAN's augmentation blanks, as a share of the image side."""
    color: bool = True
    """Change brightness, saturation and contrast in the GAN's augmentation (of colour images
    only)."""

    @property
    def warmup_limit(self) -> int:
        """Maximum number of generator steps of the warm-up."""
        return self.max_warmup_steps if self.warmup_steps == "auto" else self.warmup_steps

    def num_discriminator_steps(self, *, is_gpu: bool) -> int:
        """Return the discriminator steps per generator step on this device."""
        if self.discriminator_steps == "auto":
            return 2 if is_gpu else 1
        return self.discriminator_steps
