"""docs/experiments/README.md is made of the experiments beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from picolab.cli import main as picolab

EXPERIMENTS = Path(__file__).parents[2] / "docs" / "experiments"


def test_the_index_in_docs_is_that_of_the_files(tmp_path: Path) -> None:
    for path in EXPERIMENTS.glob("[0-9]*.md"):
        shutil.copy(path, tmp_path)
    assert picolab(["index", str(tmp_path)]) == 0
    index = (tmp_path / "README.md").read_text("utf-8")
    assert index == (EXPERIMENTS / "README.md").read_text("utf-8")
    assert all(f"({path.name})" in index for path in EXPERIMENTS.glob("[0-9]*.md"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no experiments"),
        ({"0001-a.md": "# 0002: other\n\nIt was.\n"}, "its first line must be '# 0001: "),
        ({"0001-a.md": "# 0001: a\n\n| table |\n"}, "no paragraph"),
        ({"0001-a.md": "# 0001: a\n\nIt.\n", "0001-b.md": "# 0001: b\n\nIt.\n"}, "one number"),
    ],
)
def test_what_cannot_be_listed_is_named(
    files: dict[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert picolab(["index", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
