"""The dial of the decoder, from the interface and the command line to the network."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import photo
from written import learned

import picocodec
from picocodec.cli.decode import picodec
from picocodec.format import container
from picocodec.model.store import MODEL_PATH_VARIABLE


@pytest.fixture
def data(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))
    return picocodec.encode(photo(70, 90), 60, model="tiny.v1")


def test_realism_changes_the_picture_and_not_the_file(data: bytes) -> None:
    closest, middle, fullest = (picocodec.decode(data, realism=r) for r in (0, 0.5, 1))
    assert (closest != middle).any() and (middle != fullest).any()
    np.testing.assert_array_equal(picocodec.decode(data), closest)  # the tiny model's default


def test_the_file_may_recommend_one(data: bytes) -> None:
    header = container.read_header(data)
    parts: dict[str, Any] = {k: getattr(header, k) for k in ("width", "height", "level", "model")}
    [piece] = header.pieces
    pieces = [learned(data[header.size :], piece.level)]
    again = container.write(**parts, pieces=pieces, realism=255)
    assert picocodec.read_info(again).realism == 1
    np.testing.assert_array_equal(picocodec.decode(again), picocodec.decode(data, realism=1))


def test_command_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pico").write_bytes(data)
    assert picodec([str(tmp_path / "a.pico"), str(tmp_path / "a.png"), "--realism", "1"]) == 0
    with Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())) as image:
        np.testing.assert_array_equal(np.array(image), picocodec.decode(data, realism=1))


@pytest.mark.parametrize("realism", [-0.1, 1.1, float("nan"), "1"])
def test_realism_out_of_range(data: bytes, realism: object) -> None:
    with pytest.raises(ValueError, match="realism must be a number from 0 to 1"):
        picocodec.decode(data, realism=realism)  # type: ignore[arg-type]


def test_command_line_refuses_too_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        picodec([str(tmp_path / "a.pico"), "--realism", "2"])
    assert "not a number from 0 to 1" in capsys.readouterr().err
