"""benchmarks/monotonic.py finds where more quality is not more."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from picolab.evaluation.runner import Outcome

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "monotonic.py"


@pytest.fixture(scope="module")
def monotonic():
    spec = importlib.util.spec_from_file_location("monotonic", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_steps_the_wrong_way_are_told(monotonic):
    points = [(100, 0.5), (120, 0.4), (110, 0.45), (150, 0.3)]
    curve = [
        Outcome("set/a", "picocodec", 10 * n, 8, 8, size, {"lpips_alex": value})
        for n, (size, value) in enumerate(points)
    ]
    assert list(monotonic.violations(curve)) == [
        "| set/a | 10 | 20 | bytes | 120 | 110 |",
        "| set/a | 10 | 20 | LPIPS | 0.40000 | 0.45000 |",
    ]
    assert list(monotonic.violations(curve[:2])) == []


@pytest.mark.usefixtures("weights")
def test_every_quality_has_its_line(monotonic, photo, tmp_path, monkeypatch, capsys):
    for number in (1, 2):
        Image.fromarray(photo(64, 80, number)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr("sys.argv", ["monotonic.py", str(tmp_path), "-o", str(tmp_path / "out")])
    assert monotonic.main() in (0, 1)
    text = capsys.readouterr().out
    assert "## All (2 pictures)" in text
    assert [line.split()[1] for line in text.splitlines() if "0 | " in line[:8]] == [
        str(quality) for quality in range(0, 101, 10)
    ]
