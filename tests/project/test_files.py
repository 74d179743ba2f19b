"""What lies around the code: what it says is so."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PAGES = ("SECURITY.md", "CONTRIBUTING.md", "docs/python.md")


def run(*args, **options):
    return subprocess.run(args, capture_output=True, text=True, timeout=600, **options)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text("utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    for link in links:
        assert (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"


def test_the_citation_is_of_this_version():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_hosted_tests_run_the_commands_of_everybody():
    yaml = pytest.importorskip("yaml")
    flow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    commands = [
        step["run"] for job in flow["jobs"].values() for step in job["steps"] if "run" in step
    ]
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"make test", "make demo"} <= set(commands)
    assert {c.removeprefix("make ") for c in commands if c.startswith("make ")} <= targets
    assert flow["permissions"] == {"contents": "read"}
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert "make test " in contributing and "make demo " in contributing


def test_the_image_is_built_and_runs(tmp_path):
    """Where there is no Docker, its steps without the images."""
    lines = (ROOT / "Dockerfile").read_text("utf-8")
    assert lines.index("USER pico") < lines.index("ENTRYPOINT")
    Image.new("RGB", (30, 20), "teal").save(tmp_path / "photo.png")
    if shutil.which("docker") and run("docker", "info").returncode == 0:
        done = run("docker", "build", "-t", "picocodec-test", str(ROOT))
        assert done.returncode == 0, done.stderr
        tmp_path.chmod(0o777)
        command = ["docker", "run", "--rm", "-v", f"{tmp_path}:/data", "picocodec-test"]
        environment = dict(os.environ)
    else:
        command = _without_docker(tmp_path)
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = run(*command, "encode", "photo.png", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "photo.pico").is_file()


def _without_docker(folder: Path) -> list[str]:
    """The command of a package built of what .dockerignore lets through."""
    source = folder / "source"
    source.mkdir()
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if line.startswith("!"):
            path = ROOT / line[1:]
            if path.is_dir():
                compiled = shutil.ignore_patterns("__pycache__")  # others may be writing there
                shutil.copytree(path, source / line[1:], ignore=compiled)
            else:
                shutil.copy(path, source / line[1:])
    pip = (sys.executable, "-m", "pip")
    # With the hatchling that tests have, if they do: an environment for it takes seconds to make.
    own = ("--no-build-isolation",) if find_spec("hatchling") else ()
    options = ("--no-deps", *own, "--wheel-dir", str(folder / "wheels"))
    done = run(*pip, "wheel", *options, str(source))
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("pip cannot get hatchling")
    assert done.returncode == 0, done.stderr
    wheel = next((folder / "wheels").glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("man/man1/picoenc.1", "bash-completion/completions/picoenc",
                 "thumbnailers/picocodec.thumbnailer", "mime/packages/picocodec.xml"):  # fmt: skip
        assert any(n.endswith(f".data/data/share/{name}") for n in names), name
    done = run(*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel))
    assert done.returncode == 0, done.stderr
    return [sys.executable, "-m", "picocodec"]
