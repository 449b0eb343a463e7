"""distill-tune: hyperparameter search for GAN distillation."""

__version__ = "0.1.0"
