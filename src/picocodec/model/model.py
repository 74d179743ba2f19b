"""Released models: found by name, checked by hash, run by ONNX Runtime.

A model is a folder `<name>.v<N>` with

    model.toml             names the other files and their SHA-256
    analysis.onnx          picture, level -> y, z
    context.onnx           values, coded, z, level -> symbols, y_hat; of encoder and decoder
    synthesis.onnx         y_hat, level, and some: realism, noise -> picture
    closest.onnx           y_hat, level -> picture at realism 0; optional
    scale_decoder.onnx     z, level bin -> scale indices, in integer operations only
    tables.npz             entropy tables, scale indices of z, integer layers
    preview.onnx           y_hat, level -> picture at half its sides; optional
    eighth.onnx            the same at an eighth, without its margin; optional

Only the scale decoder and the tables decide what bytes mean, and both hold nothing but integers.
"""

from __future__ import annotations

import hashlib
import io
from functools import cached_property
from pathlib import Path
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from picocodec.format.container import LEVEL_STEPS, ModelId
from picocodec.format.entropy import SymbolCoder
from picocodec.format.tables import SCALE_COUNT, check_integers
from picocodec.format.tiles import Tile
from picocodec.model import scale_decoder
from picocodec.model.files import DESCRIPTION, ModelFiles, refused
from picocodec.model.noise import noise
from picocodec.model.scale_decoder import IntegerLayer, level_bin
from picocodec.model.sessions import Sessions

Float = NDArray[np.float32]
Ints = NDArray[np.int32]

SLOPES = "lambda_min", "lambda_max"
FILES = ("analysis.onnx", "context.onnx", "synthesis.onnx", "scale_decoder.onnx", "tables.npz")
CLOSEST_FILE = "closest.onnx"
PREVIEWS = {2: "preview", 8: "eighth"}  # networks, by what they divide the sides of pictures by
PREVIEW_FILES = tuple(f"{name}.onnx" for name in PREVIEWS.values())


def fingerprint(hashes: dict[str, str], skip_below: int) -> bytes:
    """What identifies a model: SHA-256 over the SHA-256 of each of its files but the previews, in
    fixed order, and over `skip_below`."""
    names = [*FILES, CLOSEST_FILE] if CLOSEST_FILE in hashes else FILES
    parts = *(hashes[name] for name in names), str(skip_below)
    return hashlib.sha256("".join(parts).encode()).digest()


