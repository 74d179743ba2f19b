"""What keeps the documents readable: width, length, links that lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), ROOT / "lab" / "README.md", *sorted(DOCS.rglob("*.md"))]
WIDEST = 100
LONGEST_README = 500  # words
GENERATED = ("Generated, never typed", "Made by `picolab", "# What raters said")
NAMED = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]


def prose(text: str) -> Iterator[str]:
    """The lines that can be wrapped: no tables, code, headings, links alone in a line."""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith(("    ", "|", "#", "![")):
            yield line


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub and the site name them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}


def links(text: str) -> list[str]:
    """Where links and pictures of a document lead, but for other sites."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("name", NAMED)
def test_prose_is_wrapped(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    if any(mark in text[:400] for mark in GENERATED):
        pytest.skip("written by a command, or about to be written anew")
    assert [line for line in prose(text) if len(line) > WIDEST] == []


@pytest.mark.parametrize("name", NAMED)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for link in links(path.read_text("utf-8")):
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("name", [name for name in NAMED if name.startswith("docs/")])
def test_links_of_the_site_stay_in_it(name: str) -> None:
    """Or `make docs`, which takes no warnings, fails."""
    path = ROOT / name
    for link in links(path.read_text("utf-8")):
        assert (path.parent / link.partition("#")[0]).resolve().is_relative_to(DOCS), link


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= LONGEST_README


def test_the_site_lists_every_page_but_reports() -> None:
    """Reports of single runs and experiments are reached from their tables."""
    text = (ROOT / "mkdocs.yml").read_text("utf-8").split("\nnav:\n")[1]
    listed = set(re.findall(r": (\S+\.md)$", text, re.MULTILINE))
    assert [page for page in listed if not (DOCS / page).is_file()] == []
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("*.md")}
    assert pages - listed == set()
