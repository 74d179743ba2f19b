"""What the wheel brings to shells and file managers, tried with their own tools where these are."""

import os
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import picocodec
from picocodec import cli
from picocodec.format import container

ROOT = Path(__file__).parents[3]
SHARE = ROOT / "share"
COMMANDS = ("picoenc", "picodec", "picoinfo", "picocorpus", "pico-thumbnailer")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def tool(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def run(*args, **options):
    return subprocess.run(args, capture_output=True, text=True, timeout=120, **options)


@pytest.fixture
def pico(tmp_path):
    """A photo on its side."""
    exif = Image.Exif()
    exif[274] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    path = tmp_path / "a photo.pico"
    path.write_bytes(picocodec.encode(pixels, 20, exif=exif.tobytes(), icc=b"profile"))
    return path


def test_generated_files_are_those_of_the_parsers(monkeypatch):
    pytest.importorskip("shtab")
    pytest.importorskip("argparse_manpage")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.setenv("COLUMNS", "80")
    import share

    for name, text in share.files():
        assert (SHARE / name).read_text("utf-8") == text, f"{name}: run python tools/share.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_pages_are_pages(name):
    page = SHARE / f"man/man1/{name}.1"
    man = run(tool("man"), "--warnings", "-l", str(page), env={**os.environ, "MANPAGER": "cat"})
    assert man.returncode == 0 and man.stderr == ""
    for heading in ("NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS"):
        assert f"\n{heading}\n" in man.stdout


def test_bash_completes_options_and_files(tmp_path):
    (tmp_path / "photo.jpg").touch()
    for word, expected in (("--target-", "--target-size"), ("pho", "photo.jpg")):
        script = (
            f"source {SHARE}/bash-completion/completions/picoenc; "
            f"COMP_WORDS=(picoenc {word}); COMP_CWORD=1; "
            "$(complete -p picoenc | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = run(tool("bash"), "-c", script, cwd=tmp_path)
        assert expected in done.stdout.split(), done.stderr


def test_fish_completes_options():
    script = f"source {SHARE}/fish/vendor_completions.d/picodec.fish; complete -C 'picodec --rea'"
    assert "--realism" in run(tool("fish"), "-c", script).stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_zsh_reads_its_functions(name):
    done = run(tool("zsh"), "-n", str(SHARE / f"zsh/site-functions/_{name}"))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_type_is_known_by_name_and_by_content(pico, tmp_path):
    magic = ElementTree.parse(SHARE / "mime/packages/picocodec.xml").find(".//{*}match")
    value = magic.get("value").encode("latin-1").decode("unicode_escape").encode("latin-1")
    assert container.SIGNATURE.startswith(value) and len(value) >= 4
    database, gio = tool("update-mime-database"), tool("gio")
    home = tmp_path / "share"
    (home / "mime/packages").mkdir(parents=True)
    shutil.copy(SHARE / "mime/packages/picocodec.xml", home / "mime/packages")
    done = run(database, str(home / "mime"))
    assert done.returncode == 0, done.stderr
    unnamed = shutil.copy(pico, tmp_path / "unnamed")
    for path in (pico, unnamed):
        told = run(gio, "info", "-a", "standard::content-type", str(path),
                   env={**os.environ, "XDG_DATA_HOME": str(home)})  # fmt: skip
        assert "image/x-pico" in told.stdout, told.stderr


def test_the_desktop_entry_is_valid():
    entry = str(SHARE / "applications/picocodec.desktop")
    done = run(tool("desktop-file-validate"), entry)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_file_manager_gets_its_thumbnail(pico, tmp_path):
    """By the line of the .thumbnailer file, as the freedesktop specification fills it."""
    lines = (SHARE / "thumbnailers/picocodec.thumbnailer").read_text().splitlines()
    line = next(line.removeprefix("Exec=") for line in lines if line.startswith("Exec="))
    out = tmp_path / "out.png"
    values = {"%i": str(pico), "%o": str(out), "%s": "128"}
    words = [values.get(word, word) for word in shlex.split(line)]
    code = (
        "import sys; from picocodec_commands import pico_thumbnailer; sys.exit(pico_thumbnailer())"
    )
    assert words[0] == "pico-thumbnailer"
    done = run(sys.executable, "-c", code, *words[1:], env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    with Image.open(out) as small:
        assert (small.size, small.format) == ((96, 128), "PNG")
        assert small.info["icc_profile"] == b"profile"


def test_no_thumbnail_of_what_is_no_picture(tmp_path, capsys):
    (tmp_path / "noise.pico").write_bytes(b"noise")
    out = tmp_path / "out.png"
    assert cli.pico_thumbnailer([str(tmp_path / "noise.pico"), str(out)]) == 1
    assert "noise.pico" in capsys.readouterr().err and not out.exists()
    assert cli.pico_thumbnailer([str(tmp_path / "nothing.pico"), str(out)]) == 1


def test_commands_run_as_a_module(pico):
    module = (sys.executable, "-m", "picocodec")
    assert "400x300 RGB" in run(*module, "info", str(pico), env=ENVIRONMENT).stdout
    done = run(*module, "decode", str(pico), "--quiet", env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "") and pico.with_suffix(".png").exists()
    done = run(*module, "encode", "nothing.jpg", env=ENVIRONMENT)
    assert done.returncode == 1 and "picoenc: nothing.jpg: No such file" in done.stderr
    done = run(*module, "paint", env=ENVIRONMENT)
    assert done.returncode == 2 and "encode|decode|info|corpus" in done.stderr
    assert run(*module, "--help", env=ENVIRONMENT).returncode == 0
