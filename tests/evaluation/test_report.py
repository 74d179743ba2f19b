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
    means = {(r["kind"], r["codec"], r["rate"]): r for r in run.summaries}
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
    assert page.count("<svg") == 3  # two plots, and the slider's handle
    assert page.count("<h3>PSNR (RGB, dB)</h3>") == 1


# A number that changes once the viewer shows what was chosen.
SHOWN = "document.querySelector('.pico-viewer').dataset.shown"


def scenes_of(page) -> dict:
    """What the viewer of a page shows."""
    data = re.search(r'id="pictures">(.*?)</script>', page.read_text(), re.DOTALL)
    assert data is not None
    return json.loads(data[1])["scenes"]


def embedded(source: str) -> np.ndarray:
    data = base64.b64decode(source.split(",")[1])
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def test_the_viewer_holds_what_was_decoded(run):
    pictures = scenes_of(run.folder / "index.html")
    assert list(pictures) == ["set/0", "set/1", "set/2"]
    for name, scene in pictures.items():
        [rate] = scene["rates"]
        shown = {each["codec"]: each for each in rate["shown"]}
        assert list(shown) == ["jpeg-420", "webp", "png"]
        assert rate["target"] == shown["jpeg-420"]["bytes"]
        rows = [r for r in run.rows if (r["image"], r["codec"]) == (name, "webp")]
        distance = [abs(int(r["bytes"]) - rate["target"]) for r in rows]
        assert abs(shown["webp"]["bytes"] - rate["target"]) == min(distance)
        row = next(r for r in rows if int(r["bytes"]) == shown["webp"]["bytes"])
        assert shown["webp"]["metrics"]["psnr"] == float(row["psnr"])
        webp = peers.load(["webp"])[0][0]
        decoded = webp.decode((run.folder / row["file"]).read_bytes())
        assert np.array_equal(embedded(shown["webp"]["source"]), decoded)


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium on the PATH")
def test_the_viewer_works_in_a_browser(run, tmp_path):
    """Opened from disk; the split follows the mouse and the keys; each side shows its codec."""
    pictures = scenes_of(run.folder / "index.html")
    with browser.Browser(tmp_path / "profile") as tab:
        tab.open(run.folder / "index.html")

        def choose(**chosen: str) -> None:
            for name, value in chosen.items():
                before = tab.run(SHOWN)
                tab.run(
                    f"document.querySelector('#{name}').value = '{value}';"
                    f"document.querySelector('#{name}').dispatchEvent(new Event('change'))"
                )
                browser.eventually(lambda b=before: tab.run(SHOWN) != b or 1 / 0)

        def box() -> tuple[float, float, float, float]:
            """Of the left picture, at one pixel of the screen to each of its own."""
            tab.run("document.querySelector('#actual').click()")
            return tab.run(
                "(() => { const b = compare.panes.left.firstElementChild.getBoundingClientRect();"
                "return [b.left, b.top, b.width, b.height]; })()"
            )

        def layer(codec: str, image: str) -> np.ndarray:
            scene = pictures[image]
            sources = {each["codec"]: each["source"] for each in scene["rates"][0]["shown"]}
            return embedded(scene["original"] if codec == "original" else sources[codec])

        def check(at: float, left: np.ndarray, right: np.ndarray) -> None:
            x, y, width, height = box()
            assert (width, height) == (120, 96)
            found = tab.screenshot()[round(y) : round(y) + 96, round(x) : round(x) + 120]
            line = round(at - x)
            before, after = np.s_[:, : max(line - 4, 0)], np.s_[:, max(line + 4, 0) :]
            middle = slice(0, 20)  # above the handle
            assert np.array_equal(found[before][middle], left[before][middle])
            assert np.array_equal(found[after][middle], right[after][middle])

        tab.run("document.querySelector('.frame').scrollIntoView()")
        choose(left="jpeg-420", right="png")
        x, y, width, _ = tab.run(
            "(() => { const b = compare.getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height]; })()"
        )
        tab.mouse("Pressed", x + width / 2, y + 40)
        tab.mouse("Moved", x + width / 2 - 30, y + 40)
        tab.mouse("Released", x + width / 2 - 30, y + 40)
        check(x + width / 2 - 30, layer("jpeg-420", "set/0"), layer("png", "set/0"))
        tab.run("compare.knob.focus()")
        tab.key("End")
        check(x + width, layer("jpeg-420", "set/0"), layer("png", "set/0"))
        tab.key("Home")
        choose(scene="set/2", left="webp", right="original")
        check(x, layer("webp", "set/2"), layer("original", "set/2"))
        rows = tab.run("[...document.querySelectorAll('#table tbody th')].map(e => e.textContent)")
        assert rows == ["jpeg-420", "webp", "png"]
        label = tab.run("compare.labels.left.textContent")
        webp = next(e for e in pictures["set/2"]["rates"][0]["shown"] if e["codec"] == "webp")
        assert label == f"webp, {webp['bytes']:,} bytes"


def test_wrong_words_are_told(run, tmp_path):
    folder = str(run.folder.parent / "set")
    for words, message in (
        (["--codecs", "gif"], "no codec is called gif"),
        (["--metrics", "vmaf"], "no metric is called vmaf"),
        (["--max-megapixels", "0.001"], "no picture of at most 0.001 megapixels"),
        (["--codecs", "webp", "--metrics", "psnr"], "the anchor jpeg-420 is not among the codecs"),
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
