"""The index of experiments: a table of what was tried, made of the files themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

INDEX = "README.md"
HEAD = """\
# Experiments

What was tried, what came out, and what was not worth it. Generated, never typed:
`picolab index docs/experiments`, from the title and the first sentence of each. A new one takes the
next number; what is there is not rewritten when opinions change.

| number | what | in a sentence |
| --- | --- | --- |
"""


@dataclass(frozen=True)
class Experiment:
    file: str
    number: str
    title: str
    summary: str


def read_experiment(path: Path) -> Experiment:
    """Raises `ValueError` for a file whose title and name disagree, or that says nothing."""
    text = path.read_text("utf-8")
    title = re.match(r"# (\d{4}): (.+)\n", text)
    if title is None or not path.name.startswith(title[1] + "-"):
        raise ValueError(f"{path}: its first line must be '# {path.name[:4]}: what was tried'")
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")[1:]]
    prose = [part for part in paragraphs if part and part[0] not in "#|`-" and ". " in part + " "]
    if not prose:
        raise ValueError(f"{path}: no paragraph says what it is about")
    summary = re.match(r".*?\.(?= |$)", prose[0])
    return Experiment(path.name, title[1], title[2], summary[0] if summary else prose[0])


def write_index(folder: Path) -> Path:
    """The index of the experiments in `folder`; returns its file.

    Raises `ValueError` where two have one number, or as `read_experiment` does.
    """
    found = [read_experiment(path) for path in sorted(folder.glob("[0-9]*.md"))]
    if not found:
        raise ValueError(f"{folder} has no experiments, NNNN-NAME.md")
    for one, other in zip(found, found[1:], strict=False):
        if one.number == other.number:
            raise ValueError(f"{folder}: {one.file} and {other.file} have one number")
    rows = [f"| [{e.number}]({e.file}) | {e.title} | {e.summary} |\n" for e in found]
    (folder / INDEX).write_text(HEAD + "".join(rows), encoding="utf-8")
    return folder / INDEX
