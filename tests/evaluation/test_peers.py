from __future__ import annotations

import os
import pickle
import re
import stat
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

import picocodec
from picocodec.model.store import MODEL_PATH_VARIABLE
from picolab.evaluation import peers
from picolab.evaluation.metrics.pixel import PSNR

ROUND_TRIP = [
    "picocodec",
    "jpeg-420",
    "jpeg-444",
    "mozjpeg",
    "jpegli",
    "webp",
    "jxl-e7",
    "avif-420-s6",
    "avif-444-s6",
    "avif-444-s6-psnr",
    "avif-svt-s6",
    "heic-420",
    "heic-444-slower",
    "vvc-faster",
    "avif-aom-10bit-444-s1",
    "avif-svt-10bit-s0",
]


def codec(name: str) -> peers.Codec:
    found, left_out = peers.load([name])
    if left_out:
        pytest.skip(f"{name}: {left_out[name]}")
    return found[0]


@pytest.mark.parametrize("name", ROUND_TRIP)
def test_more_bytes_look_better_and_odd_sides_come_back(name, photo):
    peer = codec(name)
    noisy = photo(262, 194)
    image = noisy.reshape(131, 2, 97, 2, 3).mean((1, 3)).astype(np.uint8)
    few, many = (peer.encode(image, rate) for rate in (peer.rates[1], peer.rates[-1]))
    assert len(few) < len(many)
    pictures = [peer.decode(data) for data in (few, many)]
    assert all(p.shape == image.shape and p.dtype == np.uint8 for p in pictures)
    low, high = (PSNR()(image, p) for p in pictures)
    assert 15 < low < high and high > 27.5


@pytest.mark.parametrize("name", [*ROUND_TRIP, "png"])
def test_codecs_say_what_they_are_and_can_be_sent_to_a_process(name):
    peer = pickle.loads(pickle.dumps(codec(name)))
    assert peer.name == name
    assert re.search(r"\d", peer.version)
    assert "{rate}" in peer.settings or len(peer.rates) == 1
    assert peer.extension.startswith(".")


def test_other_models_than_the_default_are_peers(photo, model_folder, monkeypatch):
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))
    peer = codec("picocodec-tiny.v1")
    assert picocodec.read_info(peer.encode(photo(80, 70), 50)).model == "tiny.v1"
    assert "tiny.v1" in peer.settings and peer.name == "picocodec-tiny.v1"


def test_png_is_lossless(photo):
    png = codec("png")
    assert np.array_equal(png.decode(png.encode(photo(40, 33), 0)), photo(40, 33))


def test_subsampling_is_what_the_name_says(photo, tmp_path):
    for name, expected in (("jpeg-420", 2), ("jpeg-444", 1), ("mozjpeg", 2)):
        file = tmp_path / "x.jpg"
        file.write_bytes(codec(name).encode(photo(64, 64), 50))
        with Image.open(file) as image:
            assert image.layer[0][1:3] == (expected, expected)


