from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import re

import browser
import numpy as np
import pytest
from PIL import Image

from picolab.evaluation import peers
from picolab.evaluation.cli import add_parser
from picolab.evaluation.cost import measure
from picolab.evaluation.report import bd_rates
from picolab.evaluation.results import Run


def picolab(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(words)
    return args.run(args)


@pytest.fixture(scope="module")
def run(tmp_path_factory, photo) -> Run:
    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "set").mkdir()
    for number in range(3):
        Image.fromarray(photo(96, 120, number)).save(folder / "set" / f"{number}.png")
    (folder / "set" / "manifest.csv").write_text(
        "file,category\n0.png,natural\n1.png,text\n2.png,natural\n"
    )
    for _ in range(2):
        code = picolab(
            *("evaluate", str(folder / "set"), "--codecs", "jpeg-420,webp,png,vtm"),
            *("--metrics", "psnr,ssimulacra2", "--bpp-range", "0.8..3"),
            *("-j", "1", "-o", str(folder / "out")),
        )
        assert code == 0
        text = (folder / "out" / "bd_rate.csv").read_text()
        page = (folder / "out" / "index.html").read_text()
    (folder / "out" / "before").write_text(text)
    assert (folder / "out" / "bd_rate.csv").read_text() == text
    assert (folder / "out" / "index.html").read_text() == page
    return Run(folder / "out")


def test_rates_may_be_chosen(tmp_path, photo, capsys):
    Image.fromarray(photo(32, 40)).save(tmp_path / "a.png")
    words = ("evaluate", str(tmp_path / "a.png"), "--codecs", "jpeg-420,webp", "--metrics", "psnr")
    words += ("-j", "1", "--no-page", "-o", str(tmp_path / "out"))
    assert picolab(*words, "--rates", "webp=2,60") == 0
    facts = Run(tmp_path / "out").facts["codecs"]
    assert facts["webp"]["rates"] == [2, 60] and len(facts["jpeg-420"]["rates"]) == 6
    with pytest.raises(ValueError, match="avif: not among"):
        picolab(*words, "--rates", "avif=1")
    with pytest.raises(SystemExit):
        picolab(*words, "--rates", "webp=low")


def test_bd_rates_against_the_anchor(run):
    with open(run.folder / "bd_rate.csv", newline="") as file:
        rows = {
            (r["codec"], r["anchor"], r["metric"]): r
            for r in csv.DictReader(file)
            if r["kind"] == "all"
        }
    webp = rows["webp", "jpeg-420", "psnr"]
    assert float(webp["low95"]) <= float(webp["percent"]) <= float(webp["high95"]) < 0
    assert int(webp["images"]) + int(webp["refused"]) == 3
    assert 0.79 < float(webp["anchor_bpp_from"]) < float(webp["anchor_bpp_to"]) < 3.01
    assert "usable points" in rows["png", "jpeg-420", "psnr"]["reason"]


def sets_of_two(folder, whole):
    """The files of a run: `half` has at half the bits the distances `whole` `[(bpp, distance)]`."""
    facts = {
        "kinds": {"set/a": "natural", "set/b": "natural"},
        "codecs": {"half": {}, "whole": {}},
        "images": ["set/a", "set/b"],
        "metrics": {},
        "set_metrics": ["fd_lite0"],
        "anchor": "whole",
        "bpp_range": [0.1, 0.6],
    }
    (folder / "run.json").write_text(json.dumps(facts))
    lines = ["kind,codec,rate,images,bpp,bpp_se,patches,fd_lite0"]
    for codec, factor in (("half", 0.5), ("whole", 1)):
        for bpp, distance in whole:
            lines.append(f"all,{codec},{bpp},2,{factor * bpp},0,1200,{distance}")
    (folder / "summary.csv").write_text("\n".join(lines) + "\n")


def test_a_metric_of_sets_has_one_curve_over_the_mean_rate(tmp_path):
    sets_of_two(tmp_path, [(0.08, 40), (0.2, 17), (0.4, 6), (0.8, 1)])
    found = Run(tmp_path).compare("half", "whole", "fd_lite0").summary
    assert found.percent == pytest.approx(-50) and found.images == 1
    assert found.bpp == pytest.approx((0.1, 0.6))
    equal = Run(tmp_path).at_equal_bytes("half", "fd_lite0", (0.1, 0.4))
    assert 0 < equal.test < equal.anchor  # distances as they are
    text = bd_rates(Run(tmp_path))
    assert "### half / whole at the same bytes, 0.15 to 0.35 bpp" in text
    ratio = re.search(r"\((0\.\d\d)\)", text.split("at the same bytes")[1])
    assert ratio and 0 < float(ratio[1]) < 1


