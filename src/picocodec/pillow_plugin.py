"""Pillow opens and saves .pico files once `register` was called; importing picocodec calls it.

    im = Image.open("photo.pico")          # reads the header; pixels follow when they are needed
    im.decode_options(realism=0, region=(0, 0, 640, 480), scale=1/2)
    im.save("copy.pico", quality=60)       # also: lossless, target_size, target_bpp, exif,
                                           # icc_profile, xmp, model, threads, progress

As in Pillow's own plug-ins, errors in files are `OSError`; the `PicoError` is their `__cause__`.
Damaged files are decoded, with a `DamagedPicture` warning, where `ImageFile.LOAD_TRUNCATED_IMAGES`
is set.
"""

from __future__ import annotations

import warnings
from typing import IO, Any, Self, TypeAlias

from PIL import Image, ImageFile

from picocodec.api import checked_realism, encode
from picocodec.encoding.effort import DEFAULT_EFFORT
from picocodec.encoding.rate import DEFAULT_QUALITY
from picocodec.errors import DamagedPicture, NotAPicoFile, PicoError, tolerate
from picocodec.format import container
from picocodec.images import exif as exif_bytes
from picocodec.images.containers import xmp
from picocodec.images.metadata import read_alpha, read_metadata
from picocodec.images.picture import EXIF_PREFIX, pillow_info, to_pillow

Region: TypeAlias = tuple[int, int, int, int]  # x, y, width, height

# Options of decoding all files, which `Image.open` has no parameters for.
DECODE_THREADS = 0  # 0: all cores

# The limit in force is Pillow's own, `Image.MAX_IMAGE_PIXELS`: `Image.open` applies it.
_SCALES = (1, 2, 4, 8)
_MAX_PIXELS = container.MAX_SIDE**2


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.SIGNATURE)


