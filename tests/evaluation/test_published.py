"""Results as data: the page in docs is made of what is kept, and a run joins it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("bjontegaard", reason="needs pip install './lab[eval]'")

from picocodec.model.store import DEFAULT_MODEL
from picolab.cli import main as picolab
from picolab.evaluation.report import write_bd_rates
from picolab.evaluation.results import Run

ROOT = Path(__file__).parents[2]
RATES = (1, 2, 3, 4)


def write(path: Path, rows: list[list[object]]) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def a_run(folder: Path) -> Path:
    """As `picolab evaluate` leaves it: picocodec takes half of JPEG's bytes at equal PSNR."""
    folder.mkdir()
    names = ["set/a", "set/b"]
    codecs = {"picocodec": 0.5, "jpeg-420": 1.0}
    results: list[list[object]] = [["image", "codec", "rate", "bpp", "psnr"]]
    summary: list[list[object]] = [["kind", "codec", "rate", "images", "bpp", "psnr"]]
    for codec, bits in codecs.items():
        for rate in RATES:
            bpp, psnr = bits * 2**rate / 8, 28 + 2 * rate
            results += [[name, codec, rate, bpp, psnr] for name in names]
            summary.append(["all", codec, rate, len(names), bpp, psnr])
    write(folder / "results.csv", results)
    write(folder / "summary.csv", summary)
    write(folder / "failures.csv", [["image"]])
    psnr_facts = {
        "title": "PSNR",
        "version": "1",
        "higher_is_better": True,
        "training_loss": True,
    }
    facts = {
        "images": {name: f"/somewhere/{name}.png" for name in names},
        "kinds": dict.fromkeys(names, "natural"),
        "codecs": {
            codec: {"version": f"{codec} 1, code abc123", "settings": "none", "rates": RATES}
            for codec in codecs
        },
        "metrics": {"psnr": psnr_facts},
        "set_metrics": [],
        "anchor": "jpeg-420",
        "bpp_range": None,
        "left_out": {},
        "command": "picolab evaluate set -o /somewhere/trial --codecs picocodec,jpeg-420",
        "machine": "a machine",
        "python": "3",
    }
    (folder / "run.json").write_text(json.dumps(facts))
    write_bd_rates(Run(folder))
    return folder


def test_the_page_in_docs_is_made_of_the_files_beside_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "results", tmp_path / "results")
    page = tmp_path / "results.md"
    assert picolab(["results", str(tmp_path / "results"), "-o", str(page)]) == 0
    assert page.read_text("utf-8") == (ROOT / "docs" / "results.md").read_text("utf-8")


def test_a_run_is_kept_by_model_and_encoder_without_paths(tmp_path: Path) -> None:
    run, results = a_run(tmp_path / "trial"), tmp_path / "docs" / "results"
    page = tmp_path / "docs" / "results.md"
    command = ["results", str(results), "-o", str(page), "--model", "mine.v1"]
    assert picolab([*command, "--add", str(run)]) == 0
    place = results / "mine.v1" / "abc123" / "trial"
    assert {"run.json", "summary.csv", "bd_rate.csv", "report.md"} <= {
        file.name for file in place.iterdir()
    }
    for name in ("run.json", "report.md"):
        told = (place / name).read_text("utf-8")
        assert "somewhere" not in told
        assert name == "run.json" or "picolab evaluate set -o trial --codecs picocodec" in told
    text = page.read_text("utf-8")
    assert "## trial: mine.v1, encoder abc123" in text
    assert re.search(r"^\| jpeg-420 \| -50 % \[-50, -50\] \|$", text, re.MULTILINE)
    assert picolab([*command, "--add", str(run)]) == 1  # never over what is there


def test_a_folder_without_results_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert picolab(["results", str(tmp_path), "-o", str(tmp_path / "page.md")]) == 1
    assert "has no results" in capsys.readouterr().err


def test_figures_of_the_readme_are_those_of_the_results() -> None:
    def of(
        run: str, kind: str, anchor: str, metric: str, codec: str = "picocodec"
    ) -> tuple[float, int]:
        (folder,) = (ROOT / "docs" / "results" / DEFAULT_MODEL).glob(f"*/{run}")
        with open(folder / "bd_rate.csv", newline="") as file:
            (row,) = [
                row
                for row in csv.DictReader(file)
                if (row["kind"], row["codec"], row["anchor"], row["metric"])
                == (kind, codec, anchor, metric)
            ]
        return round(float(row["percent"])), int(row["images"])

    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    both = "avif-444-s6", "jxl-e7"
    percents = [of("kodak", "all", anchor, "lpips_alex") for anchor in both]
    cells = " | ".join(f"{percent:+} % ({photos} photos)" for percent, photos in percents)
    assert f"| bytes at equal LPIPS | {cells} |" in text
    percents = [of("kodak", "all", anchor, "ssimulacra2") for anchor in both]
    cells = " | ".join(f"{percent:+} %" for percent, _ in percents)
    assert f"| bytes at equal SSIMULACRA2 | {cells} |" in text
    one, closest = (
        of("kodak", "all", "avif-444-s6", "psnr", codec)[0]
        for codec in ("picocodec", "picocodec-closest")
    )
    assert f"equal PSNR (ours takes {one} % more bytes, {closest} % at realism 0)" in text
    speed = (ROOT / "docs" / "speed.md").read_text("utf-8")
    for codec, row in (("picocodec", "picocodec"), ("AVIF", "AVIF 4:4:4"), ("JPEG XL", "JPEG XL")):
        found = re.search(rf"^\| {row}[^|]*\| \d+ \| ([\d.]+) \| ([\d.]+) \|", speed, re.MULTILINE)
        assert found is not None
        for seconds in found.groups():
            assert (
                f"{seconds} s" in text if codec == "picocodec" else f"{codec} {seconds} s" in text
            )
