"""Where tiles lie, what belongs to each, and the sizes of their arrays: docs/format.md, section 4.

A tile owns 504x504 pixels; the last one of a row or column owns what is left, and up to 64 more
than that, since slivers are costly. The networks see a tile with a margin of 4 pixels from its
neighbours, continued to a multiple of 64 on the right and at the bottom: 512x512, 576x576 at most.
"""

from __future__ import annotations

from dataclasses import dataclass

TILE = 504  # side of the part of a tile that is its own ...
TILE_EXTRA = 64  # ... to which the last one in a row or column adds a remainder up to this

MARGIN = 4
Y_STEP = 16  # pixels to one position of y
Z_STEP = 64  # pixels to one position of z


@dataclass(frozen=True)
class Tile:
    """The part of a picture that a tile owns: its place and size in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of what the networks see."""
        return (
            -(-(self.height + 2 * MARGIN) // Z_STEP) * Z_STEP,
            -(-(self.width + 2 * MARGIN) // Z_STEP) * Z_STEP,
        )

    @property
    def z_shape(self) -> tuple[int, int]:
        """Rows and columns of z."""
        return self.padded[0] // Z_STEP, self.padded[1] // Z_STEP

    @property
    def y_shape(self) -> tuple[int, int]:
        """Rows and columns of y."""
        return self.padded[0] // Y_STEP, self.padded[1] // Y_STEP

    @property
    def y_used(self) -> tuple[int, int]:
        """Rows and columns of y that touch the tile or its margin; none beyond are coded."""
        return (
            -(-(self.height + 2 * MARGIN) // Y_STEP),
            -(-(self.width + 2 * MARGIN) // Y_STEP),
        )

    def divided(self, by: int) -> Tile:
        """Its place and size in a picture whose sides are divided by that, rounded up; its corner
        lies at multiples of it."""
        return Tile(self.top // by, self.left // by, -(-self.height // by), -(-self.width // by))

    @property
    def is_empty(self) -> bool:
        """Whether it has no pixels."""
        return self.height <= 0 or self.width <= 0

    def common(self, other: Tile) -> Tile:
        """What the two have in common, which may be empty."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom = min(self.top + self.height, other.top + other.height)
        right = min(self.left + self.width, other.left + other.width)
        return Tile(top, left, bottom - top, right - left)

    def meets(self, other: Tile) -> bool:
        """Whether the two have a pixel in common."""
        return not self.common(other).is_empty

    def within(self, whole: Tile) -> tuple[slice, slice]:
        """Its rows and columns in the pixels of a whole that it lies in."""
        top, left = self.top - whole.top, self.left - whole.left
        return slice(top, top + self.height), slice(left, left + self.width)

    def grown(self, margin: int) -> Tile:
        """The tile and what lies around it, beyond the edges of the picture, too."""
        return Tile(
            self.top - margin, self.left - margin, self.height + 2 * margin, self.width + 2 * margin
        )


def tiles_along(side: int) -> int:
    """The number of tiles along a side of a picture."""
    return max(1, -(-(side - TILE_EXTRA) // TILE))


def layout(width: int, height: int) -> list[Tile]:
    """The tiles of a picture, row by row."""
    return [
        Tile(top, left, tile_height, tile_width)
        for top, tile_height in _spans(height)
        for left, tile_width in _spans(width)
    ]


def area_of(width: int, height: int, first: int, rows: int = 1, columns: int = 1) -> Tile:
    """What so many rows and columns of tiles cover of a picture, from tile `first` on."""
    row, column = divmod(first, tiles_along(width))
    down, across = _spans(height)[row : row + rows], _spans(width)[column : column + columns]
    top, left = down[0][0], across[0][0]
    return Tile(top, left, sum(down[-1]) - top, sum(across[-1]) - left)


def _spans(side: int) -> list[tuple[int, int]]:
    """Start and length of each tile along a side."""
    last = tiles_along(side) - 1
    return [(i * TILE, TILE if i < last else side - i * TILE) for i in range(last + 1)]
