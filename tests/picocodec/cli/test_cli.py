"""picoenc, picodec and picoinfo as people use them: files, streams, messages, exit codes."""

import io
import json
import os
import re
import stat
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

import picocodec
from picocodec import cli
from picocodec.cli import batch

COLOURS = np.random.default_rng(1).integers(0, 256, (20, 30, 4), np.uint8)
ICC, XMP = b"a profile", b"<x:xmpmeta/>"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a photo."""
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[274] = 6
    im = Image.fromarray(COLOURS[:, :, :3])
    im.save("photo.jpg", exif=exif, icc_profile=ICC, xmp=XMP, quality=95)
    return tmp_path


@pytest.fixture
def pico(folder):
    (folder / "photo.pico").write_bytes(picocodec.encode(Image.open("photo.jpg")))
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def info(name):
    with open(name, "rb") as file:
        return picocodec.read_info(file.read())


def command(name, *args, stdin=b""):
    """Run a command as a process, for what concerns its standard streams."""
    code = f"import sys; from picocodec.cli import {name}; sys.exit({name}())"
    return subprocess.run([sys.executable, "-c", code, *args], input=stdin, capture_output=True)


def usage_error(capsys, function, *args):
    with pytest.raises(SystemExit) as caught:
        function(args)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_there_and_back(folder, capsys):
    assert cli.picoenc(["photo.jpg", "-e", "0"]) == 0
    assert cli.picodec(["photo.pico"]) == 0
    assert names(folder) == ["photo.jpg", "photo.pico", "photo.png"]
    assert info("photo.pico").quality == 50
    with open("photo.pico", "rb") as file, Image.open("photo.png") as im:
        np.testing.assert_array_equal(np.asarray(im), picocodec.decode(file.read()))
        assert (im.info["icc_profile"], im.info["xmp"], im.getexif()[274]) == (ICC, XMP, 6)
    out, err = capsys.readouterr()
    size = os.path.getsize("photo.pico")
    assert out == ""
    jpeg = os.path.getsize("photo.jpg")
    assert (
        f"photo.jpg -> photo.pico  {jpeg / 1000:.2f} kB -> {size} bytes ({100 * size / jpeg:.0f}"
        in err
    )
    assert f"%)  quality 50  {8 * size / 600:.2f} bpp  100 % learned" in err
    assert "photo.pico -> photo.png  30x20" in err


@pytest.mark.parametrize(
    ("read", "written", "text"),
    [
        (2_310_000, 94_200, "2.31 MB -> 94.2 kB (4.1 %)"),
        (12_300_000, 999_400, "12.3 MB -> 999 kB (8.1 %)"),
        (12_300_000, 999_600, "12.3 MB -> 1.00 MB (8.1 %)"),
        (999, 40, "999 bytes -> 40 bytes (4.0 %)"),
        (500_000_000, 400_000, "500 MB -> 400 kB (0.08 %)"),
        (1000, 1200, "1.00 kB -> 1.20 kB"),
        (0, 99_960, "100 kB"),
    ],
)
def test_sizes_never_round_to_nothing(read, written, text):
    assert batch.sizes(read, written) == text


def test_lossless(folder, capsys):
    assert cli.picoenc(["photo.jpg", "--lossless"]) == 0
    err = capsys.readouterr().err
    assert "  lossless  " in err and "0 % learned" in err
    with Image.open("photo.jpg") as im:
        np.testing.assert_array_equal(picocodec.decode("photo.pico"), np.asarray(im))
    assert "not allowed" in usage_error(capsys, cli.picoenc, "a.jpg", "--lossless", "-q", "5")


def test_output_is_the_second_name_or_an_option(folder):
    assert cli.picoenc(["photo.jpg", "a.pico", "-q", "12.5"]) == 0
    assert cli.picoenc(["photo.jpg", "-o", "b.anything", "--quality=12.5"]) == 0
    assert info("a.pico").quality == info("b.anything").quality == 12.5
    assert cli.picodec(["a.pico", "a.webp"]) == 0
    assert cli.picodec(["b.anything", "-o", "b.PPM"]) == 0
    with Image.open("a.webp") as a, Image.open("b.PPM") as b:
        assert (a.format, b.format) == ("WEBP", "PPM")
        # PPM and NPY hold no EXIF: the photo, which lies on its side, is turned upright.
        assert a.getexif()[274] == 6
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(a)), np.asarray(b))
        upright = np.asarray(b)
    assert cli.picodec(["a.pico", "c.data", "--format", "npy"]) == 0
    np.testing.assert_array_equal(np.load("c.data"), upright)


def test_two_photos_are_two_inputs(folder):
    Image.new("L", (3, 3)).save("second.png")
    before = (folder / "second.png").read_bytes()
    assert cli.picoenc(["photo.jpg", "second.png"]) == 0
    assert names(folder) == ["photo.jpg", "photo.pico", "second.pico", "second.png"]
    assert (folder / "second.png").read_bytes() == before
    assert cli.picodec(["photo.pico", "second.pico", "--format", "bmp"]) == 0
    assert (folder / "second.bmp").exists()


def test_many_inputs_into_a_new_folder(folder):
    Image.new("RGBA", (3, 3)).save("second.png")
    assert cli.picoenc(["photo.jpg", "second.png", "-o", "new/deep"]) == 0
    assert names(folder / "new/deep") == ["photo.pico", "second.pico"]
    assert cli.picodec(["new/deep/photo.pico", "-o", "one/"]) == 0
    assert names(folder / "one") == ["photo.png"]


def test_each_failure_is_told_and_the_rest_is_done(folder, capsys):
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no image")
    (folder / "cut.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:-300])
    inputs = ["empty.png", "text.jpg", "cut.jpg", "missing.jpg", ".", "photo.jpg"]
    assert cli.picoenc([*inputs, "-o", "out"]) == 1
    assert names(folder / "out") == ["photo.pico"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "picoenc: empty.png: the file is empty"
    assert lines[1].startswith("picoenc: text.jpg: not an image file")
    assert lines[2].startswith(
        "picoenc: cut.jpg: the image cannot be read: image file is truncated"
    )
    assert lines[3] == "picoenc: missing.jpg: No such file or directory"
    assert lines[4] == "picoenc: .: Is a directory"
    assert lines[6].startswith("picoenc: 6 files: 1 done, 5 failed;") and len(lines) == 7


def test_two_inputs_for_one_output(folder, capsys):
    (folder / "sub").mkdir()
    Image.new("RGB", (2, 2)).save("sub/photo.png")
    assert cli.picoenc(["photo.jpg", "sub/photo.png", "-o", "out"]) == 1
    assert "picoenc: sub/photo.png: its output out/photo.pico is that of photo.jpg" in (
        capsys.readouterr().err
    )
    assert info("out/photo.pico").width == 30


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda data: b"", "not a .pico file"),
        (lambda data: b"\x89PNG" + data[4:], "not a .pico file"),
        (lambda data: data[:3], "ends within its header"),
        (lambda data: data[:20], "ends within its header"),
        (lambda data: data[:-1], "the file ends after"),
        (lambda data: data + b"\0", "1 bytes follow"),
        (lambda data: data[:4] + b"\x63" + data[5:], "format version 99"),
        (lambda data: data[:6] + bytes([data[6] ^ 4]) + data[7:], "header"),
        (lambda data: data[:-9] + bytes([data[-9] ^ 4]) + data[-8:], "checksum"),
    ],
)
def test_damaged_files_leave_what_was_there(pico, capsys, damage, fault):
    (pico / "bad.pico").write_bytes(damage((pico / "photo.pico").read_bytes()))
    (pico / "bad.png").write_bytes(b"an older file")
    before = names(pico)
    assert cli.picodec(["bad.pico", "--overwrite"]) == 1
    assert names(pico) == before
    assert (pico / "bad.png").read_bytes() == b"an older file"
    err = capsys.readouterr().err
    assert err.startswith("picodec: bad.pico: ") and fault in err and err.count("\n") == 1
    assert cli.picoinfo(["bad.pico"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("picoinfo: bad.pico: ") and fault in err


def test_output_that_cannot_be_written(folder, capsys):
    assert cli.picoenc(["photo.jpg", "-o", "missing/a.pico"]) == 1
    assert capsys.readouterr().err == (
        "picoenc: photo.jpg: missing/a.pico: No such file or directory\n"
    )
    (folder / "file").touch()
    assert "file: " in usage_error(capsys, cli.picoenc, "photo.jpg", "photo.jpg", "-o", "file")
    assert names(folder) == ["file", "photo.jpg"]


def test_interruption_leaves_the_old_file(pico, capsys, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    before = (pico / "photo.pico").read_bytes()
    monkeypatch.setattr("picocodec.coders.learned.LearnedCoder.encode", interrupt)
    assert cli.picoenc(["photo.jpg", "--overwrite"]) == 130
    assert names(pico) == ["photo.jpg", "photo.pico"]
    assert (pico / "photo.pico").read_bytes() == before
    assert capsys.readouterr().err == "picoenc: interrupted\n"


def test_overwriting(pico, capsys):
    (pico / "photo.pico").write_bytes(b"old")
    assert cli.picoenc(["photo.jpg", "--no-overwrite"]) == 1
    assert "photo.pico exists already" in capsys.readouterr().err
    assert (pico / "photo.pico").read_bytes() == b"old"
    assert cli.picoenc(["photo.jpg", "--overwrite"]) == 0
    assert info("photo.pico").width == 30


def test_files_that_were_not_named_are_kept(pico, capsys):
    """The original beside a .pico file, above all."""
    original = Image.fromarray(COLOURS[:, :, :3])
    (pico / "sub").mkdir()
    for name in ("photo.png", "sub/photo.png"):
        original.save(name)
    before = (pico / "photo.png").read_bytes()
    old = (pico / "photo.pico").read_bytes()
    (pico / "photo.pico").write_bytes(old)
    for arguments in (["photo.pico"], ["photo.pico", "-o", "."], ["photo.pico", "-o", "sub/"]):
        assert cli.picodec(arguments) == 1
        assert "photo.png exists already: give --overwrite" in capsys.readouterr().err
    assert cli.picodec(["-r", ".", "--skip-existing"]) == 0
    assert cli.picoenc(["photo.png"]) == 1
    assert (pico / "photo.pico").read_bytes() == old
    for name in ("photo.png", "sub/photo.png"):
        assert (pico / name).read_bytes() == before
    assert cli.picodec(["photo.pico", "photo.png", "--no-overwrite"]) == 1
    assert (pico / "photo.png").read_bytes() == before
    assert cli.picodec(["photo.pico", "photo.png"]) == 0  # it was told to
    assert (pico / "photo.png").read_bytes() != before
    assert cli.picodec(["photo.pico", "-o", "sub", "--overwrite"]) == 0
    assert (pico / "sub/photo.png").read_bytes() == (pico / "photo.png").read_bytes()
    usage_error(capsys, cli.picodec, "photo.pico", "--overwrite", "--no-overwrite")


def test_replaced_files_keep_their_mode(folder, capsys):
    assert cli.picoenc(["photo.jpg", "a.pico"]) == 0
    for mode in (0o600, 0o640, 0o755):
        os.chmod("a.pico", mode)
        assert cli.picoenc(["photo.jpg", "a.pico", "-q", "20"]) == 0
        assert stat.S_IMODE(os.stat("a.pico").st_mode) == mode
    before = (folder / "a.pico").read_bytes()
    os.chmod("a.pico", 0o444)
    for options in ([], ["--overwrite"]):
        assert cli.picoenc(["photo.jpg", "a.pico", *options]) == 1
        assert capsys.readouterr().err.endswith(
            "picoenc: photo.jpg: a.pico: it is read-only, and so not replaced\n"
        )
    assert (folder / "a.pico").read_bytes() == before
    assert names(folder) == ["a.pico", "photo.jpg"]


def test_an_input_is_never_its_own_output(pico, capsys):
    before = (pico / "photo.pico").read_bytes()
    assert cli.picoenc(["photo.pico"]) == 1
    assert cli.picoenc(["photo.jpg", "-o", "./photo.jpg"]) == 1
    assert capsys.readouterr().err.count("would be overwritten") == 2
    assert (pico / "photo.pico").read_bytes() == before
    assert cli.picoenc(["photo.pico", "-o", "smaller.pico", "-q", "5"]) == 0
    assert info("smaller.pico").quality == 5


def test_output_keeps_links_devices_and_the_umask(folder):
    (folder / "real.pico").write_bytes(b"old")
    (folder / "link.pico").symlink_to("real.pico")
    assert cli.picoenc(["photo.jpg", "link.pico"]) == 0
    assert (folder / "link.pico").is_symlink()
    assert info("real.pico").width == 30
    assert cli.picoenc(["photo.jpg", "-o", os.devnull]) == 0
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    (folder / "plain").touch()
    assert os.stat("real.pico").st_mode == os.stat("plain").st_mode


def test_standard_streams(folder):
    photo = (folder / "photo.jpg").read_bytes()
    encoded = command("picoenc", "-", stdin=photo)
    assert encoded.returncode == 0
    assert encoded.stdout == picocodec.encode(Image.open("photo.jpg"))
    assert encoded.stderr.startswith(b"- -> -  %.2f kB -> " % (len(photo) / 1000))
    decoded = command("picodec", "-", "-", "--format", "ppm", "--quiet", stdin=encoded.stdout)
    assert (decoded.returncode, decoded.stdout[:12]) == (0, b"P6\n20 30\n255")
    # A profile is dropped, quietly here.
    assert decoded.stderr == b""
    told = command("picoinfo", "-", "--json", stdin=encoded.stdout)
    assert json.loads(told.stdout)["width"] == 30
    assert command("picoenc", "-", "named.pico", stdin=photo).stdout == b""
    assert (folder / "named.pico").read_bytes() == encoded.stdout


def test_damaged_input_sends_nothing_to_standard_output(pico):
    data = (pico / "photo.pico").read_bytes()
    result = command("picodec", "-", stdin=data[:-1])
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.startswith(b"picodec: -: the file ends after")
    assert command("picoenc", "-").stderr == b"picoenc: -: the file is empty\n"


def test_progress_and_colours_are_for_terminals_only(folder):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    code = "import sys; from picocodec.cli import picoenc; sys.exit(picoenc(['photo.jpg']))"
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs) as process:
        assert process.wait() == 0
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "1/1 tiles\r\033[Kphoto.jpg -> photo.pico" in shown


def test_strip(folder):
    for strip, kept in (("all", ()), ("exif,xmp", ("icc",)), ("icc", ("exif", "xmp"))):
        assert cli.picoenc(["photo.jpg", "photo.pico", "--strip", strip]) == 0
        found = info("photo.pico")
        assert [n for n in ("icc", "exif", "xmp") if getattr(found, f"has_{n}")] == list(kept)
    assert cli.picodec(["photo.pico", "--strip", "all"]) == 0
    with Image.open("photo.png") as im:
        assert "exif" not in im.info


def test_warnings_are_messages(folder, capsys):
    frames = [Image.new("L", (3, 2), value) for value in (10, 200)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    assert cli.picoenc(["moving.gif"]) == 0
    assert "picoenc: moving.gif: warning: " in capsys.readouterr().err
    assert cli.picoenc(["moving.gif", "--quiet", "--overwrite"]) == 0
    assert capsys.readouterr().err == ""


def test_transparency_needs_a_format_that_holds_it(folder, capsys):
    Image.fromarray(COLOURS).save("clear.png")
    assert cli.picoenc(["clear.png"]) == 0
    assert cli.picodec(["clear.pico", "clear.jpg"]) == 1
    assert "write PNG, WebP or TIFF" in capsys.readouterr().err
    assert not (folder / "clear.jpg").exists()


def test_limit_of_pixels(pico, capsys):
    limit = Image.MAX_IMAGE_PIXELS
    for function, name in ((cli.picoenc, "photo.jpg"), (cli.picodec, "photo.pico")):
        out = f"out.{'pico' if name.endswith('jpg') else 'png'}"
        assert function([name, out, "--max-pixels", "599"]) == 1
        assert "limit of 599" in capsys.readouterr().err
        assert function([name, out, "--max-pixels", "600"]) == 0
    assert limit == Image.MAX_IMAGE_PIXELS


def test_verbose(pico, capsys):
    assert cli.picodec(["photo.pico", "-v", "--threads", "1"]) == 0
    err = capsys.readouterr().err
    assert "quality 50" in err and "tiles 1" in err and "with exif, xmp, icc" in err


def test_unknown_model(folder, capsys):
    assert cli.picoenc(["photo.jpg", "--model", "nothing.v9"]) == 1
    assert "picoenc: photo.jpg: model nothing.v9 is not installed" in capsys.readouterr().err
    assert names(folder) == ["photo.jpg"]


def test_picoinfo(pico, capsys):
    assert cli.picoinfo(["photo.pico", "photo.jpg"]) == 1
    out, err = capsys.readouterr()
    size = os.path.getsize("photo.pico")
    assert out.startswith(f"photo.pico\n  30x20 RGB  {size} bytes  {8 * size / 600:.2f} bpp")
    assert err.startswith("picoinfo: photo.jpg: not a .pico file")
    assert cli.picoinfo(["--json", "photo.pico", "photo.pico"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[0] == told[1]
    assert (told[0]["file"], told[0]["has_icc"], told[0]["mode"]) == ("photo.pico", True, "RGB")


def test_names_that_are_no_text(pico):
    os.rename(b"photo.pico", b"\xff.pico")
    result = command("picoinfo", b"\xff.pico")
    assert (result.returncode, result.stdout[:9]) == (0, b"\\xff.pico")
    assert command("picodec", b"\xff.pico").returncode == 0
    assert os.path.exists(b"\xff.png")


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["photo.jpg", "-q", "101"],
        ["photo.jpg", "-q", "nan"],
        ["photo.jpg", "-q", "good"],
        ["photo.jpg", "-j", "-1"],
        ["photo.jpg", "--strip", "pixels"],
        ["photo.jpg", "second.jpg", "-o", "-"],
        ["photo.jpg", "-", "-o", "folder"],
        ["-", "-o", "."],
        ["--unknown"],
    ],
)
def test_wrong_usage_of_picoenc(folder, capsys, args):
    assert usage_error(capsys, cli.picoenc, *args).startswith("usage: picoenc")
    assert names(folder) == ["photo.jpg"]


@pytest.mark.parametrize(
    "args",
    [
        ["photo.pico", "photo.xyz"],
        ["photo.pico", "-o", "photo"],
        ["photo.pico", "--format", "xyz"],
        ["photo.pico", "photo.png", "--format", "jpg"],
        ["photo.pico", "--max-pixels", "many"],
    ],
)
def test_wrong_usage_of_picodec(pico, capsys, args):
    assert usage_error(capsys, cli.picodec, *args).startswith("usage: picodec")
    assert names(pico) == ["photo.jpg", "photo.pico"]


@pytest.mark.parametrize("function", [cli.picoenc, cli.picodec, cli.picoinfo])
def test_version_and_help(capsys, function):
    for option in ("-V", "-h"):
        with pytest.raises(SystemExit) as caught:
            function([option])
        assert caught.value.code == 0
        out = capsys.readouterr().out
        assert (picocodec.__version__ in out) if option == "-V" else ("usage" in out)


@pytest.mark.parametrize(
    "arguments", [["-", "--format", "png", "-"], ["--format", "png", "-", "-"]]
)
def test_options_may_stand_between_the_names(arguments: list[str]) -> None:
    data = picocodec.encode(np.full((9, 12, 3), 128, np.uint8))
    code = "import sys; from picocodec.cli import picodec; sys.exit(picodec())"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert image.format == "PNG" and image.size == (12, 9)


def tree(folder):
    """Photos in a folder and one below it, with something that is none."""
    (folder / "in/deep").mkdir(parents=True)
    for name in ("a.jpg", "b.PNG", "deep/c.png"):
        Image.fromarray(COLOURS[:, :, :3]).save(folder / "in" / name)
    (folder / "in/notes.txt").write_text("no picture")
    (folder / "in/deep/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_folders(folder, capfd, jobs):
    tree(folder)
    assert cli.picoenc(["in", "-r", "-o", "out", "-j", jobs]) == 1
    assert names(folder / "out") == ["a.pico", "b.pico", "deep"]
    assert names(folder / "out/deep") == ["c.pico"]
    err = capfd.readouterr().err
    assert "picoenc: in/deep/broken.png: " in err and "notes" not in err
    sizes = r"[\d.]+ kB -> \d+ bytes \(\d+ %\) in "
    assert re.search("picoenc: 4 files: 3 done, 1 failed; " + sizes, err)
    (folder / "out/a.pico").unlink()
    before = os.stat("out/b.pico").st_mtime_ns
    (folder / "in/deep/broken.png").unlink()
    assert cli.picoenc(["in", "-r", "-o", "out", "--skip-existing", "-j", jobs]) == 0
    assert os.stat("out/b.pico").st_mtime_ns == before
    assert "3 files: 1 done, 2 skipped" in capfd.readouterr().err
    assert cli.picodec(["out", "-r", "-o", "back", "--quiet", "-j", jobs]) == 0
    assert names(folder / "back/deep") == ["c.png"]
    assert capfd.readouterr().err == ""


def test_folders_without_an_output_folder(folder):
    tree(folder)
    assert cli.picoenc(["-r", "in/deep", "photo.jpg"]) == 1
    assert (folder / "in/deep/c.pico").exists() and (folder / "photo.pico").exists()


def test_folders_without_pictures(folder, capsys):
    (folder / "empty").mkdir()
    assert "empty: no pictures" in usage_error(capsys, cli.picoenc, "-r", "empty")
    assert cli.picoenc(["empty"]) == 1
    assert "picoenc: empty: Is a directory" in capsys.readouterr().err


def test_photos_of_one_name_in_a_folder(folder, capsys):
    Image.new("L", (3, 3)).save("photo.png")
    assert cli.picoenc(["-r", ".", "-o", "out"]) == 1
    assert "photo.png: its output out/photo.pico is that of ./photo.jpg" in capsys.readouterr().err
    assert info("out/photo.pico").width == 30


def test_names_behind_two_dashes_may_begin_with_one(folder):
    os.rename("photo.jpg", "-dash.jpg")
    assert cli.picoenc(["--quiet", "--", "-dash.jpg"]) == 0
    assert names(folder) == ["-dash.jpg", "-dash.pico"]
    assert cli.picodec(["-o", "back.png", "--", "-dash.pico"]) == 0
    assert cli.picoinfo(["--", "-dash.pico"]) == 0
