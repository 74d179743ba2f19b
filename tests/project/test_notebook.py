"""examples/inside.ipynb, cell by cell, without Jupyter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written import payloads

pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs pip install './lab[eval]'")

NOTEBOOK = Path(__file__).parents[2] / "examples" / "inside.ipynb"


def cells(kind: str) -> list[dict[str, Any]]:
    return [
        cell
        for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
        if cell["cell_type"] == kind
    ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the cells leave behind, run in their order; `drawn` counts the figures."""
    pyplot.switch_backend("Agg")
    monkeypatch.chdir(NOTEBOOK.parent)
    names: dict[str, Any] = {"drawn": 0}

    def show() -> None:
        names["drawn"] += len(pyplot.get_fignums())
        pyplot.close("all")

    monkeypatch.setattr(pyplot, "show", show)
    for cell in cells("code"):
        exec("".join(cell["source"]), names)
    return names


def test_it_runs_and_what_it_shows_is_so(names: dict[str, Any]) -> None:
    model, symbols, z, level = (names[n] for n in ("model", "symbols", "z", "level"))
    # By its own account of bits, the payload is what the tables say, and a few words more.
    expected = (names["bits"].sum() + names["bits_z"]) / 8
    assert expected <= len(names["payload"]) <= expected + 64
    reader = model.coder.reader(names["payload"])
    assert np.array_equal(reader.read(model.z_indices(level, z.shape[1:])), z)
    assert np.array_equal(reader.read(names["indices"]), symbols)
    error = np.square(names["closest"].astype(float) - names["seen"]).mean()
    assert error < 200
    if names["info"].learned_tiles == 1:  # the encoder did what the cells did
        assert payloads(names["data"]) == [names["payload"]]
    assert names["drawn"] == 8


def test_it_is_kept_without_what_it_showed() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells("code"))
    ids = [cell["id"] for kind in ("code", "markdown") for cell in cells(kind)]
    assert len(set(ids)) == len(ids)
