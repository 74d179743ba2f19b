"""What the documents tell people to type: every command line is accepted by its command, and the
README's first ones do what they say."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

import picocodec_commands
from picocodec import cli
from picolab.cli import main as picolab

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("lab/*.md"), *ROOT.glob("docs/**/*.md")]
)  # what is written for people
ENTRANCES = ("picoenc", "picodec", "picoinfo")
OURS = ("recipes/", "configs/", "examples/", "benchmarks/", "conformance/", "fuzz/", "tools/")


@dataclass(frozen=True)
class Line:
    document: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join(self.words)}"


def code(text: str) -> Iterator[str]:
    """The lines of fenced and of indented blocks; those that end in a backslash are joined."""
    fenced, joined = False, ""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            joined += line.strip()
            if joined.endswith("\\"):
                joined = joined[:-1]
                continue
            yield joined
            joined = ""


def commands(line: str) -> Iterator[tuple[str, ...]]:
    """The commands of a line of shell, without comments, settings before them and where their
    output goes."""
    if line.count('"') % 2 or line.count("'") % 2:  # no line of shell
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    command: list[str] = []
    for word in [*words, ";"]:
        if word in {";", "&&", "||", "|", "&", ">", "(", ")"}:
            while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
                command.pop(0)
            if command:
                yield tuple(command)
            command = []
        else:
            command.append(word)


def lines(documents: list[Path] = DOCUMENTS) -> list[Line]:
    """Every command line in the documents, once."""
    found = {
        Line(path.relative_to(ROOT).as_posix(), words)
        for path in documents
        for line in code(path.read_text("utf-8"))
        for words in commands(line)
    }
    return sorted(found, key=str)


OF_COMMANDS = [line for line in lines() if line.words[0] in {*ENTRANCES, "picolab"}]


class Accepted(Exception):
    """Raised in place of what the command would do."""


def entrance(name: str) -> Callable[[list[str]], int]:
    if name == "picolab":
        return picolab
    function: Callable[[list[str]], int] = getattr(cli, name)
    return function


def test_there_are_command_lines_of_every_command() -> None:
    assert {line.words[0] for line in OF_COMMANDS} == {*ENTRANCES, "picolab"}
    assert all(callable(getattr(picocodec_commands, name)) for name in ENTRANCES)


@pytest.mark.parametrize("line", OF_COMMANDS, ids=str)
def test_the_command_accepts_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("parse_args", "parse_intermixed_args"):
        parse = getattr(argparse.ArgumentParser, name)

        def stop(*args: object, parse: Callable[..., object] = parse, **kwargs: object) -> None:
            parse(*args, **kwargs)
            raise Accepted

        monkeypatch.setattr(argparse.ArgumentParser, name, stop)
    if line.words[1:] == ("--help",):
        with pytest.raises(SystemExit) as end:
            entrance(line.words[0])(list(line.words[1:]))
        assert end.value.code == 0
    else:
        with pytest.raises(Accepted):
            entrance(line.words[0])(list(line.words[1:]))


@pytest.mark.parametrize("line", lines(), ids=str)
def test_files_of_the_repository_that_it_names_exist(line: Line) -> None:
    named = [word for word in line.words if word.startswith(OURS) and not set(word) & set("*$")]
    assert [word for word in named if not (ROOT / word).exists()] == []


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with what the README's lines name: parts of photos."""
    source = ROOT / "examples" / "photos"
    (tmp_path / "photos").mkdir()
    with Image.open(source / "rocket.jpg") as image:
        image.crop((200, 100, 520, 324)).save(tmp_path / "photo.jpg", quality=95)
    with Image.open(source / "chelsea.png") as image:
        image.crop((100, 50, 300, 200)).save(tmp_path / "photos" / "chelsea.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_commands_of_the_readme_do_what_they_say(photos: Path) -> None:
    """In their order: one makes what another reads."""
    text = (ROOT / "README.md").read_text("utf-8")
    typed = [words for line in code(text) for words in commands(line) if words[0] in ENTRANCES]
    assert len(typed) == 5
    for words in typed:
        assert entrance(words[0])(list(words[1:])) == 0
    assert (photos / "small" / "chelsea.pico").is_file()
    assert (photos / "photo.png").is_file()
    assert (photos / "mail.pico").stat().st_size <= 200_000


def test_the_python_of_the_readme_runs(photos: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    before = "import picocodec; from PIL import Image\n"
    before += "Image.open('photo.jpg').save('photo.pico')\n"
    names: dict[str, object] = {}
    exec(before + block, names)
    assert getattr(names["pixels"], "shape", None) == (224, 320, 3)
    assert (photos / "photo.png").is_file()
