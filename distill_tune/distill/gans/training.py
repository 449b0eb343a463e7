"""What every GAN kind shares: how its two networks are trained."""

from typing import Annotated, Literal

from pydantic import Field

from distill_tune.interfaces import Config


class GanTraining(Config):
    """The adversarial part of stages 2 and 3; a kind adds its architecture to these fields."""

    latent_dim: int = Field(default=64, ge=1, le=4096)
    """Length of ``z``."""
    warmup_steps: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Generator steps of stage 2 without the triplet loss; they depend on the data alone.
    ``auto``: until at least 0.9 of the synthetic images agree with their labels, as a judge
    trained on the training images sees it, and neither that nor their diversity still moves."""
    max_warmup_steps: int = Field(default=10_000, ge=0)
    """The most that ``auto`` takes."""
    judge_steps: int = Field(default=400, ge=1)
    """Optimiser steps of the judge, 64 images each."""
    triplet_steps: int = Field(default=2_000, ge=0)
    """Generator steps of stage 2 with the triplet loss."""
    batch_size: int = Field(default=64, ge=2)
    """Images per discriminator step and per generator step."""
    discriminator_steps: int | Literal["auto"] = "auto"
    """Discriminator steps per generator step; ``auto``: 2 on a GPU, 1 on a CPU."""
    lr: float = Field(default=2e-4, gt=0)
    """Adam's learning rate in stage 2, betas (0, 0.9)."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Weight of the old generator in its moving average (less in the first steps)."""
    class_ramp_steps: int = Field(default=0, ge=0)
    """Generator steps over which the class signal grows from 0 to 1 (Shahbazi et al., ICLR 2022:
    conditioning itself causes collapse where data are few; not seen with small images)."""
    mismatch: float = Field(default=1.0, ge=0)
    """Weight of real images with a wrong label among what the discriminator calls fake (Reed et
    al., ICML 2016): images must not only be real but of the class that was asked for."""
    lecam: float = Field(default=0.3, ge=0)
    """Weight of LeCam regularisation (Tseng et al., CVPR 2021)."""
    lecam_start: int = Field(default=1_000, ge=0)
    """Generator step from which LeCam regularisation acts."""
    mode_seeking: float = Field(default=0.3, ge=0)
    """Weight of the mode-seeking term (after Mao et al., CVPR 2019): two images of a class with
    differing ``z`` must differ as much as two real ones do."""
    shift: float = Field(default=1 / 6, ge=0, le=0.5)
    """Largest shift of the GAN's own augmentation, as a share of the image side."""
    cutout: float = Field(default=0.5, ge=0, le=1)
    """Side of the square that the GAN's own augmentation blanks, as a share of the image side."""
    color: bool = True
    """Whether the GAN's own augmentation changes brightness, saturation and contrast (only of
    colour images)."""

    @property
    def warmup_limit(self) -> int:
        """The most generator steps that the warm-up takes."""
        return self.max_warmup_steps if self.warmup_steps == "auto" else self.warmup_steps

    def num_discriminator_steps(self, *, is_gpu: bool) -> int:
        """Return the discriminator steps per generator step on this device."""
        if self.discriminator_steps == "auto":
            return 2 if is_gpu else 1
        return self.discriminator_steps
