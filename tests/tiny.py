"""A tiny codec of random weights, and pictures with something in them.

PyTorch is loaded for the codec only: processes that tests start import this for its pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from picolab.networks.shape import Shape

if TYPE_CHECKING:
    from picolab.networks.model import Codec

TINY = Shape(
    name="tiny",
    y_channels=32,
    z_channels=8,
    encoder_channels_8=16,
    encoder_blocks_8=1,
    encoder_channels_16=24,
    encoder_blocks_16=1,
    hyper_channels=16,
    hyper_blocks=1,
    scale_channels=16,
    context_channels=16,
    context_blocks=1,
    decoder_channels_16=24,
    decoder_blocks_16=1,
    decoder_channels_8=16,
    decoder_blocks_8=2,
    dial_blocks=1,
    overlap=8,
)


def tiny_codec(seed: int = 0, spread: float = 0.05) -> Codec:
    """Random weights everywhere, the zero-initialised layers and all scales included; `spread` is
    how far they lie from a linear codec."""
    import torch

    from picolab.networks.model import Codec

    torch.manual_seed(seed)
    codec = Codec(TINY)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(768, TINY.y_channels, generator=generator))[0].t()
    codec.start_from_components(basis.contiguous(), torch.full((TINY.y_channels,), 0.3))
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter += spread * torch.randn(parameter.shape, generator=generator)
        last = codec.scale_decoder.layers[-1].weight
        last += 0.4 * torch.randn(last.shape, generator=generator)
    return codec


def release_tiny(folder: Path) -> Path:
    """The same as `tiny.v1`, a model with the dial whose default is the closest pixels."""
    from picolab.release.release import Trained, release

    return release(Trained(tiny_codec(), {}), folder, "tiny", 1, 0.0)


def release_glance(root: Path) -> Path:
    """`glance.v1`, a model that is nearly linear, with previews fitted to photos."""
    from tiles import make_tiles

    from picolab.data.crops import TileFile
    from picolab.release.release import Trained, release

    tiles = make_tiles(root / "tiles")
    pixels = b"".join(photo(512, 512, seed).tobytes() for seed in range(6))
    (tiles / "tiles.u8").write_bytes(pixels)
    fitted_to = TileFile(tiles, held_out=False)
    return release(Trained(glance_codec(), {}), root, "glance", 1, 0.0, fitted_to)


def glance_codec() -> Codec:
    return tiny_codec(spread=0.03)


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours, edges and a little grain, `[H, W, 3]`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [np.sin(x / rng.uniform(5, 60) + y / rng.uniform(5, 60) + k) for k in range(3)]
    picture = 128 + 60 * np.stack(waves, 2) + 40 * ((x // 37 + y // 23) % 2)[:, :, None]
    return (picture + rng.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)


def drawing(height: int, width: int) -> NDArray[np.uint8]:
    """Text and boxes on white, `[H, W, 3]`."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for y in range(4, height - 12, 16):
        draw.text(
            (5, y), "The quick brown fox jumps over the lazy dog. " * 3, fill=(20, 20, y % 250)
        )
    draw.rectangle((width // 2, 9, width // 2 + 60, 40), fill="teal", outline="navy")
    return np.asarray(image)


def sign(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Large letters as a camera sees them, `[H, W, 3]`: softened, uneven light, a little grain."""
    rng = np.random.default_rng(seed)
    small = Image.new("L", (-(-width // 4), -(-height // 4)), 230)
    draw = ImageDraw.Draw(small)
    draw.fontmode = "1"
    for y in range(2, small.height, 14):
        draw.text((3, y), "QUICK BROWN FOX 0123456789 " * 4, fill=30)
    large = small.resize((4 * small.width, 4 * small.height), Image.Resampling.NEAREST)
    soft = large.filter(ImageFilter.GaussianBlur(0.8))
    letters = np.asarray(soft)[:height, :width, None].astype(np.float64)
    light = np.linspace(0.75, 1, width)[:, None]
    return (letters * light + rng.normal(0, 1.5, (height, width, 3))).clip(0, 255).astype(np.uint8)


def screen(height: int, width: int) -> NDArray[np.uint8]:
    """A drawing with a photo on it, of more than 50 by 200 pixels."""
    pixels = drawing(height, width).copy()
    pixels[20:-30, 30:200] = photo(height - 50, 170)
    return pixels
