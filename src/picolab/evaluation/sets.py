"""Named sets of test pictures."""

from __future__ import annotations

# Folders of $PICOLAB_EVAL, and what to put there.
SETS = {
    "kodak": "the 24 pictures of the Kodak Lossless True Color Image Suite",
    "dev": "this project's development pictures: photos, text, graphics, 12 megapixels",
    "clic2020-test": "the 428 pictures of CLIC 2020 test, professional and mobile, from "
    "data.vision.ee.ethz.ch/cvl/clic",
    "div2k-valid": "the 100 pictures of DIV2K_valid_HR, from data.vision.ee.ethz.ch/cvl/DIV2K",
}
DEFAULT_SETS = ("kodak", "dev")
