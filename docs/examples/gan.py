"""A GAN in automatic and in manual optimization: two models, two optimizers, one module.

The generator learns a ring of eight Gaussians in the plane from noise; the discriminator learns to tell them apart.
Run it with ``hatch run python docs/examples/gan.py``.
"""

import argparse
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lit_accelerators import seed_everything
from lit_core import LightningModule, Trainer


def ring(samples: int, seed: int = 0) -> Tensor:
    """Points of eight Gaussians on a circle of radius 2, shape (samples, 2)."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.randint(8, (samples,), generator=generator) * (2 * math.pi / 8)
    centre = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
    return centre + 0.05 * torch.randn(samples, 2, generator=generator)


def mlp(inputs: int, outputs: int, width: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, outputs),
    )


class GAN(LightningModule):
    """Automatic optimization: ``training_step`` is called once per optimizer and returns that optimizer's loss.

    While one optimizer works, the parameters of the other need no gradients: the framework toggles them.
    """

    def __init__(self, latent: int = 8, lr: float = 2e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.generator = mlp(latent, 2)
        self.discriminator = mlp(2, 1)
        self.example_input_array = torch.zeros(2, latent)

    def forward(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def noise(self, like: Tensor) -> Tensor:
        return torch.randn(len(like), self.hparams.latent, device=like.device)

    def generator_loss(self, real: Tensor) -> Tensor:
        scores = self.discriminator(self(self.noise(real)))
        return nn.functional.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))

    def discriminator_loss(self, real: Tensor) -> Tensor:
        fake = self(self.noise(real)).detach()
        scores = self.discriminator(torch.cat([real, fake]))
        truth = torch.cat([torch.ones(len(real), 1), torch.zeros(len(fake), 1)]).to(scores)
        return nn.functional.binary_cross_entropy_with_logits(scores, truth)

    def training_step(self, batch: list[Tensor], batch_idx: int, optimizer_idx: int) -> Tensor:
        (real,) = batch
        if optimizer_idx == 0:
            loss = self.generator_loss(real)
            self.log("generator_loss", loss, prog_bar=True)
        else:
            loss = self.discriminator_loss(real)
            self.log("discriminator_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        settings = {"lr": self.hparams.lr, "betas": (0.5, 0.999)}
        return [
            torch.optim.Adam(self.generator.parameters(), **settings),
            torch.optim.Adam(self.discriminator.parameters(), **settings),
        ]


class ManualGAN(GAN):
    """The same in manual optimization: backward and step are yours, everything else is still done for you."""

    def __init__(self, latent: int = 8, lr: float = 2e-3) -> None:
        super().__init__(latent, lr)
        self.automatic_optimization = False

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        (real,) = batch
        generator, discriminator = self.optimizers()
        for name, optimizer, loss_of in (
            ("generator_loss", generator, self.generator_loss),
            ("discriminator_loss", discriminator, self.discriminator_loss),
        ):
            with self.toggled_optimizer(optimizer):
                loss = loss_of(real)
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
            self.log(name, loss, prog_bar=True)


def distance_to_ring(points: Tensor) -> float:
    """Mean distance of points to the nearest of the eight centres."""
    angle = torch.arange(8) * (2 * math.pi / 8)
    centres = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
    return float(torch.cdist(points, centres).min(dim=1).values.mean())


def main(epochs: int, manual: bool = False, **options: Any) -> float:
    """Train; returns the mean distance of generated points to the nearest centre."""
    seed_everything(0)
    model = ManualGAN() if manual else GAN()
    loader = DataLoader(TensorDataset(ring(4096)), batch_size=128, shuffle=True)
    Trainer(max_epochs=epochs, **options).fit(model, loader)
    model.eval()
    with torch.no_grad():
        distance = distance_to_ring(model(torch.randn(2000, model.hparams.latent)))
    print(f"Generated points are {distance:.3f} from the nearest of the eight centres; untrained, about 1.8.")
    return distance


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--manual", action="store_true", help="manual optimization")
    main(**vars(parser.parse_args()))
