"""Everything that can go wrong with a file, as one tree of exceptions."""

from __future__ import annotations


class PicoError(Exception):
    """Base of all errors that picocodec raises about files, models and limits."""


class NotAPicoFile(PicoError):
    """The data does not begin with the signature of a .pico file."""


class UnsupportedVersion(PicoError):
    """The file needs a newer version of the format than this software reads."""


class Truncated(PicoError):
    """The data ends before the file does."""


class CorruptHeader(PicoError):
    """The header contradicts its checksum or the rules of the format."""


class CorruptTile(PicoError):
    """The data of one tile contradicts its checksum or cannot have been written by an encoder."""


class CorruptChunk(PicoError):
    """An optional chunk (metadata, alpha) contradicts its checksum or its own format."""


class UnknownModel(PicoError):
    """The file was made with a model that is not installed, or with other weights of its name."""


class LimitExceeded(PicoError):
    """The picture is larger than the limit in force."""


class UnsupportedImage(PicoError):
    """A picture that cannot be read, or whose kind cannot be coded without loss of meaning."""
