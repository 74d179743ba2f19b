"""docs/tutorial.md, line by line: each is run, on few pixels, and does what the text says."""

from __future__ import annotations

import functools
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image
from test_command_lines import code, commands

from picocodec import cli
from picolab.cli import main as picolab
from picolab.data.crops import principal_components

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
SHORT = ["--pixels", "1e5", "--no-compile"]


def shortened(words: list[str]) -> list[str]:
    """A command of picolab that takes seconds; recipes are those of the repository."""
    words = [str(ROOT / word) if word.startswith("recipes/") else word for word in words]
    if words[0] == "train":
        for option in ("--minutes", "--pixels"):
            if option in words:
                at = words.index(option)
                del words[at : at + 2]
        if "--cooldown" in words and "runs/tuned" in words:  # a share of 4.7e9 pixels
            words[words.index("--cooldown") + 1] = "2e-5"
        words += SHORT
    if words[0] == "keep":
        words += ["--like", str(ROOT / "recipes" / "photo.trunk.safetensors")]
    if words[0] == "evaluate":
        words += ["-j", "1", "--no-page", "--rates", "picocodec=20,40,60,80"]
    return words


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, and one photo that nothing is trained on."""
    photos = ROOT / "examples" / "photos"
    (tmp_path / "photos").mkdir()
    (tmp_path / "unseen").mkdir()
    for name in ("coffee.png", "chelsea.png"):
        shutil.copy(photos / name, tmp_path / "photos")
    with Image.open(photos / "astronaut.png") as image:
        image.crop((150, 0, 350, 200)).save(tmp_path / "unseen" / "face.png")
    shutil.copy(photos / "rocket.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PICOLAB_ALLOCATOR", "that of the tests")  # or it would start anew
    few = functools.partial(principal_components, draws=1)
    monkeypatch.setattr("picolab.training.run.principal_components", few)
    return tmp_path


def test_every_line_of_the_tutorial(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []
    for line in code(TEXT):
        for words in commands(line):
            program, *rest = words
            if program == "export":
                monkeypatch.setenv(*rest[0].split("=", 1))
            elif program == "picolab":
                assert picolab(shortened(rest)) == 0, shlex.join(words)
            elif program in ("picoenc", "picodec"):
                assert getattr(cli, program)(rest) == 0, shlex.join(words)
            else:
                assert words[:2] == ("pip", "install")  # tests/test_distributions.py
            ran.append(program)
    assert ran.count("picolab") == 11
    for name in ("models/mine.v1", "models/mine.v2", "mine.png", "photo.v6.safetensors"):
        assert (place / name).exists()
    printed = capsys.readouterr().out
    assert printed.count("| picocodec-mine.v1 |") >= 2
    assert "| picocodec-mine.v2 |" in printed
