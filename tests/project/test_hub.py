"""tools/hub.py: a model and its card, as hubs take them."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from test_documents import anchors

from picocodec.model.store import DEFAULT_MODEL

yaml = pytest.importorskip("yaml", reason="needs pip install './lab[dev]'")

ROOT = Path(__file__).parents[2]


def hub(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tools" / "hub.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / DEFAULT_MODEL
    done = hub("-o", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_front_matter_is_what_hubs_read(folder: Path) -> None:
    text = (folder / "README.md").read_text("utf-8")
    _, front, body = text.split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["license"] == "apache-2.0" and values["pipeline_tag"] == "image-to-image"
    assert "onnx" in values["tags"]
    assert body.startswith(f"\n# {DEFAULT_MODEL}\n") and "What it was trained on" in body


def test_the_model_is_whole_and_nothing_leads_nowhere(folder: Path) -> None:
    for name, digest in tomllib.loads((folder / "model.toml").read_text())["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    text = (folder / "README.md").read_text("utf-8")
    targets = set(re.findall(r"\]\(([^)]+)\)", text))
    files = {target for target in targets if not target.startswith("#")}
    assert "equal-bytes.png" in files and all((folder / name).is_file() for name in files)
    assert {target[1:] for target in targets - files} <= anchors(text)


def test_its_snippet_runs(folder: Path, tmp_path: Path) -> None:
    (snippet,) = re.findall(
        r"^```python\n(.*?)^```", (folder / "README.md").read_text("utf-8"), re.M | re.S
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / DEFAULT_MODEL).symlink_to(folder)
    shutil.copy(ROOT / "examples" / "photos" / "rocket.jpg", tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", snippet + "print(pixels.shape)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "(427, 640, 3)\n", done.stderr


def test_links_lead_to_the_repository_where_one_is_given(tmp_path: Path) -> None:
    assert hub("-o", tmp_path / "a", "--repository", "https://example.org/us/").returncode == 0
    text = (tmp_path / "a" / "README.md").read_text("utf-8")
    there = re.findall(r"\]\(https://example.org/us/blob/main/([^)#]+)", text)
    assert there and all((ROOT / path).exists() for path in there)


def test_what_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    assert str(folder) in hub("-o", folder).stderr  # there already
    done = hub("-o", tmp_path / "b", "--model", "none.v1")
    assert done.returncode == 1 and "none.v1 is not installed" in done.stderr
    assert "Traceback" not in done.stderr
