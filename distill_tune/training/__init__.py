"""One trial from its start to its end: shared stages, checkpoints, TensorBoard, model."""
