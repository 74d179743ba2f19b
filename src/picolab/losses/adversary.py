"""An adversary: what learns to tell decoded pictures from their originals, and what fools it costs.

It looks at the feature maps of frozen networks that other losses have computed already, as in
projected GANs (Sauer et al., arXiv 2111.01007), and it compares: at each place the original must
look more genuine than what was decoded there (Jolicoeur-Martineau, arXiv 1807.00734). What a place
shows then says nothing, and only what decoding did to it does. A penalty keeps its verdicts smooth
around both (R1 and R2, Mescheder et al., arXiv 1801.04406), by differences instead of gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

WIDTH = 32  # channels of a head
NUDGE = 0.1  # how far the penalty looks around features, whose mean square is 1
SMOOTH = 1.0  # weight of the penalty


@dataclass(frozen=True)
class Verdict:
    """Each `[B]`. `fooling` is what the codec minimises, `telling` what the heads do, and `right`,
    without gradient, the share of places that the heads tell apart."""

    fooling: Tensor
    telling: Tensor
    right: Tensor


class Adversary(nn.Module):
    """One head for each feature map, of so many `channels`, that looks at every `strides`-th place.

    Parameters are of the heads alone, and learn nothing from `Verdict.fooling`; feature maps learn
    nothing from `Verdict.telling`.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], bf16: bool = False) -> None:
        super().__init__()
        self.bf16 = bf16
        self.heads = nn.ModuleList(
            _head(width, stride) for width, stride in zip(channels, strides, strict=True)
        )

    def forward(self, original: Sequence[Tensor], decoded: Sequence[Tensor]) -> Verdict:
        """The mean over all heads, for maps `[B, C, H, W]`, of which `decoded` have gradients."""
        verdicts = [
            self._of_map(head, a, b)
            for head, a, b in zip(self.heads, original, decoded, strict=True)
        ]
        return Verdict(
            torch.stack([v.fooling for v in verdicts]).mean(0),
            torch.stack([v.telling for v in verdicts]).mean(0),
            torch.stack([v.right for v in verdicts]).mean(0),
        )

    def _of_map(self, head: nn.Module, original: Tensor, decoded: Tensor) -> Verdict:
        unit = original.float().square().mean().sqrt().clamp_min(1e-6).to(original.dtype)
        genuine, made = original / unit, decoded / unit
        at_rest = {name: p.detach() for name, p in head.named_parameters()}
        with torch.autocast(original.device.type, torch.bfloat16, enabled=self.bf16):
            both = torch.cat([genuine, made.detach()])
            nudged = both + NUDGE * torch.randn_like(both[:1])  # alike for all, which is cheaper
            score, beside = (s.float() for s in head(torch.cat([both, nudged])).chunk(2))
            felt = functional_call(head, at_rest, (made,)).float()
        of_genuine, of_made = score.chunk(2)
        unsmooth = ((beside - score) / NUDGE).square().chunk(2)
        margin = of_genuine - of_made
        telling = F.softplus(-margin) + SMOOTH * (unsmooth[0] + unsmooth[1])
        fooling = F.softplus(of_genuine.detach() - felt)
        return Verdict(*(x.mean((1, 2, 3)) for x in (fooling, telling, (margin > 0).float())))


def _head(channels: int, stride: int) -> nn.Module:
    last = nn.Conv2d(WIDTH, 1, 1)
    nn.init.zeros_(last.weight)  # at first it knows nothing, and the codec feels nothing
    return nn.Sequential(
        nn.Conv2d(channels, WIDTH, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(WIDTH, WIDTH, 3, stride, padding=1),
        nn.LeakyReLU(0.2),
        last,
    )
