from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from pages import empty_page
from serving import Server

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"


@pytest.fixture(scope="session")
def package() -> Path:
    """The npm package's `dist`, made by its build."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if int(subprocess.check_output(["node", "--version"], text=True)[1:].split(".")[0]) < 20:
        pytest.skip("node is older than 20")
    if not (WEB / "node_modules" / "typescript").exists():
        install = ["npm", "ci", "--no-audit", "--no-fund"]
        if subprocess.run(install, cwd=WEB, capture_output=True).returncode:
            pytest.skip("npm cannot install TypeScript here")
    built = subprocess.run(["npm", "run", "package"], cwd=WEB, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return WEB / "picocodec" / "dist"


@pytest.fixture(scope="session")
def built(package: Path) -> Path:
    """The command that prints symbols."""
    return package / "cli.js"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """A tab that all tests share."""
    if browser.executable() is None:
        pytest.skip("Chromium is not installed")
    with browser.Browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def page(package: Path, chromium: browser.Browser) -> Iterator[tuple[browser.Browser, Server]]:
    """An empty page that has the package, in Chromium."""
    with empty_page(package, chromium) as found:
        yield found
