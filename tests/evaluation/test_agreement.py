"""Our numbers of the peers beside those of other people's programs, on the same files."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picolab.evaluation import peers
from picolab.evaluation.images import find
from picolab.evaluation.runner import Outcome, evaluate

# Each codec's file is decoded by a program that shares no build with the adapter.
DECODERS = {
    "jpeg-420": "djpeg -outfile {output} {input}",
    "mozjpeg": "djpeg -outfile {output} {input}",
    "webp": "dwebp {input} -ppm -o {output}",
    "avif-444-s6": "avifdec {input} {output}.png",
    "jxl-e7": "djxl {input} {output}.png",
    "heic-420": "heif-convert {input} {output}.png",
}


def needs(program: str) -> str:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on the PATH")
    return program


def tool(command: str) -> str:
    needs(command.split()[0])
    done = subprocess.run(command.split(), capture_output=True, text=True)
    return done.stdout + done.stderr


def magick(original: Path, decoded: Path) -> float:
    """ImageMagick."""
    return float(tool(f"compare -metric PSNR {original} {decoded} null:").split()[0])


def ffmpeg(original: Path, decoded: Path) -> float:
    """The filter of FFmpeg, over the three planes of RGB."""
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    said = tool(
        f"{program} -hide_banner -i {decoded} -i {original} "
        "-lavfi [0]format=gbrp[a];[1]format=gbrp[b];[a][b]psnr -f null -"
    )
    found = re.search(r"PSNR .*average:([\d.]+)", said)
    assert found is not None, said
    return float(found[1])


@pytest.fixture(scope="module")
def original(tmp_path_factory, photo) -> Path:
    path = tmp_path_factory.mktemp("agreement") / "original.png"
    Image.fromarray(photo(150, 203)).save(path)
    return path


def measured(name: str, original: Path) -> tuple[Outcome, Path]:
    codecs, left_out = peers.load([name])
    if left_out:
        pytest.skip(left_out[name])
    codecs[0].rates = codecs[0].rates[3:4]
    out = original.parent / name
    (outcome,) = evaluate(find([str(original)]), codecs, ["psnr"], out)
    assert not outcome.failures
    return outcome, out / outcome.file


@pytest.mark.parametrize("judge", [magick, ffmpeg])
@pytest.mark.parametrize("name", DECODERS)
def test_psnr_is_what_other_programs_measure(
    name: str, judge: Callable[[Path, Path], float], original: Path
) -> None:
    needs(DECODERS[name].split()[0])
    outcome, file = measured(name, original)
    output = original.parent / f"{name}-decoded"
    said = tool(DECODERS[name].format(input=file, output=output))
    decoded = output if output.is_file() else output.with_name(output.name + ".png")
    assert decoded.is_file(), said
    assert outcome.metrics["psnr"] == pytest.approx(judge(original, decoded), abs=0.01)


def test_cjpeg_writes_the_same_bytes(original: Path) -> None:
    needs("cjpeg")
    outcome, file = measured("jpeg-420", original)
    source, output = original.with_suffix(".ppm"), original.with_suffix(".jpg")
    Image.open(original).save(source)
    rate = f"{outcome.rate:g}"
    tool(f"cjpeg -quality {rate} -optimize -sample 2x2 -outfile {output} {source}")
    assert output.read_bytes() == file.read_bytes()
    assert outcome.bytes == output.stat().st_size


def test_webpinfo_prints_the_same_size(original: Path) -> None:
    needs("webpinfo")
    outcome, file = measured("webp", original)
    assert f"File size: {outcome.bytes:6d}\n" in tool(f"webpinfo {file}")


def test_an_independent_sum_gives_the_psnr(original: Path) -> None:
    outcome, file = measured("jpeg-420", original)
    a, b = (np.asarray(Image.open(path).convert("RGB"), float) for path in (original, file))
    assert outcome.metrics["psnr"] == pytest.approx(10 * np.log10(255**2 / ((a - b) ** 2).mean()))
