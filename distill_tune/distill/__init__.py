"""The method: three stages of GAN distillation, without Ray, file access or TensorBoard."""
