"""ICC profiles (ICC.1:2010) that say what numbers in a file say: gamma and primaries."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from picocodec.images.containers.survey import Calibration

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_SRGB = Calibration(None, (0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_SRGB_CURVE = (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))  # IEC 61966-2-1

Matrix = NDArray[np.float64]


def profile_of(calibration: Calibration, is_gray: bool) -> bytes | None:
    """A display profile with these primaries, adapted to D50 by Bradford's matrix, and this curve;
    None for primaries that make no colours."""
    white = _xyz(calibration.white or _SRGB.white or (1, 1))
    adaptation = _adaptation(white)
    tags = {
        b"desc": _text("as the file gives it by numbers"),
        b"cprt": _text("public domain"),
        b"wtpt": _place(_D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(adaptation.ravel()),
    }
    curve = _curve(calibration.gamma)
    if is_gray:
        tags[b"kTRC"] = curve
    else:
        points = [
            given or ours
            for given, ours in (
                (calibration.red, _SRGB.red),
                (calibration.green, _SRGB.green),
                (calibration.blue, _SRGB.blue),
            )
        ]
        columns = np.stack([_xyz(point or (1, 1)) for point in points], 1)
        if abs(np.linalg.det(columns)) < 1e-6:
            return None
        colours = adaptation @ (columns * np.linalg.solve(columns, white))
        for i, name in enumerate((b"r", b"g", b"b")):
            tags[name + b"XYZ"] = _place(colours[:, i])
            tags[name + b"TRC"] = curve
    return _profile(tags, b"GRAY" if is_gray else b"RGB ")


def _xyz(point: tuple[float, float]) -> Matrix:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adaptation(white: Matrix) -> Matrix:
    """The matrix that makes D50 of a white point."""
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: Matrix = np.linalg.inv(_BRADFORD) @ (scale[:, None] * _BRADFORD)
    return adapted


def _curve(gamma: float | None) -> bytes:
    kind, numbers = _SRGB_CURVE if gamma is None else (0, (1 / gamma,))
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(np.array(numbers))


def _fixed(values: Matrix) -> bytes:
    return np.rint(values * 65536).clip(-(1 << 31), (1 << 31) - 1).astype(">i4").tobytes()


def _place(xyz: Matrix) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(xyz)


def _text(words: str) -> bytes:
    text = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text


def _profile(tags: dict[bytes, bytes], space: bytes) -> bytes:
    places: dict[bytes, int] = {}  # equal tags lie there once
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        if data not in places:
            places[data] = at + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, places[data], len(data))
    head = struct.pack(">I4xI4s4s4s", at + len(body), 0x04200000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(_D50)
    return head.ljust(128, b"\0") + table + body
