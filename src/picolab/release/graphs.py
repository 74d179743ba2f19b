"""The networks of a codec as the graphs that are released: folded, with pixels at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from picolab.networks.layers import fold
from picolab.networks.model import Codec
from picolab.release.preview import Eighth, Preview

# The exporter adds the step to these, and what is stored is the sum: rounded before, it would be
# another one each time that a model is recovered and released again.
LATENT_GAINS = "gain.log_gain"


@dataclass(frozen=True)
class Graph:
    """A module with an example of its inputs, and the names of both ends."""

    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: Sequence[str]
    outputs: Sequence[str]


class Analysis(nn.Module):
    """picture `[1, 3, H, W]` in [0, 1], level to y, z."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.encoder = codec.encoder

    def forward(self, picture: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder(picture - 0.5, level)


class Context(nn.Module):
    """values, coded, z, level to symbols and y_hat: an encoder's y or a decoder's symbols."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.decoder, self.model = codec.context_decoder, codec.context_model

    def forward(
        self, values: Tensor, coded: Tensor, z: Tensor, level: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.model.run(self.decoder(z, level), values, coded, level)


class Synthesis(nn.Module):
    """y_hat, level, and with the dial realism and noise, to the picture, not clamped."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.decoder = codec.decoder

    def forward(
        self,
        y_hat: Tensor,
        level: Tensor,
        realism: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        return self.decoder(y_hat, level, realism, noise) + 0.5


def as_stored(weights: Tensor) -> Tensor:
    """Rounded to the eight significant bits that bfloat16 had in training, and to float16, which
    files hold: so they pack better."""
    return weights.bfloat16().half().float()


def released_graphs(codec: Codec, dial: bool, preview: Preview | None = None) -> dict[str, Graph]:
    """The graphs of `codec`, which is folded in place, its weights rounded as they are stored.
    Without `dial` the decoder knows the closest pixels alone."""
    codec = codec.eval().cpu()
    # By their files' names; the eighth is that of the preview before it is rounded.
    previews: dict[str, Preview | Eighth] = {}
    if preview:
        previews = {"preview": preview, "eighth": Eighth(preview)}
    parts: list[nn.Module] = [codec.encoder, codec.context_decoder, codec.context_model]
    for part in [*parts, codec.decoder, *(each.map for each in previews.values())]:
        fold(part)
        for name, parameter in part.named_parameters():
            if name != LATENT_GAINS:
                parameter.data = as_stored(parameter.data)
    shape, level = codec.shape, torch.tensor([0.5])
    y, z = torch.randn(1, shape.y_channels, 8, 12), torch.randn(1, shape.z_channels, 2, 3)
    decoded, names = (y, level), ["y_hat", "level"]
    with_dial = (*decoded, torch.tensor([0.5]), torch.randn(1, shape.noise_channels, 16, 24))
    graphs = {
        "analysis": Graph(
            Analysis(codec), (torch.rand(1, 3, 128, 192), level), ["picture", "level"], ["y", "z"]
        ),
        "context": Graph(
            Context(codec),
            (y, torch.ones_like(y), z, level),
            ["values", "coded", "z", "level"],
            ["symbols", "y_hat"],
        ),
        "synthesis": Graph(
            Synthesis(codec),
            with_dial if dial else decoded,
            [*names, "realism", "noise"] if dial else names,
            ["picture"],
        ),
    }
    for name, each in previews.items():
        graphs[name] = Graph(each, decoded, names, ["picture"])
    return graphs
