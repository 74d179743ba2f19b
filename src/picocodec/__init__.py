"""picocodec: photos to .pico files and back.

    data = picocodec.encode("photo.jpg", quality=50)  # or a Pillow image, a uint8 array ...
    pixels = picocodec.decode(data)                   # uint8 array, [H, W, 3] or as it came
    info = picocodec.read_info("photo.pico")          # a path, bytes, or an open binary file

Importing this package also teaches Pillow to open and save `.pico` files.
"""

from __future__ import annotations

from picocodec import errors
from picocodec.api import Info, decode, encode, models, read_info
from picocodec.errors import DamagedPicture, PicoError
from picocodec.pillow_plugin import register

__version__ = "0.1.0"
__all__ = [
    "DamagedPicture",
    "Info",
    "PicoError",
    "__version__",
    "decode",
    "encode",
    "errors",
    "models",
    "read_info",
]


def __dir__() -> list[str]:
    """What is meant to be used; modules below are not."""
    return list(__all__)


register()
