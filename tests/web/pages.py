"""Pages that have the npm package, in any browser that can be driven."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from serving import Server

ROOT = Path(__file__).parents[2]
SETUP = """
(async () => {
  window.pico = await import("/dist/index.js");
  window.format = await import("/dist/format.js");
  window.bytesOf = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
  window.post = (name, body) => fetch("/posted/" + name, { method: "POST", body });
  window.attempt = async (work) => {
    try { return await work(); } catch (error) { return `${error.name}: ${error.message}`; }
  };
})()"""


class Tab(Protocol):
    def visit(self, url: str) -> None: ...

    def run(self, script: str) -> Any: ...


AnyTab = TypeVar("AnyTab", bound=Tab)
Page = tuple[Tab, Server]


@contextmanager
def empty_page(
    package: Path, tab: AnyTab, isolated: bool = True
) -> Iterator[tuple[AnyTab, Server]]:
    """An empty page that has the package as `pico` and `format`, and the files of this repository
    below `/cases` and `/golden`."""
    roots = {
        "dist": package,
        "cases": ROOT / "conformance",
        "golden": ROOT / "tests" / "golden",
        "photos": ROOT / "examples" / "photos",
    }
    with Server(roots, isolated=isolated) as server:
        tab.visit(server.url + "/")
        tab.run(SETUP)
        yield tab, server
