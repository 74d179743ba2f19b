"""What the structure of image files says beyond what Pillow reads of them, container by container:
whether they are whole, how deep they are, what their colours mean, what else is in them."""

from __future__ import annotations

import struct

from picocodec.images.containers import directories, isobmff, jpeg, jxl, others, png, tiff
from picocodec.images.containers.survey import Data, Survey

__all__ = ["Data", "Survey", "survey"]


def survey(data: Data) -> Survey:
    """What is found in a file of any kind, by its first bytes; defaults for kinds that are not
    known here. Never raises: what makes no sense here is left to the kind's decoder."""
    try:
        found = _survey(data)
    except (IndexError, ValueError, OverflowError, struct.error):
        found = Survey()
    found.is_known = True
    return found


def _survey(data: Data) -> Survey:
    start = data[:16]
    if start.startswith(png.SIGNATURE):
        return png.survey(data)
    if start.startswith(b"\xff\xd8\xff"):
        return jpeg.survey(data)
    if start.startswith((jxl.CODESTREAM, jxl.CONTAINER)):
        return jxl.survey(data)
    if start.startswith(others.RAW_STARTS):
        return others.survey_raw(data)
    if start.startswith(others.HDR_STARTS):
        return others.survey_hdr(data)
    if start.startswith(directories.STARTS):
        return tiff.survey(data)
    if start[4:8] == b"ftyp":
        return isobmff.survey(data)
    if start[4:8] == b"jP  " or start.startswith(b"\xff\x4f\xff\x51"):
        return others.survey_jpeg_2000(data)
    if start.startswith((b"GIF87a", b"GIF89a")):
        return others.survey_gif(data)
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return others.survey_webp(data)
    for begin, function in (
        (b"BM", others.survey_bmp),
        (b"P5", others.survey_pnm),
        (b"P6", others.survey_pnm),
        (b"8BPS", others.survey_psd),
        (b"qoif", others.survey_qoi),
        (b"DDS ", others.survey_dds),
    ):
        if start.startswith(begin):
            return function(data)
    return Survey()
