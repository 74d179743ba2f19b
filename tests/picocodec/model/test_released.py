"""What a release is made of never changes: its model, its golden files, its conformance cases.

`tests/released/format-<version>/<model>.sha256` lists them. `conformance/make.py` adds to it,
nothing takes away.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from picocodec.format.container import VERSION

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "src" / "picocodec" / "models"
LISTS = sorted((ROOT / "tests" / "released" / f"format-{VERSION}").glob("*.sha256"))


def entries(path: Path) -> dict[str, str]:
    """Name of each file of a release to its SHA-256."""
    lines = (line.split("  ") for line in path.read_text().splitlines())
    return {name: digest for digest, name in lines}


def test_every_model_has_its_list() -> None:
    assert {path.parent.name for path in MODELS.glob("*/model.toml")} <= {p.stem for p in LISTS}


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_nothing_of_a_release_has_changed(path: Path) -> None:
    changed = [
        name
        for name, digest in entries(path).items()
        if not (ROOT / name).is_file()
        or hashlib.sha256((ROOT / name).read_bytes()).hexdigest() != digest
    ]
    assert not changed, "a released model, and what files decode to, never changes: restore these"


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_everything_of_a_release_is_listed(path: Path) -> None:
    folders = [MODELS, ROOT / "tests" / "golden", ROOT / "conformance"]
    found = [
        file.relative_to(ROOT).as_posix()
        for folder in folders
        for file in (folder / path.stem).rglob("*")
        if file.is_file()
    ]
    assert set(found) == set(entries(path)), "run conformance/make.py for the model"


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_no_line_ever_left_a_list(path: Path) -> None:
    """Who changes a release must rewrite history, not just its hashes."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a checkout of the repository's history")
    command = ["git", "log", "--format=", "--patch", "--", path.relative_to(ROOT).as_posix()]
    patches = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    gone = [line for line in patches if line.startswith("-") and not line.startswith("---")]
    assert not gone