def test_no_ratio_of_distances_that_are_none(tmp_path):
    sets_of_two(tmp_path, [(0.08, 40), (0.15, 0), (0.35, 0), (0.8, 0)])
    text = bd_rates(Run(tmp_path)).split("at the same bytes")[1]
    assert re.search(r"/ 0 \|", text)


def test_the_report_tells_versions_settings_and_what_is_left_out(run):
    text = (run.folder / "results.md").read_text()
    assert "PIL.Image.save(format='WEBP', quality={rate}, method=6, use_sharp_yuv=True)" in text
    assert "libwebp" in text and "ssimulacra2 0.3" in text
    assert "| vtm | no picolab-vtm-encode on the PATH |" in text
    assert "| cvvdp | ColorVideoVDP: its package imports torchvision" in text
    assert "over 0.8 to 3 bpp of the anchor" in text
    assert "set (3)" in text
    assert "plots/psnr.svg" in text and (run.folder / "plots" / "psnr.png").is_file()


def test_each_kind_of_pictures_has_its_own_tables(run):
    assert run.kinds == {"natural": 2, "text": 1}
    found = {kind: run.compare("webp", "jpeg-420", "psnr", kind).summary for kind in run.kinds}
    every = run.compare("webp", "jpeg-420", "psnr").summary
    assert (found["natural"].images, found["text"].images, every.images) == (2, 1, 3)
    weighted = (2 * found["natural"].percent + found["text"].percent) / 3
    assert weighted == pytest.approx(every.percent)
    for text in ((run.folder / "bd_rate.md").read_text(), (run.folder / "index.html").read_text()):
        for heading in ("natural (2)", "text (1)"):
            assert text.count(f"against jpeg-420 over 0.8 to 3 bpp of the anchor, {heading}") == 1
        assert f"{found['text'].percent:+.1f} %" in text
    means = {(r["kind"], r["codec"], r["rate"]): r for r in run._summaries}
    text_row = means["text", "webp", "40"]
    (row,) = [r for r in run.rows if (r["image"], r["codec"], r["rate"]) == ("set/1", "webp", "40")]
    assert text_row["images"] == "1" and text_row["psnr"] == row["psnr"]


def test_the_report_comes_from_the_folder_alone(run, tmp_path):
    assert picolab("report", str(run.folder), "-o", str(tmp_path / "results.md")) == 0
    text = (tmp_path / "results.md").read_text()
    for picture in re.findall(r"!\[.*\]\((.*)\)", text):
        assert (tmp_path / picture).is_file()
    assert text.replace("(results/", "(plots/") == (run.folder / "results.md").read_text()
    with pytest.raises(FileNotFoundError, match="no finished run"):
        picolab("report", str(tmp_path), "-o", str(tmp_path / "x.md"))


