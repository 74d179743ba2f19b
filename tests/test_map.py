"""The map in docs/architecture.md names what there is: no room is missing, none is made up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEEPEST = {"src/picocodec": 2, "src/picolab": 1}  # how many levels of a package the map shows


def drawn() -> Iterator[str]:
    """The paths in the map: its first block of code, two spaces to a level."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    above: list[str] = []
    block = text.split("\n## How data flows")[0]
    for line in re.findall(r"^    (?! *$)(.*)$", block, re.MULTILINE):
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.split(r"  +", line.strip())[0].split(", ")
        above[depth:] = [names[-1].rstrip("/")]
        yield from ("/".join([*above[:depth], name.rstrip("/")]) for name in names)


def there(package: str) -> set[str]:
    """Modules and folders of a package, as deep as the map goes; an empty `__init__.py` counts
    with its folder."""
    folder = ROOT / package
    found = set()
    for path in folder.rglob("*"):
        names = path.relative_to(folder).parts
        is_module = path.suffix == ".py" and not (len(names) > 1 and names[-1] == "__init__.py")
        is_folder = path.is_dir() and (path / "__init__.py").is_file()
        if len(names) <= DEEPEST[package] and (is_module or is_folder):
            found.add(path.relative_to(ROOT).as_posix())
    return found


def test_everything_on_the_map_exists() -> None:
    assert [name for name in drawn() if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("package", DEEPEST)
def test_every_room_is_on_the_map(package: str) -> None:
    assert there(package) - set(drawn()) == set()