def test_psnr_agrees_with_ffmpegs(photo, tmp_path):
    """Within 0.01 dB, on the file as it lies on disk."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    image, jpeg = photo(96, 128), codec("jpeg-444")
    Image.fromarray(image).save(tmp_path / "a.png")
    data = jpeg.encode(image, 60)
    Image.fromarray(jpeg.decode(data)).save(tmp_path / "b.png")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(tmp_path / "a.png")]
    command += ["-i", str(tmp_path / "b.png"), "-lavfi", "psnr", "-f", "null", "-"]
    shown = subprocess.run(command, capture_output=True, text=True).stderr
    found = re.search(r"average:([\d.]+)", shown)
    assert found is not None, shown
    assert PSNR()(image, jpeg.decode(data)) == pytest.approx(float(found[1]), abs=0.01)


def test_those_not_on_the_path_are_left_out_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    codecs, left_out = peers.load(["png", "bpg", "vtm", "av2"])
    assert [c.name for c in codecs] == ["png"]
    assert left_out == {
        "bpg": "no bpgenc on the PATH",
        "vtm": "no picolab-vtm-encode on the PATH",
        "av2": "no picolab-av2-encode on the PATH",
    }


def test_an_unknown_name_is_an_error():
    with pytest.raises(ValueError, match="no codec is called jpg.*jpeg-420"):
        peers.load(["jpg"])


def test_executables_on_the_path_are_run(monkeypatch, tmp_path, photo):
    """Programs that keep the PNG as it is, and fail at rate 1."""
    programs = {
        "picolab-hific-encode": '[ "$1" = --version ] && echo v7 && exit\n'
        '[ "$2" = 1 ] && echo no such rate >&2 && exit 3\ncp "$1" "$3"',
        "picolab-hific-decode": 'cp "$1" "$2"',
    }
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    hific = codec("hific")
    assert hific.version == "v7"
    assert np.array_equal(hific.decode(hific.encode(photo(20, 30), 0)), photo(20, 30))
    with pytest.raises(RuntimeError, match="picolab-hific-encode failed: no such rate"):
        hific.encode(photo(20, 30), 1)


class Zoo(types.ModuleType):
    """As compressai.zoo is: a model keeps every 8th pixel, as many strings as hyperpriors do."""

    def __init__(self) -> None:
        super().__init__("compressai.zoo")
        self.image_models = {"mbt2018": self.make}
        self.asked: list[int] = []

    def make(self, quality: int, metric: str, pretrained: bool) -> Zoo:
        assert metric == "mse" and pretrained
        self.asked.append(quality)
        return self

    def eval(self) -> Zoo:
        return self

    def update(self) -> None:
        pass

    def compress(self, x: torch.Tensor) -> dict:
        assert x.shape[2] % 64 == x.shape[3] % 64 == 0 and 0 <= x.min() <= x.max() <= 1
        small = (x[0, :, ::8, ::8] * 255).round().to(torch.uint8)
        strings = [[small.numpy().tobytes()], [b"hyper"]]
        return {"strings": strings, "shape": torch.Size((small.shape[1] // 8, small.shape[2] // 8))}

    def decompress(self, strings: list[list[bytes]], shape: list[int]) -> dict:
        assert strings[1] == [b"hyper"]
        rows, columns = (8 * side for side in shape)
        small = torch.frombuffer(bytearray(strings[0][0]), dtype=torch.uint8)
        small = small.view(1, 3, rows, columns).float() / 255
        return {"x_hat": torch.nn.functional.interpolate(small, scale_factor=8) + 0.001}


def test_compressai_takes_part_where_its_weights_are(photo, tmp_path, monkeypatch):
    """Against a package of the same interface: the real one wants torchvision."""
    zoo, image = Zoo(), types.ModuleType("compressai.zoo.image")
    package = types.ModuleType("compressai")
    package.__version__ = "1.2"
    urls = {q: f"https://models.example/mbt2018-{q}-abc.pth.tar" for q in (3, 1, 2)}
    image.model_urls = {"mbt2018": {"mse": urls}}
    modules = {"compressai": package, "compressai.zoo": zoo, "compressai.zoo.image": image}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    _, left_out = peers.load(["compressai-mbt2018"])
    assert "mbt2018-1-abc.pth.tar" in left_out["compressai-mbt2018"]
    assert str(tmp_path / "hub" / "checkpoints") in left_out["compressai-mbt2018"]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    for quality in (3, 2):
        (tmp_path / "hub" / "checkpoints" / f"mbt2018-{quality}-abc.pth.tar").touch()
    peer = pickle.loads(pickle.dumps(peers.make("compressai-mbt2018")))
    assert peer.rates == (2, 3) and peer.version == "compressai 1.2"
    flat = np.broadcast_to(np.array([10, 120, 250], np.uint8), (70, 90, 3))
    data = peer.encode(flat, 3)
    assert len(data) == 10 + 4 + 128 // 8 * 128 // 8 * 3 + 4 + len(b"hyper")
    assert np.array_equal(peer.decode(data), flat) and zoo.asked == [3]


def test_compressai_is_left_out_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "compressai", None)
    _, left_out = peers.load(["compressai-mbt2018", "compressai-cheng2020-attn"])
    assert all("needs the package compressai" in reason for reason in left_out.values())
    assert len(left_out) == 2
