"""A GAN of one's own: DCGAN with a generator of two linear layers."""

from typing import Literal

from torch import Tensor, nn

from distill_tune.distill.gans.dcgan import Dcgan


class MlpGan(Dcgan):
    kind: Literal["mlp_gan"] = "mlp_gan"  # type: ignore[assignment]

    def build_generator(self, *, num_classes: int, channels: int, image_size: int) -> nn.Module:
        return Generator(self, num_classes, channels, image_size)


class Generator(nn.Module):
    def __init__(self, gan: MlpGan, num_classes: int, channels: int, size: int) -> None:
        super().__init__()
        self.shape, width = (channels, size, size), gan.generator_width
        self.of_class = nn.Embedding(num_classes, gan.latent_dim)
        first, last = nn.Linear(gan.latent_dim, width), nn.Linear(width, channels * size**2)
        self.layers = nn.Sequential(first, nn.ReLU(), last, nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor, class_signal: float = 1.0) -> Tensor:
        return self.layers(z + class_signal * self.of_class(labels)).view(-1, *self.shape)


GANS = {"mlp_gan": MlpGan}
