from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
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
    """An empty page that has the package as `pico` and `format`, and the files of this repository
    below `/cases` and `/golden`."""
    roots = {
        "dist": package,
        "cases": ROOT / "conformance",
        "golden": ROOT / "tests" / "golden",
        "photos": ROOT / "examples" / "photos",
    }
    with Server(roots, isolated=True) as server:
        chromium.visit(server.url + "/")
        chromium.run(
            """(async () => {
              window.pico = await import("/dist/index.js");
              window.format = await import("/dist/format.js");
              window.bytesOf = async (url) =>
                new Uint8Array(await (await fetch(url)).arrayBuffer());
              window.post = (name, body) => fetch("/posted/" + name, { method: "POST", body });
              window.attempt = async (work) => {
                try { return await work(); } catch (error) {
                  return `${error.name}: ${error.message}`;
                }
              };
            })()"""
        )
        yield chromium, server
