"""The method: three stages of GAN distillation. Knows no Ray, no files, no TensorBoard."""
