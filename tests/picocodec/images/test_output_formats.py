"""Output of picodec in lossy formats and by plug-ins: pixels, metadata, what is missing."""

import io
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import picocodec
from picocodec import cli
from picocodec.errors import UnsupportedImage
from picocodec.images import plugins
from picocodec.images.reading import read
from picocodec.images.writing import LOSSY

PACKAGES = {"heic": "pillow_heif", "jxl": "pillow_jxl"}
SMOOTH = np.stack(np.meshgrid(np.arange(60) * 4, np.arange(40) * 6, indexing="xy"), -1)
PIXELS = np.concatenate([SMOOTH, SMOOTH[:, :, :1] // 2, 255 - SMOOTH[:, :, 1:]], 2).astype(np.uint8)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


@pytest.fixture
def pico(tmp_path, monkeypatch):
    """A photo on its side, with all metadata."""
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[274], exif[271] = 6, "Maker"
    image = Image.fromarray(PIXELS[:, :, :3])
    data = picocodec.encode(image, 90, exif=exif.tobytes(), icc=ICC, xmp=XMP)
    (tmp_path / "photo.pico").write_bytes(data)
    return Image.fromarray(picocodec.decode(data, upright=True))


def need(extension):
    if extension in PACKAGES:
        pytest.importorskip(PACKAGES[extension])
    elif extension == "avif" and not plugins.features.check("avif"):
        pytest.skip("Pillow without AVIF")


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "avif", "heic", "jxl", "tif", "npy"])
def test_looks_and_metadata_are_kept(pico, extension, capsys):
    need(extension)
    assert cli.picodec(["photo.pico", f"photo.{extension}"]) == 0
    err = capsys.readouterr().err
    picture = read(f"photo.{extension}")
    with Image.fromarray(np.asarray(picture.rgb[:, :])) as im:
        if picture.exif:
            im.getexif().load(b"Exif\0\0" + picture.exif)
            make = im.getexif()[271]
        shown = np.asarray(ImageOps.exif_transpose(im)).astype(int)
    assert shown.shape == (60, 40, 3)
    assert np.abs(shown - np.asarray(pico)).max() <= (
        0 if extension in "png webp jxl tif npy" else 8
    )
    if extension == "npy":
        assert "NPY cannot hold icc_profile, exif, xmp: dropped" in err
        return
    assert make == "Maker"
    assert picture.xmp == XMP
    if extension == "jxl":
        assert "JXL cannot hold icc_profile: dropped" in err
    else:
        assert picture.icc == ICC
        assert "cannot hold" not in err


@pytest.mark.parametrize("extension", ["webp", "avif", "heic", "jxl"])
def test_alpha_is_kept(tmp_path, extension):
    need(extension)
    data = tmp_path / "photo.pico"
    data.write_bytes(picocodec.encode(PIXELS[:, :, :4]))
    assert cli.picodec([str(data), str(tmp_path / f"photo.{extension}"), "--quiet"]) == 0
    alpha = read(tmp_path / f"photo.{extension}").alpha
    assert np.abs(alpha.astype(int) - PIXELS[:, :, 3]).max() <= 6


@pytest.mark.parametrize("extension", ["jpg", "webp", "avif", "heic", "jxl"])
def test_output_quality(pico, extension, tmp_path):
    need(extension)
    sizes = []
    for quality in ("20", "60", "95"):
        args = ["photo.pico", f"{quality}.{extension}", "--output-quality", quality]
        assert cli.picodec([*args, "--strip", "all"]) == 0
        sizes.append((tmp_path / f"{quality}.{extension}").stat().st_size)
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]


def test_a_quality_without_effect_is_refused(pico, capsys):
    for extension in ("png", "tif", "ppm", "npy", "bmp"):
        with pytest.raises(SystemExit) as stop:
            cli.picodec(["photo.pico", f"a.{extension}", "--output-quality", "50"])
        assert stop.value.code == 2
        assert f"no effect on {extension}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.picodec(["photo.pico", "a.jpg", "--output-quality", "0"])
    assert "PNG" not in LOSSY


@pytest.mark.parametrize(
    ("extension", "package"), [("heic", "pillow-heif"), ("jxl", "pillow-jxl-plugin")]
)
def test_a_missing_plugin_is_named_with_what_installs_it(
    pico, extension, package, capsys, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, PACKAGES[extension], None)
    assert cli.picodec(["photo.pico", f"a.{extension}"]) == 1
    assert f"needs the package {package}: pip install {package}" in capsys.readouterr().err
    assert not (tmp_path / f"a.{extension}").exists()


@pytest.mark.parametrize(
    ("head", "plugin"),
    [(b"\0\0\0\x18ftypheic" + bytes(40), plugins.HEIF), (b"\xff\x0a" + bytes(40), plugins.JXL)],
)
def test_what_a_plugin_would_read_is_damaged_or_wants_it(head, plugin, monkeypatch):
    pytest.importorskip(plugin.module)
    with pytest.raises(UnsupportedImage, match="damaged|cannot be read"):
        read(io.BytesIO(head))
    monkeypatch.setitem(sys.modules, plugin.module, None)
    monkeypatch.setattr(
        Image, "OPEN", {k: v for k, v in Image.OPEN.items() if k not in plugins.PLUGINS}
    )
    monkeypatch.setattr(Image, "ID", [k for k in Image.ID if k not in plugins.PLUGINS])
    with pytest.raises(UnsupportedImage, match=f"pip install {plugin.package}"):
        read(io.BytesIO(head))