def test_the_page_needs_no_other_file(run):
    page = (run.folder / "index.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(s.startswith(("data:", "#")) for s in sources)
    assert page.count("<svg") == 2
    assert page.count("<h3>PSNR (RGB, dB)</h3>") == 1


def test_the_slider_holds_what_was_decoded(run):
    page = (run.folder / "index.html").read_text()
    data = re.search(r'id="pictures">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    pictures = json.loads(data[1])
    assert list(pictures) == ["set/0", "set/1", "set/2"]
    for name, layers in pictures.items():
        assert list(layers) == ["original", "jpeg-420", "webp", "png"]
        sizes = {
            codec: int(re.search(r"([\d,]+) bytes", layers[codec]["caption"])[1].replace(",", ""))
            for codec in ("jpeg-420", "webp")
        }
        rows = [r for r in run.rows if (r["image"], r["codec"]) == (name, "webp")]
        distance = [abs(int(r["bytes"]) - sizes["jpeg-420"]) for r in rows]
        assert abs(sizes["webp"] - sizes["jpeg-420"]) == min(distance)
        row = next(r for r in rows if int(r["bytes"]) == sizes["webp"])
        webp = peers.load(["webp"])[0][0]
        shown = base64.b64decode(layers["webp"]["source"].split(",")[1])
        decoded = webp.decode((run.folder / row["file"]).read_bytes())
        assert np.array_equal(np.array(Image.open(io.BytesIO(shown))), decoded)


def test_wrong_words_are_told(run, tmp_path):
    folder = str(run.folder.parent / "set")
    for words, message in (
        (["--codecs", "gif"], "no codec is called gif"),
        (["--metrics", "vmaf"], "no metric is called vmaf"),
        (["--max-megapixels", "0.001"], "no picture of at most 0.001 megapixels"),
        (["--codecs", "webp"], "the anchor jpeg-420 is not among the codecs"),
    ):
        with pytest.raises(ValueError, match=message):
            picolab("evaluate", folder, *words, "-o", str(tmp_path))
    with pytest.raises(SystemExit):
        picolab("evaluate", folder, "--bpp-range", "0.8..0.1")


def test_cost_of_one_photo(run, tmp_path, photo):
    Image.fromarray(photo(200, 300)).save(tmp_path / "photo.png")
    codecs, _ = peers.load(["jpeg-420", "png"])
    measure(codecs, tmp_path / "photo.png", run.folder, rounds=1)
    cost = Run(run.folder).cost
    assert cost is not None
    jpeg = cost["codecs"]["jpeg-420"]
    assert jpeg["encode_cpu"] > 0 and jpeg["encode_seconds"] > 0
    assert jpeg["encode_mib"] >= cost["idle_mib"] * 0.9 > 10
    assert picolab("report", str(run.folder), "-o", str(tmp_path / "results.md")) == 0
    text = (tmp_path / "results.md").read_text()
    assert "One photo of 0.1 megapixels" in text and "| jpeg-420 |" in text
    (run.folder / "cost.json").unlink()


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium on the PATH")
def test_the_slider_works_in_a_browser(run, tmp_path):
    """Opened from disk; the split follows the mouse and the keys; each side shows its codec."""
    page = (run.folder / "index.html").read_text()
    pictures = json.loads(re.search(r'id="pictures">(.*?)</script>', page, re.DOTALL)[1])
    with browser.Browser(tmp_path / "profile") as tab:
        tab.open(run.folder / "index.html")

        def shown() -> np.ndarray:
            """The box's pixels, once its pictures are decoded and drawn."""
            tab.run(
                "Promise.all([...document.querySelectorAll('#compare img')].map(i => i.decode()))"
            )
            box = json.loads(tab.run("JSON.stringify(compare.getBoundingClientRect())"))
            left, top = round(box["x"]), round(box["y"])
            area = tab.screenshot()[top : top + 96, left : left + 120]
            assert area.shape == (96, 120, 3)
            return area

        def layer(codec: str, image: str = "set/0") -> np.ndarray:
            data = base64.b64decode(pictures[image][codec]["source"].split(",")[1])
            return np.array(Image.open(io.BytesIO(data)).convert("RGB"))

        def check(at: int, left: np.ndarray, right: np.ndarray) -> None:
            # Without the line and its shadow, and the edges, which the browser smooths.
            before, after = np.s_[1:-1, 1 : max(at - 6, 1)], np.s_[1:-1, at + 6 : -1]
            area = shown()
            assert np.array_equal(area[before], left[before])
            assert np.array_equal(area[after], right[after])

        check(60, layer("jpeg-420"), layer("png"))
        box = json.loads(tab.run("JSON.stringify(compare.getBoundingClientRect())"))
        x, y = box["x"], box["y"] + 40
        tab.mouse("Pressed", x + 30, y)
        check(30, layer("jpeg-420"), layer("png"))
        tab.mouse("Moved", x + 96, y)
        check(96, layer("jpeg-420"), layer("png"))
        tab.mouse("Released", x + 96, y)
        tab.run("document.getElementById('split').focus()")
        tab.key("End")
        check(120, layer("jpeg-420"), layer("png"))
        for select, value in (("image", "set/2"), ("left", "webp"), ("right", "original")):
            tab.run(
                f"by('{select}').value = '{value}';"
                f"by('{select}').dispatchEvent(new Event('change'))"
            )
        tab.key("Home")
        check(0, layer("webp", "set/2"), layer("original", "set/2"))
        captions = [tab.run(f"by('{side}-caption').textContent") for side in ("left", "right")]
        assert captions == [pictures["set/2"][name]["caption"] for name in ("webp", "original")]
