"""What a reconstruction costs beyond its squared error: the sum that stage 2 minimises.

Weights are in units of the *balanced* loss `slope**-0.4 * (bpp + slope * MSE)`, in which every
level counts alike; a constant weight there is one that grows with the level as `slope**0.4`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from picolab.losses import wasserstein
from picolab.losses.fidelity import ms_ssim_loss, text_fidelity_loss, tiling_artifact_loss
from picolab.losses.lpips import LPIPS


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss; 0 leaves it out. Realism multiplies `lpips`, `wasserstein`, `gan`."""

    lpips: float = 0.0  # LPIPS on VGG16
    wasserstein: float = 0.0  # Wasserstein distortion, on the same features
    ms_ssim: float = 0.0
    tiling: float = 0.0
    text: float = 0.0
    gan: float = 0.0
    mse_at_realism: float = 0.5  # the part of the MSE's weight that is left at realism 1
    # Shares of samples that are decoded for the closest pixels, and for the most texture; the
    # rest is spread evenly between.
    closest: float = 0.25
    fullest: float = 0.5
    perceptual_crop: int = 128  # side of the part of each crop that VGG16 sees
    gan_start: int = 0  # step at which the discriminator begins to learn ...
    gan_ramp: int = 500  # ... and the steps over which its weight grows from nothing

    def __post_init__(self) -> None:
        for f in fields(self):
            if getattr(self, f.name) < 0:
                raise ValueError(f"losses: {f.name} = {getattr(self, f.name)} must not be negative")
        if self.closest + self.fullest > 1 or self.mse_at_realism > 1:
            raise ValueError("losses: closest + fullest, and mse_at_realism, must be at most 1")
        if self.perceptual_crop < 32:
            raise ValueError("losses: perceptual_crop must be at least 32 pixels")

    @property
    def perceptual(self) -> bool:
        return self.lpips > 0 or self.wasserstein > 0

    @property
    def dial(self) -> bool:
        """Whether realism means anything to this training."""
        return self.perceptual or self.gan > 0

    def gan_at(self, step: int) -> float:
        """The weight of the adversary at a step."""
        return self.gan * min(max((step - self.gan_start) / max(self.gan_ramp, 1), 0.0), 1.0)

    def mse_share(self, realism: Tensor) -> Tensor:
        """The part of the MSE's weight that is left at each sample's realism."""
        return 1 - (1 - self.mse_at_realism) * realism


class Objective(nn.Module):
    """The weighted losses but MSE and GAN, for pictures `[B, 3, H, W]` in [0, 1]."""

    def __init__(self, weights: LossWeights, bf16: bool = False) -> None:
        super().__init__()
        self.weights = weights
        self.vgg = LPIPS("vgg") if weights.perceptual else None
        if self.vgg is not None:
            self.vgg.trunk.bf16 = bf16

    def forward(
        self, x: Tensor, picture: Tensor, mask: Tensor, realism: Tensor, place: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum `[B]`, and the mean of each loss as it is, for the log.

        `mask` `[B, 1, H, W]` is the presence of text, `realism` `[B]`; `place` `[2]` in [0, 1) says
        where the perceptual networks look.
        """
        w = self.weights
        total = torch.zeros(len(x), device=x.device)
        parts: dict[str, Tensor] = {}
        for name, weight, loss in (
            ("tiling", w.tiling, tiling_artifact_loss),
            ("ms_ssim", w.ms_ssim, ms_ssim_loss),
        ):
            if weight:
                value = loss(x, picture)
                total = total + weight * value
                parts[name] = value.detach().mean()
        if w.text:
            value = text_fidelity_loss(x, picture, mask)
            total = total + w.text * value
            parts["text"] = value.detach().mean()
        chosen = realism.nonzero().flatten()
        if self.vgg is not None and len(chosen):
            perceptual = self._perceptual(x[chosen], picture[chosen], place, parts)
            total = total.index_add(0, chosen, realism[chosen] * perceptual)
        return total, parts

    def _perceptual(
        self, x: Tensor, picture: Tensor, place: Tensor, parts: dict[str, Tensor]
    ) -> Tensor:
        assert self.vgg is not None
        side = min(self.weights.perceptual_crop, *x.shape[2:])
        top, left = (
            int(at * (size - side + 1))
            for at, size in zip(place.tolist(), x.shape[2:], strict=True)
        )
        x = x[:, :, top : top + side, left : left + side]
        picture = picture[:, :, top : top + side, left : left + side]
        with torch.no_grad():
            reference = self.vgg.trunk(x)
        maps = self.vgg.trunk(picture)
        lpips = self.vgg.distance(self.vgg.normalised(reference), self.vgg.normalised(maps))
        distortion = wasserstein.distance(reference, maps)
        parts |= {"lpips": lpips.detach().mean(), "wasserstein": distortion.detach().mean()}
        return self.weights.lpips * lpips + self.weights.wasserstein * distortion


def draw_realism(batch: int, weights: LossWeights, generator: torch.Generator) -> Tensor:
    """Realism of each sample `[B]`: 0 and 1 for the shares that `weights` names, others between,
    in random order; all 0 where realism means nothing."""
    if not weights.dial:
        return torch.zeros(batch)
    realism = torch.rand(batch, generator=generator)
    at = torch.rand(batch, generator=generator).argsort() / batch
    realism[at < weights.closest] = 0.0
    realism[at >= 1 - weights.fullest] = 1.0
    return realism
