"""The TensorBoard run of a trial."""
