"""Galleries: every codec at matched bytes, in the viewer."""

from __future__ import annotations

import json
import re

import numpy as np
from PIL import Image

from picolab.evaluation import gallery, peers
from picolab.evaluation.viewer import Scene, fragment


def test_files_fill_their_targets(photo):
    codecs, _ = peers.load(["picocodec", "webp", "jpeg-420"])
    original = photo(200, 260)
    for target in (2500, 6000):
        for codec in codecs:
            file, rate = gallery.filled(codec, original, target)
            assert len(file) <= target, (codec.name, target)
            ours = codec.name == "picocodec"
            assert ours or codec.encode(original, rate) == file
            assert len(file) >= (0.99 if ours else 0.8) * target


def test_what_cannot_be_so_small_is_the_smallest(photo):
    [codec], _ = peers.load(["jpeg-420"])
    original = photo(64, 64)
    file, rate = gallery.at_most(lambda r: codec.encode(original, r), codec, 10)
    assert rate == min(codec.rates) and len(file) > 10


def test_a_gallery_of_a_run(tmp_path, photo, monkeypatch, capsys):
    from test_report import picolab

    monkeypatch.setattr(gallery, "BPPS", (0.5, 1.5))
    Image.fromarray(photo(96, 120)).save(tmp_path / "a.png")
    words = ("evaluate", str(tmp_path / "a.png"), "--codecs", "picocodec,webp,jpeg-420")
    words += ("--metrics", "psnr", "-j", "1", "--no-page", "-o", str(tmp_path / "out"))
    assert picolab(*words, "--rates", "picocodec=10,40,70", "--gallery") == 0
    page = tmp_path / "out" / "gallery" / "index.html"
    assert f"look at {page}" in capsys.readouterr().out
    data = re.search(r'id="pictures">(.*?)</script>', page.read_text(), re.DOTALL)
    [scene] = json.loads(data[1])["scenes"].values()
    assert [rate["title"] for rate in scene["rates"]] == ["0.5 bpp", "1.5 bpp"]
    for rate in scene["rates"]:
        assert [shown["codec"] for shown in rate["shown"]] == ["picocodec", "webp", "jpeg-420"]
        ours = rate["shown"][0]
        assert (page.parent / ours["file"]).read_bytes()[1:4] == b"PIC"
        assert sum(part["bytes"] for part in ours["parts"]) < ours["bytes"]
        for shown in rate["shown"]:
            pixels = np.array(Image.open(page.parent / shown["source"]).convert("RGB"))
            error = np.square(pixels.astype(float) - photo(96, 120)).mean()
            assert abs(shown["metrics"]["psnr"] - 10 * np.log10(255**2 / error)) < 1e-3


def test_names_cannot_end_the_script():
    text = fragment([Scene("</script><b>", 1, 1, "a.webp", [])], [])
    assert "</script><b>" not in text
