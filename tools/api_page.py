"""Write docs/api.md from the docstrings of what `picocodec` offers.

python tools/api_page.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import picocodec
from picocodec import errors
from picocodec.pillow_plugin import PicoImageFile

HEAD = """# Python, name by name

Made from the docstrings by `python tools/api_page.py`; its examples run as tests.
[python.md](python.md) shows what people do with these.
"""


def page() -> str:
    """The whole document."""
    parts = [HEAD]
    for name in ("encode", "decode", "read_info", "models"):
        parts += _function(getattr(picocodec, name), f"picocodec.{name}")
    parts += _record(picocodec.Info)
    parts.append("## Pillow\n")
    parts.append(_text(inspect.getmodule(PicoImageFile)))
    parts += _function(PicoImageFile.decode_options, "PicoImageFile.decode_options", "###")
    parts += _errors()
    return "\n".join(parts).rstrip() + "\n"


def _function(function: FunctionType, name: str, level: str = "##") -> Iterator[str]:
    yield f"{level} `{name}`\n"
    parameters = list(inspect.signature(function).parameters.values())
    known = [p for p in parameters if p.name != "self"]
    words, starred = [], False
    for parameter in known:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            words, starred = [*words, "*"], True
        words.append(str(parameter).replace("'", ""))
    returns = str(inspect.signature(function).return_annotation).strip("'")
    lines = "".join(f"    {word},\n" for word in words)
    within = f"\n{lines}" if words else ""
    yield f"```python\n{name.split('.')[-1]}({within}) -> {returns}\n```\n"
    yield _text(function)


def _text(thing: FunctionType | type | ModuleType | None) -> str:
    """A docstring: its indented lines are blocks of code in Markdown, too."""
    return (inspect.getdoc(thing) or "") + "\n"


def _record(record: type) -> Iterator[str]:
    yield f"## `picocodec.{record.__name__}`\n"
    yield _text(record)
    yield "| field | type | |\n| --- | --- | --- |"
    for line in inspect.getsource(record).splitlines():
        if found := re.fullmatch(r"    (\w+): ([\w |]+?)(?: = .*?)?(?:  # (.*))?", line):
            kind = found[2].replace("_Item", "bytes | None").replace("|", "\\|")
            yield f"| `{found[1]}` | {kind} | {found[3] or ''} |"
    yield ""


def _errors() -> Iterator[str]:
    yield "## `picocodec.errors`\n"
    yield "| | |\n| --- | --- |"
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, errors.PicoError | UserWarning):
            text = " ".join((inspect.getdoc(error) or "").split("\n\n")[0].split())
            yield f"| `{name}` | {text} |"


def main() -> None:
    (Path(__file__).parents[1] / "docs" / "api.md").write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