class Model:
    """One model's networks and tables. Arrays are `[1, C, H, W]` at the networks' borders.

    Nothing is loaded before it is used: a decoder never reads the encoder's networks. Several
    threads may use one. Raises `UnknownModel`, here or when a file is used that is damaged.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.folder, self.threads = folder, threads
        self._files = files = ModelFiles(folder, FILES, (CLOSEST_FILE, *PREVIEW_FILES))
        with refused(folder / DESCRIPTION):
            self.skip_below = files.number("skip_below", int, 1, SCALE_COUNT)
            # The realism to decode with where neither the user nor the file says one.
            files.description.setdefault("realism", 0.0)
            self.realism = files.number("realism", float, 0, 1)
            # The slopes of levels 0 and 1.
            self._slopes = [files.number(name, float, 1e-3, 1e9) for name in SLOPES]
            version = files.number("version", int, 0, 255)
            check = fingerprint(files.hashes, self.skip_below)[:4]
            self.identity = ModelId(files.description["name"], version, check)
            if str(self.identity) != folder.name:
                raise ValueError(f"it describes {self.identity}, not {folder.name}")
        self._sessions = Sessions(files, threads)
        self._lock = RLock()

    def slope(self, level: int) -> float:
        """The lambda of `bits a pixel + lambda * MSE` that a level was trained for."""
        low, high = self._slopes
        return low * (high / low) ** (level / LEVEL_STEPS)

    def prepare(self, *names: str) -> None:
        """Begin to load networks, each in a thread of its own, beside what comes before them."""
        self._sessions.prepare(*names)

    @cached_property
    def _tables(self) -> dict[str, NDArray[np.generic]]:
        with refused(self.folder / "tables.npz"):
            with np.load(io.BytesIO(self._files.read("tables.npz")), allow_pickle=False) as archive:
                arrays = dict(archive)
            for name, array in arrays.items():
                check_integers(name, array)
            z_index = arrays["z_index"]
            if z_index.ndim != 2 or len(z_index) != scale_decoder.LEVEL_BINS:
                raise ValueError(f"z_index has the shape {z_index.shape}")
            if z_index.min() < 0 or z_index.max() >= SCALE_COUNT:
                raise ValueError(f"z_index holds indices beyond 0..{SCALE_COUNT - 1}")
            return arrays

    @property
    def coder(self) -> SymbolCoder:
        """Symbols to bytes and back; raises `UnknownModel` for damaged tables."""
        with self._lock:
            return self._coder

    @cached_property
    def _coder(self) -> SymbolCoder:
        with refused(self.folder / "tables.npz"):
            lengths = self._tables["table_lengths"].astype(int)
            tables = np.split(self._tables["tables"].astype(np.uint32), np.cumsum(lengths)[:-1])
            return SymbolCoder(tables, self.skip_below)

    @cached_property
    def integer_layers(self) -> list[IntegerLayer]:
        """The scale decoder's layers, for its reference implementation."""
        t = self._tables
        return [
            IntegerLayer(
                weight=t[f"layer{i}_weight"].astype(np.int8),
                bias=t[f"layer{i}_bias"].astype(np.int32),
                shift=int(shift),
                top=int(top),
                upsample=bool(upsample),
            )
            for i, (shift, top, upsample) in enumerate(t["layer_settings"].astype(int).tolist())
        ]

    def z_indices(self, level: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Scale indices of z `[Nz, h, w]`: each channel's own, by the bin of the level."""
        row = self._tables["z_index"][level_bin(level)].astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(row[:, None, None], (len(row), *shape)))

    def y_indices(self, z: Ints, level: int) -> NDArray[np.uint8]:
        """Scale indices of y `[M, 4 h, 4 w]` from z symbols `[Nz, h, w]`."""
        check_integers("z", z)
        clipped = z.clip(-scale_decoder.Z_LIMIT, scale_decoder.Z_LIMIT)
        shifted = (clipped + 128).astype(np.uint8)[None]
        bin_index = np.array(level_bin(level), np.int64)
        return self._sessions.run("scale_decoder", {"z": shifted, "bin": bin_index})[0][0]

    def y_indices_of_tile(self, tile: Tile, z: Ints, level: int) -> NDArray[np.uint8]:
        """The same, but zero (hence skipped) beyond the tile and its margin."""
        indices = self.y_indices(z, level)
        rows, columns = tile.y_used
        indices[:, rows:] = 0
        indices[:, :, columns:] = 0
        return indices

    def analyse(self, picture: Float, level: int) -> tuple[Float, Float]:
        """y `[1, M, H / 16, W / 16]` and z `[1, Nz, H / 64, W / 64]` of a canvas `[1, 3, H, W]` in
        [0, 1], not rounded."""
        y, z = self._sessions.run("analysis", {"picture": picture, "level": _level(level)})
        return y, z

    def quantise(
        self, y: Float, z: Ints, coded: NDArray[np.bool_], level: int
    ) -> tuple[Ints, Float]:
        """The symbols of y `[M, h, w]`, zero where `coded` is False, and `dequantise` of them."""
        mask = coded[None].astype(np.float32)
        symbols, y_hat = self._context(y * mask, mask, z, level)
        return np.rint(symbols[0]).astype(np.int32), y_hat

    def dequantise(self, symbols: Ints, z: Ints, level: int) -> Float:
        """y_hat `[1, M, h, w]`, what is left of y, of its symbols `[M, h, w]`."""
        values = symbols[None].astype(np.float32)
        return self._context(values, np.zeros_like(values), z, level)[1]

    def _context(self, values: Float, coded: Float, z: Ints, level: int) -> list[Float]:
        """Symbols and y_hat, `values` being y where `coded` is 1 and symbols where it is 0."""
        feed = {"values": values, "coded": coded, "level": _level(level)}
        return self._sessions.run("context", {**feed, "z": z[None].astype(np.float32)})

    def synthesise(
        self,
        y_hat: Float,
        level: int,
        realism: float = 0.0,
        corner: tuple[int, int] = (0, 0),
    ) -> Float:
        """The canvas `[1, 3, H, W]`, not clamped, of y_hat `[1, M, H / 16, W / 16]`. `realism` is
        ignored by models that were not taught it. Where noise is an input of theirs `corner` says
        where in the picture the canvas begins, in rows and columns of noise."""
        feed = {"y_hat": y_hat, "level": _level(level)}
        if not self._has_closest or realism == 1:
            return self._convincing(feed, realism, corner)
        closest = self._sessions.run("closest", feed)[0]
        if realism == 0:
            return closest
        convincing = self._convincing(feed, 1.0, corner)
        return closest + np.float32(realism) * (convincing - closest)

    def _convincing(self, feed: dict[str, Float], realism: float, corner: tuple[int, int]) -> Float:
        feed = dict(feed)
        if self._has_dial:
            feed["realism"] = np.array([realism], np.float32)
        if self.noise_channels:
            rows, columns = (2 * side for side in feed["y_hat"].shape[2:])
            feed["noise"] = noise(self.noise_channels, (rows, columns), corner)
        return self._sessions.run("synthesis", feed)[0]

    def preview(self, y_hat: Float, level: int, divisor: int) -> Float:
        """About the means of `divisor` by `divisor` pixels that `synthesise` gives, in a fraction
        of its time; the margin before the tile's own is rounded down."""
        return self._sessions.run(PREVIEWS[divisor], {"y_hat": y_hat, "level": _level(level)})[0]

    @property
    def previews(self) -> list[int]:
        """What `preview` can divide sides by: not all models have networks for it."""
        return [d for d, name in PREVIEWS.items() if f"{name}.onnx" in self._files.hashes]

    @property
    def has_dial(self) -> bool:
        """Whether what is decoded depends on `realism`."""
        return self._has_closest or self._has_dial

    def decoder_at(self, realism: float) -> str:
        """The network that `synthesise` needs at a realism, or needs first."""
        return "closest" if self._has_closest and realism < 1 else "synthesis"

    @property
    def _has_closest(self) -> bool:
        """Whether a network of its own gives the closest pixels, realism 0."""
        return CLOSEST_FILE in self._files.hashes

    @cached_property
    def _has_dial(self) -> bool:
        """Whether `synthesis.onnx` listens to `realism`."""
        return "realism" in self._given

    @cached_property
    def noise_channels(self) -> int:
        """How many channels of noise the decoder is given, 0 where it is given none."""
        if "noise" not in self._given:
            return 0
        with refused(self.folder / "synthesis.onnx"):
            return int(self._given["noise"][1])

    @cached_property
    def _given(self) -> dict[str, list[int | str]]:
        """The decoder's inputs and their shapes, whose sides that are free are names."""
        return {given.name: given.shape for given in self._sessions.of("synthesis").get_inputs()}


def _level(level: int) -> Float:
    return np.array([level / LEVEL_STEPS], np.float32)
