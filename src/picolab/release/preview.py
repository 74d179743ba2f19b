"""The preview of a decoder: the linear map of its latent that comes closest to what it decodes, at
half the sides; and the means of that at an eighth, which are a far smaller map.

Previews are looked at small, where what the networks add to a linear decoder hardly counts. Fitted
by least squares, so that there is nothing to train.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from picocodec.format.tiles import MARGIN
from picolab.data.crops import TileFile
from picolab.networks.blocks import from_patches
from picolab.networks.model import SQUARE, Codec

KERNEL = 3  # positions of y around that of a square of pixels
RIDGE = 1e-5  # of the mean energy of what is mapped
CROP = 256  # side of the crops it is fitted to, whose edges are a small part


class Preview(nn.Module):
    """y_hat `[B, M, h, w]` and level `[B]` to the picture `[B, 3, 8 h, 8 w]`, not clamped. All
    pixels of a colour have one bias."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.gain = codec.decoder.gain
        pixels = 3 * (SQUARE // 2) ** 2
        self.map = nn.Conv2d(codec.shape.y_channels, pixels, KERNEL, padding=KERNEL // 2)

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        squares = self.map(y_hat * self.gain(level)[:, :, None, None])
        return F.pixel_shuffle(squares, SQUARE // 2) + 0.5


class Eighth(nn.Module):
    """The means of a preview's pixels, 4 by 4 from the corner of a tile on, which lies behind its
    margin: `[B, 3, 2 h - 1, 2 w - 1]`.

    As what each position adds to the 8x8 pixels around it: a convolution would have ONNX Runtime
    in WebAssembly copy a window of 4x4 positions for each of them.
    """

    def __init__(self, preview: Preview) -> None:
        super().__init__()
        self.gain = preview.gain
        half = preview.map
        channels, around = half.in_channels, KERNEL // 2 + 1
        alone = torch.zeros(channels, channels, 2 * around + 1, 2 * around + 1)
        alone[:, :, around, around] = torch.eye(channels)
        with torch.no_grad():
            squares = F.conv2d(alone, half.weight, padding=KERNEL // 2)
            pixels = F.pixel_shuffle(squares, SQUARE // 2)[:, :, MARGIN // 2 :, MARGIN // 2 :]
            added = F.avg_pool2d(pixels, 4)[:, :, : 4 * around, : 4 * around]
            self.map = nn.ConvTranspose2d(
                channels, 3, 4 * around, stride=2, padding=2 * around, output_padding=1
            )
            self.map.weight.copy_(added)
            self.map.bias.copy_(half.bias[:: (SQUARE // 2) ** 2])  # type: ignore[union-attr,index]

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        return self.map(y_hat * self.gain(level)[:, :, None, None]) + 0.5


@torch.no_grad()
def fit_preview(
    codec: Codec, tiles: TileFile, skip_below: int, realism: float | None, crops: int = 120
) -> Preview:
    """Fit the preview of a codec to `crops` random crops, each decoded at a random level."""
    codec = codec.eval()
    preview = Preview(codec)
    channels = preview.map.in_channels * KERNEL**2 + 1
    moments = torch.zeros(channels, channels, dtype=torch.float64)
    products = torch.zeros(channels, preview.map.out_channels, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    dial = None if realism is None else torch.tensor([realism])
    for _ in range(crops):
        level = torch.rand(1, generator=generator)
        crop = tiles.draw(1, CROP, generator).centred(torch.float32)
        noise = torch.randn(1, codec.shape.noise_channels, *crop.shape[2:], generator=generator)
        coded = codec(crop, level, dial, noise, skip_below, hard=True)
        y_hat = coded.y_hat * preview.gain(level)[:, :, None, None]
        around = F.unfold(y_hat, KERNEL, padding=KERNEL // 2)[0]
        known = torch.cat([around, torch.ones_like(around[:1])]).double()
        half = F.avg_pool2d(from_patches(coded.centred), 2)
        moments += known @ known.t()
        products += known @ F.pixel_unshuffle(half, SQUARE // 2)[0].flatten(1).t().double()
    moments += RIDGE * moments.diagonal().mean() * torch.eye(channels, dtype=torch.float64)
    solution = torch.linalg.solve(moments, products).t().float()
    preview.map.weight.copy_(solution[:, :-1].reshape(preview.map.weight.shape))
    # Pictures have no grid: what distinguishes the biases of a colour is chance.
    colours = solution[:, -1].unflatten(0, (3, -1)).mean(1, keepdim=True)
    preview.map.bias.copy_(colours.expand(3, (SQUARE // 2) ** 2).flatten())  # type: ignore[union-attr]
    return preview
