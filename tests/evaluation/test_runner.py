from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picolab.cli import main
from picolab.evaluation.images import TestImage, find, read
from picolab.evaluation.known import from_run
from picolab.evaluation.metrics import METRICS
from picolab.evaluation.runner import evaluate


class Coarse:
    """Pixels divided by the rate; keeps count of its calls in a file, as processes cannot share."""

    version = "1"
    settings = "pixels // {rate}"
    extension = ".bin"

    def __init__(self, calls: Path, name: str = "coarse", rates: tuple[float, ...] = (8, 2)):
        self.calls, self.name, self.rates = calls, name, rates

    def encode(self, image: np.ndarray, rate: float) -> bytes:
        with open(self.calls, "a") as calls:
            calls.write(f"{self.name} {rate:g}\n")
        size = np.array(image.shape, "<u2").tobytes()
        return size + bytes([int(rate)]) + (image // int(rate)).tobytes()

    def decode(self, data: bytes) -> np.ndarray:
        shape = np.frombuffer(data[:6], "<u2")
        return (np.frombuffer(data[7:], np.uint8) * data[6]).reshape(shape)


class Failing(Coarse):
    def encode(self, image: np.ndarray, rate: float) -> bytes:
        if image.shape[0] == 48:
            raise RuntimeError("no 48 rows")
        return super().encode(image, rate)


class Crashing(Coarse):
    def decode(self, data: bytes) -> np.ndarray:
        os._exit(3)


class Cropping(Coarse):
    def decode(self, data: bytes) -> np.ndarray:
        return super().decode(data)[1:]


@pytest.fixture
def images(tmp_path, photo) -> list[TestImage]:
    folder = tmp_path / "set"
    folder.mkdir()
    for number, rows in enumerate((48, 64)):
        Image.fromarray(photo(rows, 56, number)).save(folder / f"{number}.png")
    return find([str(folder)])


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_for_each_picture_codec_and_rate(images, tmp_path):
    out = tmp_path / "out"
    evaluate(images, [Coarse(tmp_path / "calls")], ["psnr"], out)
    rows = table(out / "results.csv")
    assert [(r["image"], r["codec"], r["rate"]) for r in rows] == [
        ("set/0", "coarse", "8"),
        ("set/0", "coarse", "2"),
        ("set/1", "coarse", "8"),
        ("set/1", "coarse", "2"),
    ]
    size = 7 + 48 * 56 * 3
    assert int(rows[0]["bytes"]) == size == (out / rows[0]["file"]).stat().st_size
    assert float(rows[0]["bpp"]) == pytest.approx(8 * size / (48 * 56), rel=1e-5)
    image = read(images[0].path).astype(float)
    error = ((image - image // 8 * 8) ** 2).mean()
    assert float(rows[0]["psnr"]) == pytest.approx(10 * np.log10(255**2 / error), rel=1e-5)
    means = table(out / "summary.csv")
    both = [float(r["psnr"]) for r in rows if r["rate"] == "8"]
    assert float(means[0]["psnr"]) == pytest.approx(np.mean(both), rel=1e-5)
    assert float(means[0]["psnr_se"]) == pytest.approx(np.std(both, ddof=1) / 2**0.5, abs=1e-4)


def test_nothing_is_done_twice_and_a_new_metric_needs_no_new_encoding(images, tmp_path):
    out, calls = tmp_path / "out", tmp_path / "calls"
    evaluate(images, [Coarse(calls)], ["psnr"], out)
    first = (out / "results.csv").read_text()
    evaluate(images, [Coarse(calls)], ["psnr"], out)
    assert (out / "results.csv").read_text() == first
    evaluate(images, [Coarse(calls)], ["psnr", "ssimulacra2"], out)
    assert all(row["ssimulacra2"] for row in table(out / "results.csv"))
    assert len(calls.read_text().splitlines()) == 4


def test_a_new_version_or_other_pixels_are_encoded_again(images, tmp_path):
    calls = tmp_path / "calls"
    codec = Coarse(calls)
    evaluate(images, [codec], ["psnr"], tmp_path / "out")
    codec.version = "2"
    evaluate(images, [codec], ["psnr"], tmp_path / "out")
    assert len(calls.read_text().splitlines()) == 8
    Image.fromarray(255 - read(images[0].path)).save(images[0].path)
    moved = tmp_path / "set" / "elsewhere.png"
    os.replace(images[0].path, moved)
    evaluate(find([str(moved.parent)]), [codec], ["psnr"], tmp_path / "out")
    assert len(calls.read_text().splitlines()) == 10


def test_equal_pixels_of_another_version_are_not_measured_again(images, tmp_path, monkeypatch):
    codec = Coarse(tmp_path / "calls")
    first = evaluate(images, [codec], ["psnr"], tmp_path / "out")
    codec.version = "2"
    monkeypatch.setattr("picolab.evaluation.metrics.pixel.PSNR.__call__", lambda *_: -1.0)
    again = evaluate(images, [codec], ["psnr"], tmp_path / "out")
    assert [o.metrics for o in again] == [o.metrics for o in first]
    codec.version, codec.rates = "3", (4,)
    other = evaluate(images, [codec], ["psnr"], tmp_path / "out")
    assert [o.metrics["psnr"] for o in other] == [-1, -1]


def test_a_failure_is_told_by_codec_and_picture_and_the_run_goes_on(images, tmp_path):
    codecs = [Failing(tmp_path / "calls", "failing"), Cropping(tmp_path / "calls", "cropping")]
    evaluate([*images], [*codecs, Coarse(tmp_path / "calls")], ["psnr", "ms_ssim"], tmp_path)
    failures = table(tmp_path / "failures.csv")
    told = {(f["codec"], f["image"], f["stage"]): f["message"] for f in failures}
    assert told["failing", "set/0", "encode"] == "RuntimeError: no 48 rows"
    assert "(47, 56, 3), the original is uint8 (48, 56, 3)" in told["cropping", "set/0", "decode"]
    assert "160 pixels" in told["coarse", "set/1", "ms_ssim"]
    assert ("failing", "set/1", "encode") not in told
    rows = [r for r in table(tmp_path / "results.csv") if r["codec"] == "coarse"]
    assert len(rows) == 4 and all(r["psnr"] for r in rows)


def test_processes_give_the_same_table_and_survive_a_crash(images, tmp_path):
    codecs = [Coarse(tmp_path / "calls"), Crashing(tmp_path / "calls", "crashing", (4,))]
    evaluate(images, codecs[:1], ["psnr"], tmp_path / "one")
    evaluate(images[:1], codecs[:1], ["psnr"], tmp_path / "two")  # a run stopped half-way
    evaluate(images, codecs, ["psnr"], tmp_path / "two", jobs=2)
    one, two = (table(tmp_path / name / "results.csv") for name in ("one", "two"))
    assert one == [row for row in two if row["codec"] == "coarse"]
    crashes = table(tmp_path / "two" / "failures.csv")
    assert [(c["image"], c["codec"], c["stage"]) for c in crashes] == [
        ("set/0", "crashing", "process"),
        ("set/1", "crashing", "process"),
    ]


def test_codecs_that_a_run_measured_are_taken_over_unless_something_changed(images, tmp_path):
    calls = tmp_path / "calls"
    peer, own = Coarse(calls, "peer"), Coarse(calls, "own", (4,))
    whole, half = tmp_path / "whole", tmp_path / "half"
    evaluate(images, [own, peer], ["psnr"], whole)
    own.version = "2"

    def known(codecs=(own, peer), metrics=("psnr",)):
        return from_run(whole, images, codecs, [METRICS[name]() for name in metrics], [])

    calls.unlink()
    evaluate(images, [own, peer], ["psnr"], half, known=known())
    assert set(calls.read_text().splitlines()) == {"own 4"}
    for name in ("results.csv", "summary.csv"):
        one, two = (table(folder / name) for folder in (whole, half))
        lines = [[r for r in rows if r["codec"] == "peer"] for rows in (one, two)]
        assert [r | {"file": ""} for r in lines[0]] == [r | {"file": ""} for r in lines[1]]
        assert [r["codec"] for r in one] == [r["codec"] for r in two]
    assert json.loads((half / "run.json").read_text())["known"] == {"peer": "whole"}

    assert known(metrics=["psnr", "ssimulacra2"]).codecs == set()
    assert known([Coarse(calls, "peer", (8, 4))]).codecs == set()
    others = [replace(images[0], kind="text"), *images[1:]]
    assert from_run(whole, others, [peer], [METRICS["psnr"]()], []).codecs == set()
    results = (whole / "results.csv").read_text()
    (whole / "results.csv").write_text(results.replace(",peer,8,", ",failed,8,", 1))
    assert known().codecs == set()
    (whole / "results.csv").write_text(results)
    assert known().codecs == {"peer"}
    Image.fromarray(255 - read(images[0].path)).save(images[0].path)
    assert known().codecs == set()


def test_known_results_have_no_pictures_for_a_page(images, tmp_path, capsys):
    command = ["evaluate", str(tmp_path / "set"), "-o", str(tmp_path / "out"), "--metrics", "psnr"]
    command += ["--codecs", "png", "--anchor", "png", "--known", str(tmp_path / "none")]
    assert main(command) == 1
    assert "add --no-page" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_patch_distances_of_a_set(tmp_path, photo):
    pytest.importorskip("efficientnet_lite_pytorch")
    Image.fromarray(photo(256, 512)).save(tmp_path / "wide.png")
    images = find([str(tmp_path / "wide.png")])
    codec = Coarse(tmp_path / "calls", rates=(64, 1))
    evaluate(images, [codec], ["psnr", "kid_lite0", "fd_lite0"], tmp_path / "out")
    bad, equal = table(tmp_path / "out" / "summary.csv")
    assert bad["patches"] == "3" and bad["fd_lite0"] == ""  # too few for it
    assert float(equal["kid_lite0"]) == 0 < float(bad["kid_lite0"])


def test_transparent_pictures_are_seen_on_white(tmp_path):
    Image.new("RGBA", (2, 1), (10, 20, 30, 0)).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").tolist() == [[[255] * 3] * 2]


def test_sources_of_pictures(tmp_path, photo, monkeypatch):
    for name in ("kodak/2.png", "kodak/10.png", "kodak/deep/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(8, 8)).save(tmp_path / name)
    monkeypatch.setenv("PICOLAB_EVAL", str(tmp_path))
    assert [i.name for i in find(["kodak"])] == ["kodak/2", "kodak/10", "kodak/deep/1"]
    assert [i.name for i in find([str(tmp_path / "kodak" / "2.png")])] == ["kodak/2"]
    assert {i.kind for i in find(["kodak"])} == {"unsorted"}
    (tmp_path / "manifest.csv").write_text("file,category\nkodak/2.png,natural\n")
    assert [i.kind for i in find(["kodak"])] == ["natural", "unsorted", "unsorted"]
    assert find([str(tmp_path / "kodak" / "2.png")])[0].kind == "natural"
    with pytest.raises(FileNotFoundError, match="DIV2K_valid_HR"):
        find(["div2k-valid"])
    with pytest.raises(FileNotFoundError, match="no file, folder or set nowhere"):
        find(["nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="none in"):
        find([str(tmp_path / "empty")])


def test_without_its_first_metric_no_run_begins(images, tmp_path, monkeypatch, capsys):
    """What is left out is told before anything is encoded; without LPIPS, metrics are named."""
    monkeypatch.setenv("PICOLAB_WEIGHTS", str(tmp_path))
    folder, output = str(images[0].path.parent), tmp_path / "run"
    line = ["evaluate", folder, "--codecs", "jpeg-420,bpg", "-o", str(output), "--no-page"]
    assert main(line) == 1
    told = capsys.readouterr().err
    assert "lpips_alex, which codecs are compared by first, is missing" in told
    assert "picolab fetch weights" in told and not output.exists()
    assert main([*line, "--metrics", "lpips_vgg,psnr"]) == 1
    assert "lpips_vgg: no weights" in capsys.readouterr().err
    monkeypatch.setattr("picolab.evaluation.runner.evaluate", stop)
    with pytest.raises(RuntimeError, match="about to encode"):
        main([*line, "--metrics", "psnr"])
    assert "left out: bpg: no bpgenc on the PATH" in capsys.readouterr().err


def stop(*_: object, **__: object) -> None:
    raise RuntimeError("about to encode")
