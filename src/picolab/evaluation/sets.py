"""Named sets of test pictures."""

from __future__ import annotations

from picolab.fetch.catalogue import PICTURES

# Folders of $PICOLAB_EVAL, or of the cache, and how they come there.
SETS = {
    "dev": "this project's development pictures (photos, text, graphics, 12 megapixels)",
    **{
        pictures.folder: f"{pictures.title}, which `picolab fetch {name}` gets,"
        for name, pictures in PICTURES.items()
    },
}
DEFAULT_SETS = ("kodak", "dev")
