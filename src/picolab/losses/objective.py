"""What a reconstruction costs beyond its squared error: the sum that the stage `looks` minimises.

Weights are in units of the *balanced* loss (`training/step.py`), in which every level counts alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picolab.losses import wasserstein
from picolab.losses.adversary import Adversary
from picolab.losses.dists import CHANNELS, DISTS, l2_pool
from picolab.losses.features import VGG16
from picolab.losses.fidelity import (
    BLOCK,
    borders_loss,
    repeats_loss,
    text_fidelity_loss,
    tiling_artifact_loss,
)
from picolab.losses.lpips import LPIPS
from picolab.losses.moments import Moments, moments
from picolab.losses.wasserstein import WINDOW

# What the adversary sees of each trunk: the channels of its stages, and every how many-th place.
ALEX_CHANNELS = (64, 192, 384, 256, 256)
VGG_CHANNELS = CHANNELS[1:]
VGG_STRIDES = (2, 2, 1, 1, 1)
WIDER = 4  # textures are compared in windows of 16 pixels, and in ones so many times as wide


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss; 0 leaves it out. Realism multiplies those of perceptual networks."""

    lpips_alex: float = 0.0  # LPIPS on AlexNet, a twentieth of the cost of VGG16
    dists: float = 0.0
    wasserstein: float = 0.0  # Wasserstein distortion on VGG16
    alex_wasserstein: float = 0.0  # Wasserstein distortion on AlexNet
    alex_zoom: float = 1.0  # AlexNet sees pictures reduced by a random factor down to this
    adversary: float = 0.0  # of what sees the features of the networks above
    xyb_share: float = 0.0  # the part of the squared error that is measured in XYB instead
    tiling: float = 0.0
    repeats: float = 0.0
    borders: float = 0.0
    text: float = 0.0
    mse_at_realism: float = 0.5  # the part of the MSE's weight that is left at realism 1
    clean: float = 0.0  # the part of it that clean ground has besides; half at realism 0
    # Shares of samples that are decoded for the closest pixels, and for the most texture; the
    # rest is spread evenly between.
    closest: float = 0.25
    fullest: float = 0.5
    vgg_samples: int = 2  # how many of a batch VGG16 sees, which takes the most time of all

    def __post_init__(self) -> None:
        for f in fields(self):
            if getattr(self, f.name) < 0:
                raise ValueError(f"losses: {f.name} = {getattr(self, f.name)} must not be negative")
        if self.closest + self.fullest > 1 or self.mse_at_realism > 1:
            raise ValueError("losses: closest + fullest, and mse_at_realism, must be at most 1")
        if not 0 < self.alex_zoom <= 1 or self.xyb_share > 1:
            raise ValueError("losses: alex_zoom must be in (0, 1], and xyb_share at most 1")
        if self.vgg_samples < 1:
            raise ValueError("losses: vgg_samples must be at least 1")
        if self.adversary and not self.perceptual:
            raise ValueError("losses: an adversary needs a loss of AlexNet or VGG16 beside it")

    @property
    def perceptual(self) -> bool:
        """Whether a perceptual network judges, and so realism means anything to this training."""
        each = self.lpips_alex, self.alex_wasserstein, self.dists, self.wasserstein
        return max(each) > 0

    def mse_share(self, realism: Tensor) -> Tensor:
        """The part of the MSE's weight that is left at each sample's realism."""
        return 1 - (1 - self.mse_at_realism) * realism


