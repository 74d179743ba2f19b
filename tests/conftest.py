"""Shared by all tests: the tiny codec, exported once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import tiny_codec

from picocodec.model.model import Model
from picolab.export import export_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(tiny_codec(), tmp_path_factory.mktemp("models"), "tiny", 1, {})


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    return Model(model_folder, threads=1)
