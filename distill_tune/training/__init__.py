"""One trial from start to end: shared stages, checkpoints, TensorBoard and model."""
