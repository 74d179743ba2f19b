"""Write the man pages and completions in share/ from the commands' parsers.

python tools/share.py    # needs pip install shtab argparse-manpage
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from picocodec import __version__
from picocodec.cli import corpus, decode, encode, info, thumbnail

PARSERS = {
    "picoenc": encode.parser,
    "picodec": decode.parser,
    "picoinfo": info.parser,
    "picocorpus": corpus.parser,
    "pico-thumbnailer": thumbnail.parser,
}
COMPLETIONS = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/site-functions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}
EXIT = (
    "0 is success, 1 failure, 2 wrong usage, 3 (picodec --allow-damaged) a picture from a damaged "
    "file, 130 an interruption."
)


def files() -> Iterator[tuple[str, str]]:
    """Names below share/, and what they hold."""
    for name, parser in PARSERS.items():
        yield f"man/man1/{name}.1", _page(parser())
        for shell, place in COMPLETIONS.items():
            yield place.format(name), shtab.complete(_with_files(parser()), shell)


def _page(parser: argparse.ArgumentParser) -> str:
    data = {
        "project_name": "picocodec",
        "version": __version__,
        "manual_title": "picocodec",
        "date": " ",  # of what a version is, the version tells
        "description": (parser.description or "").split(". ")[0].rstrip("."),
    }
    again = f" {parser.prog} [options]"  # a second way of usage
    page = str(Manpage(parser, data)).replace(again, f"\n.br\n.B {parser.prog}\n[options]")
    page = page.replace("\n.pico", "\n\\&.pico")  # a full stop would begin a request
    return f"{page.rstrip()}\n\n.SH EXIT STATUS\n{EXIT}\n"


def _with_files(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The same, whose names of files shells complete as such."""
    for action in parser._actions:
        if not action.option_strings or action.dest == "output":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return parser


def main() -> None:
    root = Path(__file__).parents[1] / "share"
    for name, text in files():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
