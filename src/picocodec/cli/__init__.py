"""The commands picoenc, picodec, picoinfo, picocorpus and pico-thumbnailer: 0 is success, 1
failure, 2 wrong usage, 3 a picture from a damaged file (picodec --allow-damaged).

Messages go to standard error, so that standard output can carry a picture.
"""

from __future__ import annotations

from picocodec.cli.corpus import picocorpus
from picocodec.cli.decode import picodec
from picocodec.cli.encode import picoenc
from picocodec.cli.info import picoinfo
from picocodec.cli.thumbnail import pico_thumbnailer

__all__ = ["pico_thumbnailer", "picocorpus", "picodec", "picoenc", "picoinfo"]
