"""The conformance set on our own decoder, and its runner on good and bad ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import Case, all_cases
from symbols import digests

import picocodec
from picocodec.model.store import load_model

ROOT = Path(__file__).parents[3]
MODELS = sorted(path.parent.name for path in (ROOT / "src/picocodec/models").glob("*/model.toml"))
CASES = [case for case in all_cases() if case.folder.name != "12-megapixels"]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "conformance" / "run.py"), *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("name", MODELS)
def test_there_are_cases_of_every_released_model(name: str) -> None:
    assert len(all_cases([name])) >= 41
    assert all_cases([name], ["12-megapixels"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_has_its_symbols_and_pixels(case: Case) -> None:
    data = case.file.read_bytes()
    model = load_model(case.folder.parent.name, threads=1)
    assert tuple(digests(data, model)) == case.expected.symbols
    errors = case.errors(picocodec.decode(data, threads=1))
    assert case.passes(errors), errors


def test_pixels_are_compared_where_they_are_known() -> None:
    (whole,), (rows,) = all_cases(MODELS[:1], ["alpha"]), all_cases(MODELS[:1], ["504x504"])
    allowed = whole.expected.peak_error
    assert whole.errors(whole.reference) == (0, 0.0)
    off = whole.reference.copy()
    off[3, 4, 1] ^= 1
    peak, rms = whole.errors(off)
    assert peak == 1 and 0 < rms < 0.1 and whole.passes((peak, rms))
    assert not whole.passes((allowed + 1, 0.0))
    assert not whole.passes((1, whole.expected.rms_error + 0.01))
    off[3, 4, 3] ^= 1
    with pytest.raises(ValueError, match="alpha"):
        whole.errors(off)
    with pytest.raises(ValueError, match="shape"):
        whole.errors(off[:, :-1])
    picture = np.zeros((504, 504, 3), np.uint8)
    assert rows.expected.rows is not None
    picture[list(rows.expected.rows)] = rows.reference
    assert rows.errors(picture) == (0, 0.0)
    with pytest.raises(ValueError, match="rows only"):
        rows.errors(picture[:-1])


def test_the_runner_passes_this_decoder() -> None:
    result = run("--model", MODELS[0], "--case", "1x1", "--case", "gray-alpha")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 of 2 cases pass" in result.stdout and result.stdout.count("the same") == 2
    picodec = "from picocodec.cli import picodec; picodec()"
    command = f'{sys.executable} -c "{picodec}" --quiet {{input}} {{output}}'
    result = run("--model", MODELS[0], "--case", "metadata", "--decoder", command)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_runner_fails_wrong_decoders() -> None:
    one = ("--model", MODELS[0], "--case", "1x1")
    black = "from PIL import Image; import sys; Image.new('RGB', (1, 1)).save(sys.argv[1])"
    result = run(*one, "--decoder", f'{sys.executable} -c "{black}" {{output}}')
    assert result.returncode == 1 and "0 of 1 cases pass" in result.stdout
    assert "more than is allowed" in result.stdout
    result = run(*one, "--symbols", "echo 00")
    assert result.returncode == 1 and "DIFFER" in result.stdout
    result = run(*one, "--decoder", f"{sys.executable} -c \"raise SystemExit('no idea')\"")
    assert result.returncode == 1 and "FAIL no idea" in result.stdout
    assert run("--case", "no-such-case").returncode == 1
