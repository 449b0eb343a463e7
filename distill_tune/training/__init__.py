"""One configuration trained to the end: what to train, the training, its way on after a stop."""

from distill_tune.training.recipe import Recipe, read_recipe
from distill_tune.training.train import train_model

__all__ = ["Recipe", "read_recipe", "train_model"]