class PicoImageFile(ImageFile.ImageFile):
    """A .pico file as a Pillow image of mode L, LA, RGB or RGBA."""

    format = "PICO"
    format_description = "PICO learned image"
    _scale = 1  # what the sides are divided by, since a draft will do
    _region: Region | None = None
    _realism: float | None = None
    _threads: int | None = None

    def _open(self) -> None:
        assert self.fp is not None
        self._data = self.fp.read()
        try:
            header = container.read_header(self._data, _MAX_PIXELS)
            damage = _damage()
            with tolerate(damage):
                container.check_size(header, len(self._data))
            metadata = read_metadata(header, self._data, damage)
        except NotAPicoFile as error:
            raise SyntaxError(str(error)) from error
        except PicoError as error:
            raise OSError(str(error)) from error
        self._size = header.width, header.height
        self._mode = ("L" if header.gray else "RGB") + ("A" if metadata.has_alpha else "")
        self.info.update(pillow_info(metadata.icc, metadata.exif, metadata.xmp))
        # Says that pixels are missing; `load` never hands it to one of Pillow's decoders.
        self.tile = [ImageFile._Tile("pico", (0, 0, *self.size), 0, None)]

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Decode to no more than is needed for `size`: sides divided by 2, 4 or 8. Pillow's
        `thumbnail` calls this; modes are not changed."""
        if len(self.tile) != 1 or size is None or self._scale != 1 or self._region is not None:
            return None
        width, height = self.size
        fitting = min(width // max(size[0], 1), height // max(size[1], 1))
        self._scale = max(n for n in _SCALES if n <= max(fitting, 1))
        self._size = -(-width // self._scale), -(-height // self._scale)
        if self._scale > 1:
            self._take_part_of_metadata()
        return self.mode, (0, 0, width / self._scale, height / self._scale)

    def decode_options(
        self,
        *,
        realism: float | None = None,
        region: Region | None = None,
        scale: float = 1,
        threads: int | None = None,
    ) -> Self:
        """How to decode, said before pixels are loaded: as the parameters of `picocodec.decode`.
        The image takes the size of what it will hold. Returns the image itself.

        Raises `ValueError` for a region beyond the picture, values out of range, or where pixels
        are loaded already or a draft was asked for.
        """
        if len(self.tile) != 1 or self._scale != 1 or self._region is not None:
            raise ValueError("decode_options comes once, before pixels are loaded or a draft made")
        if realism is not None:
            realism = checked_realism(realism)
        divisor = next((n for n in _SCALES if scale == 1 / n), None)
        if divisor is None:
            raise ValueError(f"scale must be 1, 1/2, 1/4 or 1/8, not {scale!r}")
        width, height = self.size
        if region is not None:
            left, top, *sides = region
            inside = 0 <= left < left + sides[0] <= width and 0 <= top < top + sides[1] <= height
            if not inside:
                raise ValueError(f"region {region} does not lie within {width}x{height} pixels")
            width, height = sides
        self._realism, self._region, self._scale, self._threads = realism, region, divisor, threads
        self._size = -(-width // divisor), -(-height // divisor)
        if region is not None or divisor > 1:
            self._take_part_of_metadata()
        self.tile = [ImageFile._Tile("pico", (0, 0, *self.size), 0, None)]
        return self

    def _take_part_of_metadata(self) -> None:
        """No thumbnail of the whole in a part or a reduced picture, and its own sides in EXIF."""
        if exif := self.info.get("exif"):
            bare = exif_bytes.of_part(exif.removeprefix(EXIF_PREFIX), *self._size)
            self.info["exif"] = EXIF_PREFIX + bare
        if packet := self.info.get("xmp"):
            self.info["xmp"] = xmp.without_thumbnails(packet)

    def verify(self) -> None:
        """Check every checksum; raises `OSError` for a damaged file. Nothing is left to check where
        pixels are loaded."""
        if not self._data:
            return
        try:
            header = container.read_header(self._data, _MAX_PIXELS)
            container.check_size(header, len(self._data))
            for number in range(len(header.pieces)):
                container.payload(header, self._data, number)
            metadata = read_metadata(header, self._data)
            if metadata.alpha is not None:
                read_alpha(header, metadata.alpha)
        except PicoError as error:
            raise OSError(str(error)) from error
        super().verify()

    def load_seek(self, pos: int) -> None:
        """Says to `ImageFile.Parser` that pixels are not for one of Pillow's decoders: it waits for
        the whole file, and opens it again."""

    def load(self) -> Any:
        """Decode; raises `OSError` for what is wrong with the file."""
        if self.tile:
            from picocodec.decoding.decoder import decode_picture

            damage = _damage()
            try:
                picture = decode_picture(
                    self._data,
                    _MAX_PIXELS,
                    DECODE_THREADS if self._threads is None else self._threads,
                    realism=self._realism,
                    damage=damage,
                    region=self._region,
                    scale=self._scale,
                )
            except PicoError as error:
                raise OSError(str(error)) from error
            if damage:
                warnings.warn(DamagedPicture(damage), stacklevel=2)
            self.im = to_pillow(picture).im
            self._mode = self.im.mode  # without alpha, if that is damaged
            self.tile, self._data = [], b""
            if self.fp and self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()


def _damage() -> list[PicoError] | None:
    """Where damage is noted, if Pillow's switch allows it."""
    return [] if ImageFile.LOAD_TRUNCATED_IMAGES else None


def _save(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    options = im.encoderinfo
    metadata = {
        name: _bytes(options[option])
        for option, name in (("icc_profile", "icc"), ("exif", "exif"), ("xmp", "xmp"))
        if option in options
    }
    try:
        data = encode(
            im,
            options.get("quality", DEFAULT_QUALITY),
            lossless=options.get("lossless", False),
            target_size=options.get("target_size"),
            effort=options.get("effort", DEFAULT_EFFORT),
            target_bpp=options.get("target_bpp"),
            model=options.get("model"),
            threads=options.get("threads", 0),
            progress=options.get("progress"),
            exif=metadata.get("exif"),
            icc=metadata.get("icc"),
            xmp=metadata.get("xmp"),
        )
    except PicoError as error:
        raise OSError(str(error)) from error
    fp.write(data)


def _bytes(value: Image.Exif | str | bytes | None) -> bytes:
    """An item of metadata as users of Pillow may give it; None leaves it out."""
    if isinstance(value, Image.Exif):
        return value.tobytes()
    return value.encode() if isinstance(value, str) else value or b""


def register() -> None:
    """Teach Pillow to open and save .pico files; may be called more than once."""
    Image.register_open(PicoImageFile.format, PicoImageFile, _accept)
    Image.register_save(PicoImageFile.format, _save)
    Image.register_extension(PicoImageFile.format, ".pico")
    Image.register_mime(PicoImageFile.format, "image/x-pico")
