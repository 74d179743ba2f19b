"""A picture for the README: part of a photo as it is, and as each codec has it at equal bytes.

    python examples/equal_bytes.py examples/photos/chelsea.png -o docs/images/equal-bytes.png

The codecs and their settings are those of `picolab evaluate`; each has the highest rate whose whole
file is no larger than --bpp allows. Needs pip install './lab[eval]'.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from picolab.evaluation.images import read
from picolab.evaluation.peers import Codec, Picture, make

CODECS = {"picocodec": "picocodec", "avif-444-s6": "AVIF", "jxl-e7": "JPEG XL"}
LABEL = 28  # rows above each panel
GAP = 8  # columns between panels
ENLARGED = 2


@dataclass(frozen=True)
class Panel:
    """`pixels` is the whole picture, `size` the bytes of its file."""

    title: str
    pixels: Picture
    size: int | None = None

    @property
    def label(self) -> str:
        return self.title if self.size is None else f"{self.title}, {self.size:,} bytes"


def largest_within(codec: Codec, image: Picture, budget: int) -> bytes:
    """The file of the highest whole-number rate that takes `budget` bytes at most."""
    low, best = 0, codec.encode(image, 1)
    high = 100
    while low < high:
        middle = (low + high + 1) // 2
        data = codec.encode(image, middle)
        if len(data) <= budget:
            low, best = middle, data
        else:
            high = middle - 1
    if len(best) > budget:
        raise SystemExit(f"{codec.name}: no file of {budget} bytes or fewer; give a larger --bpp")
    return best


def panels(image: Picture, budget: int) -> list[Panel]:
    made = [Panel("original", image)]
    for name, title in CODECS.items():
        codec = make(name)
        data = largest_within(codec, image, budget)
        made.append(Panel(title, codec.decode(data), len(data)))
    return made


def draw(shown: list[Panel], box: tuple[int, int, int, int]) -> Image.Image:
    """The panels in a row, each `box` of its picture (left, top, right, bottom), enlarged."""
    width, height = ((box[i + 2] - box[i]) * ENLARGED for i in range(2))
    row = Image.new("RGB", (len(shown) * (width + GAP) - GAP, height + LABEL), "white")
    pen, font = ImageDraw.Draw(row), ImageFont.load_default(18)
    for number, panel in enumerate(shown):
        left = number * (width + GAP)
        pen.text((left + 2, 2), panel.label, fill="black", font=font)
        crop = Image.fromarray(panel.pixels).crop(box)
        row.paste(crop.resize((width, height), Image.Resampling.NEAREST), (left, LABEL))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--bpp", type=float, default=0.3, help="bits per pixel (%(default)s)")
    parser.add_argument(
        "--box", default="100,30,300,230", help="left,top,right,bottom of what is shown"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .png file")
    args = parser.parse_args()
    left, top, right, bottom = (int(number) for number in args.box.split(","))
    image = read(args.photo)
    budget = int(args.bpp * image.shape[0] * image.shape[1] / 8)
    shown = panels(image, budget)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    draw(shown, (left, top, right, bottom)).save(args.output, optimize=True)
    print(f"{args.output}: " + "; ".join(panel.label for panel in shown))


if __name__ == "__main__":
    main()
