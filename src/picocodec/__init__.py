"""picocodec: photos to .pico files and back.

    data = picocodec.encode(image, quality=50)   # a Pillow image or a uint8 array
    pixels = picocodec.decode(data)              # uint8 array, [H, W, 3] or as it came
    info = picocodec.read_info(data)

Importing this package also teaches Pillow to open and save `.pico` files.
"""

from __future__ import annotations

from picocodec import errors
from picocodec.api import decode, encode, read_info
from picocodec.errors import DamagedPicture, PicoError
from picocodec.pillow_plugin import register

__version__ = "0.1.0"
__all__ = ["DamagedPicture", "PicoError", "decode", "encode", "errors", "read_info"]

register()
