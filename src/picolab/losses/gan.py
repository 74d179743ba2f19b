"""Patch discriminators that know what was coded, after HiFiC (arXiv 2006.09965)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from picolab.losses.features import VGG16


class Discriminator(nn.Module):
    """Pictures `[B, 3, H, W]` in [0, 1] and their latents `[B, M, H/16, W/16]` to one logit for
    each 16x16 block, positive for a real picture.

    Spectral norm keeps it from running away from a decoder as light as ours. The latent tells
    which picture to expect there, so that texture is judged as texture of that place.
    """

    def __init__(self, y_channels: int, width: int = 48) -> None:
        super().__init__()
        sides = [(3, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width)]
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in sides
        )
        self.latent = spectral_norm(nn.Conv2d(y_channels, 4 * width, 1))
        self.mix = spectral_norm(nn.Conv2d(8 * width, 4 * width, 3, padding=1))
        self.head = spectral_norm(nn.Conv2d(4 * width, 1, 1))

    def forward(self, picture: Tensor, latent: Tensor) -> Tensor:
        h = 2 * picture - 1
        for conv in self.down:
            h = F.leaky_relu(conv(h), 0.2)
        # Latents span orders of magnitude between levels.
        condition = F.leaky_relu(self.latent(torch.asinh(latent)), 0.2)
        return self.head(F.leaky_relu(self.mix(torch.cat([h, condition], 1)), 0.2)).float()


class FeatureDiscriminator(nn.Module):
    """Like `Discriminator`, but it judges what VGG16 sees (Sauer et al. 2021, "Projected GANs
    Converge Faster", arXiv 2111.01007), so that it need not learn first what texture is.

    One channel of logits for each of the first three stages, `[B, 3, H/4, W/4]`.
    """

    STAGES = (64, 128, 256)

    def __init__(self, y_channels: int, width: int = 64, bf16: bool = False) -> None:
        super().__init__()
        self.trunk = VGG16(bf16=bf16)
        self.trunk.stages = self.trunk.stages[: len(self.STAGES)]
        self.enter = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in self.STAGES)
        self.latent = nn.ModuleList(nn.Conv2d(y_channels, width, 1) for _ in self.STAGES)
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in self.STAGES)
        self.head = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in self.STAGES)

    def forward(self, picture: Tensor, latent: Tensor) -> Tensor:
        condition = torch.asinh(latent)
        size = picture.shape[2] // 4, picture.shape[3] // 4
        logits = []
        for features, enter, know, mix, head in zip(
            self.trunk(picture), self.enter, self.latent, self.mix, self.head, strict=True
        ):
            # As LPIPS does: what matters is which features there are, not how strong they all are.
            h = enter(F.normalize(features, dim=1))
            h = F.leaky_relu(h + F.interpolate(know(condition), h.shape[2:]), 0.2)
            h = head(F.leaky_relu(mix(h), 0.2)).float()
            logits.append(F.adaptive_avg_pool2d(h, size))
        return torch.cat(logits, dim=1)


def discriminator_loss(real: Tensor, decoded: Tensor, weight: Tensor) -> Tensor:
    """What the discriminator minimises: the non-saturating loss over logits `[B, N, h, w]`, each
    picture by its `weight` `[B]`."""
    each = F.softplus(-real).mean((1, 2, 3)) + F.softplus(decoded).mean((1, 2, 3))
    return (weight * each).sum() / weight.sum().clamp_min(1e-6)


def generator_loss(decoded: Tensor, mask: Tensor) -> Tensor:
    """What the codec minimises, `[B]`; less where `mask` `[B, 1, H, W]` says that there is text."""
    keep = 1 - F.adaptive_avg_pool2d(mask, (decoded.shape[2], decoded.shape[3]))
    return (F.softplus(-decoded) * keep).mean((1, 2, 3))
