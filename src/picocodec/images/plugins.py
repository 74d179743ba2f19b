"""Formats that Pillow knows by plug-ins only: found, or named with the line that installs them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from PIL import Image, features

from picocodec.errors import UnsupportedImage


@dataclass(frozen=True)
class Plugin:
    """A package that teaches Pillow a format, and how people call that."""

    title: str
    module: str
    package: str

    @property
    def is_there(self) -> bool:
        """Whether it is installed; Pillow knows its format from then on."""
        try:
            module = importlib.import_module(self.module)
        except ImportError:
            return False
        if self.module == "pillow_heif":  # the other registers itself
            module.register_heif_opener()
        return True

    @property
    def missing(self) -> str:
        """What to install, in a sentence."""
        return f"{self.title} needs the package {self.package}: pip install {self.package}"


HEIF = Plugin("HEIC", "pillow_heif", "pillow-heif")
JXL = Plugin("JPEG XL", "pillow_jxl", "pillow-jxl-plugin")
RAW = Plugin("a camera's raw file", "rawpy", "rawpy")  # no plug-in of Pillow's: images/raw.py
PLUGINS = {"HEIF": HEIF, "JXL": JXL}
NO_AVIF = (
    "AVIF needs a Pillow that was built with it, as those of PyPI are: "
    "pip install --force-reinstall pillow"
)


def need_writer(format: str) -> None:
    """Let Pillow know a format, named as Pillow does; raises `UnsupportedImage` with what to
    install where it cannot be written here."""
    plugin = PLUGINS.get(format)
    if plugin is not None and not plugin.is_there:
        raise UnsupportedImage(plugin.missing)
    if format == "AVIF" and not features.check("avif"):
        raise UnsupportedImage(NO_AVIF)
    if format == "WEBP" and not features.check("webp"):
        raise UnsupportedImage("WebP needs a Pillow that was built with it")
    if plugin is not None and format not in Image.SAVE:
        raise UnsupportedImage(f"this {plugin.package} cannot write {plugin.title}")
