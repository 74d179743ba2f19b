"""What `pip install ./` and `pip install ./lab` bring, and what they leave out."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="needs pip install './lab[dev]'")

ROOT = Path(__file__).parents[1]
PROJECTS = {"picocodec": ROOT, "picolab": ROOT / "lab"}
LARGEST = 20_000_000  # bytes of picocodec's wheel
# What the codec may need; constriction only where it has a package.
SHARED = re.compile(r"[^/]+\.data/data/")  # man pages and the like
RUNTIME = {"numpy", "pillow", "onnxruntime", "constriction"}


def project(name: str) -> dict:
    return tomllib.loads((PROJECTS[name] / "pyproject.toml").read_text("utf-8"))["project"]


def build(source: Path, folder: Path, target: str = "wheel:standard") -> Path:
    """What hatchling makes of a project, with what is installed: nothing is fetched."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl" if target.startswith("wheel") else "*.tar.gz")
    return made


def contents(wheel: Path) -> set[str]:
    """The files in a wheel, without those about it."""
    with zipfile.ZipFile(wheel) as opened:
        return {name for name in opened.namelist() if ".dist-info/" not in name}


def sources(package: str) -> set[str]:
    """The files of a package in the checkout."""
    folder = ROOT / "src" / package
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT / "src").as_posix()
        for path in files
        if "__pycache__" not in path.parts
    }


def test_the_codec_is_small_and_brings_one_model_and_no_workbench(tmp_path: Path) -> None:
    wheel = build(PROJECTS["picocodec"], tmp_path)
    names = contents(wheel)
    assert {name for name in names if not SHARED.match(name)} == sources("picocodec") | {
        "picocodec_commands.py"
    }
    assert {SHARED.sub("", name) for name in names if SHARED.match(name)} == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "share").rglob("*") if path.is_file()
    }
    assert "picocodec/py.typed" in names
    assert len({name.split("/")[2] for name in names if name.startswith("picocodec/models/")}) == 1
    assert wheel.stat().st_size < LARGEST


def test_the_workbench_brings_itself_and_nothing_of_the_codec(tmp_path: Path) -> None:
    assert contents(build(PROJECTS["picolab"], tmp_path)) == sources("picolab")


def test_the_workbench_is_built_from_its_archive_as_from_the_checkout(tmp_path: Path) -> None:
    with tarfile.open(build(PROJECTS["picolab"], tmp_path, "sdist")) as archive:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not in 3.11.2
        archive.extractall(tmp_path, **safe)
    (unpacked,) = tmp_path.glob("picolab-*/")
    assert contents(build(unpacked, tmp_path)) == sources("picolab")


@pytest.mark.parametrize("name", PROJECTS)
def test_editable_installs_point_at_the_sources_and_copy_none(name: str, tmp_path: Path) -> None:
    wheel = build(PROJECTS[name], tmp_path, "wheel:editable")
    assert {n for n in contents(wheel) if not SHARED.match(n)} == {f"_{name}.pth"}
    with zipfile.ZipFile(wheel) as opened:
        assert opened.read(f"_{name}.pth").decode().split() == [str(ROOT / "src")]


def test_the_commands_are_where_the_distributions_say() -> None:
    scripts = project("picocodec")["scripts"] | project("picolab")["scripts"]
    assert set(scripts) >= {"picoenc", "picodec", "picoinfo", "picolab"}
    for entrance in scripts.values():
        module, _, function = entrance.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function))


def test_the_codec_needs_little_and_the_workbench_needs_this_codec() -> None:
    codec, lab = project("picocodec"), project("picolab")
    needed = {text.split(";")[0].split(">")[0].strip() for text in codec["dependencies"]}
    assert needed <= RUNTIME
    assert codec["version"] == lab["version"]
    assert f"picocodec=={codec['version']}" in lab["dependencies"]


def test_both_carry_the_same_licence() -> None:
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "lab" / "LICENSE").read_bytes()
