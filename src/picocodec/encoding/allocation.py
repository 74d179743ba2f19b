"""How the bits of a picture are shared among its tiles: smooth ones get a higher level.

A tile's LPIPS and DISTS fall with about the logarithm of its bytes, so that a byte is worth most
where there are few; and on paper, skin or sky nothing hides an error. What was measured:
docs/experiments/0001-generation-1.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from picocodec.encoding.features import Look

# In thousandths of the level: for each halving of the gradient, and at most, either way.
FOR_EACH_BIT = 50
LEAST, MOST = -80, 120


def level_offsets(looks: Sequence[Look]) -> list[int]:
    """What each tile of a picture, taken as a photo, has over the picture's level, in thousandths.

    The mean one of those that look like photos has nothing, so that a quality means the same for
    a soft picture and a sharp one.
    """
    photos = [look.gradient for look in looks if not look.flat]
    if not photos:
        return [0] * len(looks)
    typical = sum(photos) / len(photos)
    offsets = (FOR_EACH_BIT * (typical - look.gradient) for look in looks)
    return [round(min(max(offset, LEAST), MOST)) for offset in offsets]
