"""The method itself, with the configuration that the search found."""

from distill_tune.study.arms.arm import Arm

GAN_DISTILLATION = Arm(name="gan_distillation", title="GAN distillation", role="method")
