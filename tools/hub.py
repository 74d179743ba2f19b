"""Write a folder that a model hub can take: a released model with its card in the hubs' form.

    python tools/hub.py -o build/hub                      # the default model
    python tools/hub.py --model NAME.vN -o build/hub
    python tools/hub.py -o build/hub --repository URL     # where links of the card lead

The card is docs/models/NAME.vN.md with front matter, a picture and a snippet; links to other
documents lead to the repository, or nowhere without one.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from pathlib import Path

from picocodec.errors import PicoError
from picocodec.model.store import DEFAULT_MODEL, load_model

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "equal-bytes.png"

# Keys and values as hubs know them; the licence by its SPDX name, in small letters.
FRONT = """---
license: apache-2.0
library_name: picocodec
pipeline_tag: image-to-image
tags:
  - image-compression
  - learned-image-compression
  - codec
  - onnx
---
"""

USE = """## Use

Put the files of this page into a folder `models/{name}`, and install picocodec.

```python
import os

os.environ["PICOCODEC_MODELS"] = "models"  # where {name} lies

import picocodec

data = picocodec.encode("photo.jpg", quality=50, model="{name}")
pixels = picocodec.decode(data)  # uint8 [H, W, 3]
```

![Part of a photo at equal bytes: the original, picocodec, AVIF, JPEG XL]({picture})
"""


def write(folder: Path, name: str, repository: str | None) -> None:
    """The model's files, their licence, the picture and README.md, all new in `folder`.

    Raises `FileExistsError`, `UnknownModel`, and `FileNotFoundError` for a model without a card.
    """
    model = load_model(name)
    document = ROOT / "docs" / "models" / f"{name}.md"
    if not document.is_file():
        raise FileNotFoundError(f"{name} has no card: write {document.relative_to(ROOT)}")
    shutil.copytree(model.folder, folder)
    for path in (ROOT / "WEIGHTS_LICENSE", ROOT / "LICENSE", PICTURE):
        shutil.copy(path, folder)
    (folder / "README.md").write_text(card(document, name, repository, folder), "utf-8")


def card(document: Path, name: str, repository: str | None, folder: Path) -> str:
    """The card of a model in the hubs' form; its pictures go to `folder`."""
    _, _, body = document.read_text("utf-8").partition("\n")

    def led(link: re.Match[str]) -> str:
        mark, words, target = link.groups()
        if re.match(r"[a-z]+:|#", target):
            return link[0]
        path = Path(os.path.normpath(document.parent / target.partition("#")[0]))
        if mark:
            shutil.copy(path, folder)
            return f"![{words}]({path.name})"
        if repository is None:
            return words
        return f"[{words}]({repository.rstrip('/')}/blob/main/{path.relative_to(ROOT).as_posix()})"

    table, _, rest = re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", led, body).partition("\n## ")
    use = USE.format(name=name, picture=PICTURE.name)
    return f"{FRONT}\n# {name}\n{table}\n{use}\n## {rest}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="an installed one (%(default)s)")
    parser.add_argument("--repository", metavar="URL", help="where the documents are")
    args = parser.parse_args()
    try:
        write(args.output, args.model, args.repository)
    except (OSError, PicoError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(args.output / "README.md")


if __name__ == "__main__":
    main()
