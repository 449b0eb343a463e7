"""Trained models: their files, and their use."""

from distill_tune.model.folder import (
    FILES,
    Model,
    load_classifier,
    load_generator,
    load_model,
    model_config,
    model_files,
    write_model,
)

__all__ = [
    "FILES",
    "Model",
    "load_classifier",
    "load_generator",
    "load_model",
    "model_config",
    "model_files",
    "write_model",
]