@dataclass(frozen=True)
class Judgement:
    """`cost` `[B]` is the weighted sum that the codec minimises, and `telling` what the adversary
    does; `parts` has the mean of each loss as it is, without gradient, for the log."""

    cost: Tensor
    telling: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """The weighted losses but the squared error, for pictures `[B, 3, H, W]` in [0, 1]."""

    def __init__(self, weights: LossWeights, bf16: bool = False) -> None:
        super().__init__()
        self.weights = weights
        self.dists = DISTS() if weights.dists else None
        # Pooled as DISTS does, which makes it another network than maxima do: of the gradient of
        # DISTS on samples of 256 that one had a fifth in common (docs/experiments/0018).
        self.vgg = self.dists.trunk if self.dists else None
        if self.vgg is None and weights.wasserstein:
            self.vgg = VGG16(pooling=l2_pool)
        if self.vgg is not None:
            self.vgg.bf16 = bf16
        self.alex = LPIPS("alex") if weights.lpips_alex or weights.alex_wasserstein else None
        # Replaced by its compiled form.
        self.texture_losses: Callable[..., dict[str, Tensor]] = texture_losses
        if self.alex is not None:
            self.alex.trunk.bf16 = bf16
        self.adversaries = nn.ModuleDict()
        if weights.adversary:
            if self.alex is not None:
                self.adversaries["alex"] = Adversary(ALEX_CHANNELS, (1,) * 5, bf16)
            if self.vgg is not None:
                self.adversaries["vgg"] = Adversary(VGG_CHANNELS, VGG_STRIDES, bf16)

    def compile_vgg(self) -> None:
        """What touches VGG16's maps, which takes longer than its convolutions where each operation
        passes over them by itself."""
        if self.vgg is not None:
            self.vgg.compile(dynamic=False)
            self.texture_losses = torch.compile(texture_losses, dynamic=False)

    def forward(
        self,
        x: Tensor,
        picture: Tensor,
        mask: Tensor,
        share: Tensor,
        chosen: Tensor,
        place: Tensor,
    ) -> Judgement:
        """What `picture` costs beside `x`.

        `mask` `[B, 1, H, W]` is the presence of text; `share` `[B]` multiplies the weights of the
        perceptual networks, `chosen` are the numbers of the samples where it is not 0, and `place`
        `[3]` in [0, 1), on the CPU, says where they look, and how closely.
        """
        w = self.weights
        total, telling = torch.zeros(len(x), device=x.device), torch.zeros((), device=x.device)
        parts: dict[str, Tensor] = {}
        for name, weight, loss in (
            ("tiling", w.tiling, tiling_artifact_loss),
            ("repeats", w.repeats, repeats_loss),
            ("borders", w.borders, borders_loss),
        ):
            if weight:
                value = loss(x, picture)
                total = total + weight * value
                parts[name] = value.detach().mean()
        if w.text:
            value = text_fidelity_loss(x, picture, mask)
            total = total + w.text * value
            parts["text"] = value.detach().mean()
        # AlexNet's first stride is 4: were it always at the same place in the codec's blocks of
        # 16 pixels, the codec would learn to hide errors from it in a grid.
        side = min(x.shape[2:]) - BLOCK
        for judge, seen in ((self._by_alex, chosen), (self._by_vgg, chosen[: w.vgg_samples])):
            if w.perceptual and len(seen):
                one, other = (window(p[seen], side, place) for p in (x, picture))
                judgement = judge(one, other, place)
                # A sample that is seen stands for those that are not.
                felt = share[seen] * (len(chosen) / len(seen))
                total = total.index_add(0, seen, felt * judgement.cost)
                telling = telling + judgement.telling
                parts |= judgement.parts
        return Judgement(total, telling, parts)

    def _by_alex(self, x: Tensor, picture: Tensor, place: Tensor) -> Judgement:
        """At a random size and place: a lattice that pleases at one does not at others."""
        if self.alex is None:
            return Judgement(torch.zeros(len(x), device=x.device), x.new_zeros(()), {})
        least = self.weights.alex_zoom
        if least < 1:
            factor = least + (1 - least) * float(place[2])
            # Few sizes: libraries of convolutions keep memory for each that they ever saw.
            side = max(round(factor * x.shape[3] / BLOCK), 1) * BLOCK
            x, picture = reduced(x, side), reduced(picture, side)
        with torch.no_grad():
            reference = self.alex.trunk(x)
        maps = self.alex.trunk(picture)
        lpips = self.alex.distance(*(self.alex.normalised(each) for each in (reference, maps)))
        losses = {"lpips_alex": lpips}
        if self.weights.alex_wasserstein:
            stages = wasserstein.moments_of_stages(reference, maps, WINDOW, wasserstein.OF_ALEX)
            losses["alex_wasserstein"] = _at_both_scales(stages)
        return self._judged("alex", reference, maps, losses)

    def _by_vgg(self, x: Tensor, picture: Tensor, _place: Tensor) -> Judgement:
        if self.vgg is None:
            return Judgement(torch.zeros(len(x), device=x.device), x.new_zeros(()), {})
        with torch.no_grad():
            reference = self.vgg(x)
        maps = self.vgg(picture)
        losses = self.texture_losses(self.weights, self.dists, x, picture, reference, maps)
        return self._judged("vgg", reference, maps, losses)

    def _judged(
        self, trunk: str, reference: list[Tensor], maps: list[Tensor], losses: dict[str, Tensor]
    ) -> Judgement:
        """The weighted sum of what was measured on maps of this trunk, and of its adversary."""
        telling = torch.zeros((), device=maps[0].device)
        parts = {name: value.detach().mean() for name, value in losses.items()}
        if trunk in self.adversaries:
            verdict = self.adversaries[trunk](reference, maps)
            losses = losses | {"adversary": verdict.fooling}
            telling = verdict.telling.mean()
            parts[f"told_{trunk}"] = verdict.right.mean()
        cost = torch.stack([getattr(self.weights, name) * v for name, v in losses.items()]).sum(0)
        return Judgement(cost, telling, parts)


def texture_losses(
    weights: LossWeights,
    dists: DISTS | None,
    x: Tensor,
    picture: Tensor,
    reference: list[Tensor],
    maps: list[Tensor],
) -> dict[str, Tensor]:
    """The losses `[B]` of pictures and of VGG16's maps of them, by name."""
    stages = wasserstein.moments_of_stages(reference, maps, WINDOW)
    losses: dict[str, Tensor] = {}
    if weights.wasserstein:
        losses["wasserstein"] = _at_both_scales(stages)
    if dists is not None:
        losses["dists"] = dists.of_moments([moments(x, picture, WINDOW), *stages])
    return losses


def _at_both_scales(stages: list[Moments]) -> Tensor:
    """Wasserstein distortion `[B]`, the mean of these windows' and of larger ones'."""
    larger = [stage.over(WIDER) for stage in stages]
    each = [wasserstein.of_moments(windows) for windows in (stages, larger)]
    return torch.stack(each).mean(0)


def window(x: Tensor, side: int, place: Tensor) -> Tensor:
    """A square of x `[B, C, H, W]`, of `side` or all there is, at the first two numbers of
    `place`, in [0, 1), of all its places."""
    side = min(side, *x.shape[2:])
    at = zip(place[:2].tolist(), x.shape[2:], strict=True)
    top, left = (int(share * (size - side + 1)) for share, size in at)
    return x[:, :, top : top + side, left : left + side]


def reduced(x: Tensor, side: int) -> Tensor:
    """Squares `[B, C, S, S]` at another side, without aliasing."""
    return F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)


def draw_realism(batch: int, weights: LossWeights, generator: torch.Generator) -> Tensor:
    """Realism of each sample `[B]`: 0 and 1 for the shares that `weights` names, others between,
    in random order; all 0 where realism means nothing."""
    if not weights.perceptual:
        return torch.zeros(batch)
    realism = torch.rand(batch, generator=generator)
    at = torch.rand(batch, generator=generator).argsort() / batch
    realism[at < weights.closest] = 0.0
    realism[at >= 1 - weights.fullest] = 1.0
    return realism
