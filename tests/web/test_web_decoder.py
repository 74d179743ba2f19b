"""What web/picocodec, written from docs/format.md alone, reads of files before the networks is what
this one reads."""

from __future__ import annotations

import binascii
import hashlib
import io
import json
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import chromium
import numpy as np
import pytest
from cases import all_cases
from PIL import Image
from symbols import digests
from tiny import drawing, photo
from written import learned, unlearned

import picocodec
from picocodec.coders.av1 import decode_av1, encode_av1, is_available
from picocodec.coders.lossless import decode_lossless, encode_lossless
from picocodec.errors import PicoError
from picocodec.format import container
from picocodec.format.pieces import CoderId, Piece
from picocodec.format.tiles import MARGIN, TILE, Tile, area_of, tiles_along
from picocodec.model.noise import noise
from picocodec.model.store import DEFAULT_MODEL, load_model, load_model_for, model_folders

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*/*.pico"))
# Metadata and alpha, of which the decoder gives the bytes only, are not its to judge.
HOSTILE = sorted((ROOT / "tests" / "hostile").glob("*/*.pico"))
HOSTILE = [path for path in HOSTILE if path.parent.name != "CorruptChunk"]
# Those of them that only who decodes WebP or AV1 finds wrong.
UNSOUND = {"lossless-empty", "lossless-of-noise", "lossless-in-a-file", "lossless-cut"}
UNSOUND |= {"lossless-block-cut", "av1-frame-of-noise"}

needs_av1 = pytest.mark.skipif(not is_available(), reason="Pillow was built without AVIF")


def theirs(built: Path, paths: list[Path], model: Path) -> dict[str, list[str]]:
    """For each file what is printed of its pieces, or the kind of its error."""
    command = ["node", str(built), *map(str, paths), str(model)]
    run = subprocess.run(command, capture_output=True, text=True)
    found: dict[str, list[str]] = {path.name: [] for path in paths}
    for line in run.stdout.splitlines():
        line_digest, index, path = line.split("  ")
        assert int(index) == len(found[Path(path).name])
        found[Path(path).name].append(line_digest)
    for line in run.stderr.splitlines():
        path, kind, _ = line.split(": ", 2)
        found[Path(path).name] = [kind]
    assert run.returncode == (1 if run.stderr else 0)
    return found


def ours(data: bytes) -> list[str]:
    """The same by picocodec."""
    try:
        header = container.read_header(data)
        container.check_size(header, len(data))
        return digests(data, load_model_for(header.model, threads=1))
    except PicoError as error:
        return [type(error).__name__]


def write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


@pytest.mark.parametrize("name", sorted({path.parent.name for path in GOLDEN}))
def test_golden_files_have_the_same_symbols_and_streams(built: Path, name: str) -> None:
    paths = [path for path in GOLDEN if path.parent.name == name]
    found = theirs(built, paths, model_folders()[name])
    assert found == {path.name: ours(path.read_bytes()) for path in paths}
    assert all(len(line) == 64 for lines in found.values() for line in lines)


@pytest.mark.parametrize("name", sorted({path.parent.name for path in GOLDEN}))
def test_conformance_files_have_their_symbols(built: Path, tmp_path: Path, name: str) -> None:
    cases = [case for case in all_cases([name]) if case.folder.name != "12-megapixels"]
    files = {case.folder.name: case.file.read_bytes() for case in cases}
    found = theirs(built, write(tmp_path, files), model_folders()[name])
    assert found == {case.folder.name: list(case.expected.symbols) for case in cases}


def test_hostile_files_give_their_errors(built: Path) -> None:
    found = theirs(built, HOSTILE, model_folders()[DEFAULT_MODEL])
    for path in HOSTILE:
        if path.parent.name == "picture" or path.stem in UNSOUND:
            assert found[path.name] == ours(path.read_bytes())
            assert all(len(line) == 64 for line in found[path.name])
        else:
            assert found[path.name] == [path.parent.name], path


@pytest.mark.parametrize("kind", ["lossless", pytest.param("AV1", marks=needs_av1)])
def test_pieces_of_any_sides(built: Path, tmp_path: Path, kind: str) -> None:
    """Five by five tiles: pieces of 16, 4 and 3 tiles, and two alone."""
    side = 4 * TILE + 100
    pieces = []
    for first, rows, columns in ((0, 4, 4), (4, 4, 1), (20, 1, 3), (23, 1, 1), (24, 1, 1)):
        area = area_of(side, side, first, rows, columns)
        pixels = np.full((area.height, area.width, 3), 9 * first, np.uint8)
        payload = av1(pixels) if kind == "AV1" else encode_lossless(pixels)
        pieces.append(replace(unlearned(kind, payload), rows=rows, columns=columns))
    data = a_file(*pieces, width=side, height=side)
    found = theirs(built, write(tmp_path, {"pieces": data}), model_folders()[DEFAULT_MODEL])
    assert found == {"pieces": ours(data)}
    assert len(found["pieces"]) == 5


def a_file(*pieces: Piece, width: int = 50, height: int = 40, level: int = 500) -> bytes:
    model = load_model(DEFAULT_MODEL, threads=1).identity
    return container.write(width=width, height=height, level=level, model=model, pieces=pieces)


def test_every_first_byte_of_a_piece_is_taken_or_refused_alike(built: Path, tmp_path: Path) -> None:
    plain = a_file(*[unlearned("lossless", b"")] * 25, width=2116, height=2116)
    start = container.read_header(plain).size - 2 - 25 * 6
    files = {}
    for kind in range(256):
        changed = bytearray(plain)
        changed[start] = kind
        if kind >> 3 & 1:
            changed[start + 1 : start + 1] = (400).to_bytes(2, "little")
        tiles = ((kind >> 4 & 3) + 1) * ((kind >> 6) + 1)
        del changed[len(changed) - 2 - 6 * (tiles - 1) :]  # of the pieces that it takes in
        changed += binascii.crc_hqx(changed, 0xFFFF).to_bytes(2, "little")
        files[f"kind{kind}"] = bytes(changed)
    found = theirs(built, write(tmp_path, files), model_folders()[DEFAULT_MODEL])
    assert found == {name: ours(data) for name, data in files.items()}
    assert sum(lines == ["CorruptHeader"] for lines in found.values()) > 100


@needs_av1
@pytest.mark.parametrize("kind", ["AV1", "AV1 margin"])
def test_every_bit_of_an_av1_streams_head_matters_alike(
    built: Path, tmp_path: Path, kind: str
) -> None:
    """Flips make, among others, another profile, another size, 10 bits and film grain."""
    margin = 2 * MARGIN if kind == "AV1 margin" else 0
    good = av1(drawing(40 + margin, 50 + margin))
    sequence, frame = good[: 2 + good[1]], good[2 + good[1] :]
    assert sequence[0] == 0x0A and frame[0] == 0x32
    contents = sequence[2:]
    files = {"good": good}
    for bit in range(8 * (len(sequence) + 3)):  # with the first byte of the frame and its size
        stream = bytearray(good)
        stream[bit // 8] ^= 0x80 >> bit % 8
        files[f"bit{bit - 16}"] = bytes(stream)
    assert 128 <= len(frame) - 3 < 1 << 14
    files |= {f"cut{n}": good[:n] for n in (*range(len(sequence) + 4), len(good) - 1)}
    files |= {f"header{n}": unit(0x0A, contents[:n]) + frame for n in range(len(contents))}
    files |= {
        "longer": good + b"\0",
        "delimiter-before": b"\x12\0" + good,
        "delimiter-behind": good + b"\x12\0",
        "twice": good * 2,
        "frame-twice": good + frame,
        "frame-first": frame + sequence,
        "no-frame": sequence,
        "empty-frame": sequence + unit(0x32, b""),
        "padded-header": unit(0x0A, contents + b"\xff\0") + frame,
        "size-of-4-bytes": b"\x0a" + size(len(contents), 4) + contents + frame,
        "size-of-5-bytes": b"\x0a" + size(len(contents), 5) + contents + frame,
        "size-without-end": b"\x0a" + b"\xff" * 8,
        "larger": av1(drawing(41 + margin, 50 + margin)),
        "turned": av1(drawing(50 + margin, 40 + margin)),
    }
    files = {name: a_file(unlearned(kind, data)) for name, data in files.items()}
    found = theirs(built, write(tmp_path, files), model_folders()[DEFAULT_MODEL])
    assert found == {name: ours(data) for name, data in files.items()}
    assert all(len(found[name][0]) == 64 for name in ("good", "padded-header", "size-of-4-bytes"))
    assert {lines[0] for lines in found.values() if len(lines[0]) < 64} == {"CorruptTile"}
    # Nobody listens to the level, the tools, primaries and transfer, whether the quantisers of Cb
    # and Cr differ, and what follows film grain.
    unheard = [*range(5, 10), *range(30, 36), *range(38, 54), 63, *range(65, 8 * len(contents))]
    heard = {f"bit{bit}" for bit in range(-16, 8 * (len(contents) + 3))}
    heard -= {f"bit{bit}" for bit in unheard}
    assert {name for name in found if name[:3] == "bit" and len(found[name][0]) < 64} == heard


REFUSALS = """
import { readFileSync } from "node:fs";
const [library, ...files] = process.argv.slice(1);
const { av1Image, decodeSymbols, losslessImage, readHeader } = await import(library);
for (const path of files) {
  const file = readFileSync(path);
  const header = readHeader(file);
  const model = { name: header.model, check: header.check };
  for (const read of [losslessImage, av1Image, (...of) => decodeSymbols(model, ...of)]) {
    try { read(file, header, 0); } catch (error) { console.log(`${error.name}: ${error.message}`); }
  }
}
"""


def test_pieces_of_another_coder_are_mistakes_of_the_caller(built: Path) -> None:
    folder = ROOT / "tests" / "golden" / DEFAULT_MODEL
    files = [
        folder / f"{name}.pico" for name in ("lossless-tile", "av1-tile", "av1-block", "av1-photo")
    ]
    command = ["node", "--input-type=module", "-e", REFUSALS, str(built.with_name("format.js"))]
    run = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "RangeError: piece 0 has coder 1, which is not AV1",
        "RangeError: piece 0 has coder 1, which has no symbols",
        *[
            "RangeError: piece 0 has coder 2, which is not lossless",
            "RangeError: piece 0 has coder 2, which has no symbols",
        ]
        * 3,
    ]


SCRIPT = """
import {
  av1Image, av1Pixels, Coder, losslessImage, losslessPixels, readHeader, sha256,
} from "/dist/format.js";
const lines = [];
try {
  for (let n = 0; n < COUNT; n++) {
    const file = new Uint8Array(await (await fetch(`/file/${n}`)).arrayBuffer());
    const header = readHeader(file);
    for (let i = 0; i < header.pieces.length; i++) {
      const { coder } = header.pieces[i];
      if (coder === Coder.Learned) continue;
      const isAv1 = coder === Coder.Av1;
      const image = (isAv1 ? av1Image : losslessImage)(file, header, i);
      try {
        const { top, left, height, width } = image.area;
        const pixels = await (isAv1 ? av1Pixels : losslessPixels)(image);
        const digest = await sha256(new Uint8Array(pixels.data));
        lines.push([n, top, left, height, width, digest].join(" "));
      } catch (error) { lines.push(`${n} ${error.kind}`); }
    }
  }
} catch (error) { lines.push(String(error.stack)); }
await fetch("/result", { method: "POST", body: lines.join("\\n") });
"""


def shown(paths: list[Path], built: Path) -> list[str]:
    """What `SCRIPT` says of files in Chromium."""
    if shutil.which(chromium.PROGRAM) is None:
        pytest.skip("Chromium is not installed")
    files = {f"file/{n}": path for n, path in enumerate(paths)}
    dist = built.parent
    files |= {f"dist/{path.relative_to(dist)}": path for path in dist.rglob("*.js")}
    script = SCRIPT.replace("COUNT", str(len(paths)))
    return chromium.post_of(script, files, patience=120).splitlines()


def to_be_shown(n: int, data: bytes, pixels: np.ndarray) -> list[str]:
    """What it should say of file `n` of these pixels, `[h, w, 3]`."""
    header = container.read_header(data)
    lines = []
    for number, piece in enumerate(header.pieces):
        if piece.coder == CoderId.LEARNED:
            continue
        area = piece.area(header.width, header.height)
        if piece.margin:
            seen = decode_av1(container.payload(header, data, number), area)
        else:
            seen = pixels[area.within(Tile(0, 0, header.height, header.width))]
        place = f"{n} {area.top} {area.left} {area.height} {area.width}"
        lines.append(f"{place} {sha256(opaque(seen))}")
    return lines


def test_a_browser_shows_the_pixels_of_tiles_without_a_model(built: Path, tmp_path: Path) -> None:
    paths = [path for path in GOLDEN if path.name.startswith(("lossless", "av1"))]
    expected = []
    for n, path in enumerate(paths):
        pixels = np.array(Image.open(path.with_suffix(".png")).convert("RGB"))
        lines = to_be_shown(n, path.read_bytes(), pixels)
        assert lines
        expected += lines
    for name in sorted(UNSOUND):
        expected.append(f"{len(paths)} CorruptTile")
        paths.append(next(path for path in HOSTILE if path.stem == name))
    # Colours that nobody is to see are colours yet: alpha is ignored, in the header and behind it.
    rng = np.random.default_rng(0)
    transparent = rng.integers(0, 256, (40, 50, 4), np.uint8)
    stream = webp(transparent)[25:]
    assert np.array_equal(decode_lossless(stream, Tile(0, 0, 40, 50)), transparent[:, :, :3])
    expected.append(f"{len(paths)} 0 0 40 50 {sha256(opaque(transparent[:, :, :3]))}")
    paths.append(tmp_path / "transparent.pico")
    paths[-1].write_bytes(a_file(unlearned("lossless", stream)))
    assert shown(paths, built) == expected


@needs_av1
def test_a_browser_shows_the_very_pixels_of_av1(built: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (77, 33, 3), np.uint8)
    streams = {
        "photo-low": photo(150, 201),
        "photo-high": photo(568, 504, seed=1),
        "drawing": drawing(150, 420),
        "noise": noise,
        "one-pixel": noise[:1, :1],
        "block-of-photo": photo(120, 1100),
        "block-of-drawing": drawing(600, 650),
    }
    paths, expected = [], []
    for name, pixels in streams.items():
        height, width = pixels.shape[:2]
        stream = av1(pixels, 40 if name.endswith("low") else 90)
        sides = {"rows": tiles_along(height), "columns": tiles_along(width)}
        piece = replace(unlearned("AV1", stream), **sides)
        data = a_file(piece, width=width, height=height)
        decoded = picocodec.decode(data, threads=1)
        assert np.array_equal(decoded, decode_av1(stream, Tile(0, 0, height, width)))
        expected += to_be_shown(len(paths), data, decoded)
        paths.append(tmp_path / f"{name}.pico")
        paths[-1].write_bytes(data)
    assert len(expected) == len(streams)
    assert shown(paths, built) == expected


def opaque(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def sha256(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()


def webp(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, exact=True)
    return out.getvalue()


def av1(pixels: np.ndarray, quality: int = 60) -> bytes:
    stream = encode_av1(pixels, quality)
    assert stream is not None
    return stream


def unit(kind: int, contents: bytes) -> bytes:
    """An OBU of AV1."""
    return bytes([kind]) + size(len(contents), 1) + contents


def size(value: int, length: int) -> bytes:
    """A leb128, perhaps longer than it need be."""
    groups = [value >> 7 * i & 0x7F for i in range(length)]
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


@pytest.mark.parametrize(
    "golden", ["photo-low", "lossless-tile", "lossless-block", "av1-tile", "av1-block"]
)
def test_damage_is_found_and_named_alike(built: Path, tmp_path: Path, golden: str) -> None:
    rng = random.Random(0)
    whole = (ROOT / "tests" / "golden" / DEFAULT_MODEL / f"{golden}.pico").read_bytes()
    files = {f"cut{n}": whole[:n] for n in range(0, len(whole), max(3, len(whole) // 300))}
    for n in range(150):
        damaged = bytearray(whole)
        damaged[rng.randrange(48 if n % 2 else len(whole))] ^= 1 << rng.randrange(8)
        files[f"flip{n}"] = bytes(damaged)
    files["more"] = whole + b"\0"
    found = theirs(built, write(tmp_path, files), model_folders()[DEFAULT_MODEL])
    assert found == {name: ours(data) for name, data in files.items()}
    assert all(len(kinds) == 1 and len(kinds[0]) < 64 for kinds in found.values())


def test_data_no_encoder_wrote_is_read_or_refused_alike(built: Path, tmp_path: Path) -> None:
    """Noise under right checksums: what it decodes to, if to anything, is defined too."""
    rng = random.Random(1)
    files = {}
    for n in range(40):
        noise = rng.randbytes(rng.choice([0, 3, 4, 8, 12, 40, 400]))
        level = rng.choice([0, 500, 1000])
        files[f"noise{n}"] = a_file(learned(noise, level), level=level)
    found = theirs(built, write(tmp_path, files), model_folders()[DEFAULT_MODEL])
    assert found == {name: ours(data) for name, data in files.items()}
    assert {"CorruptTile"} < {kinds[0] for kinds in found.values()}


def test_another_threshold_of_coding_is_another_model(built: Path, tmp_path: Path) -> None:
    path = ROOT / "tests" / "golden" / DEFAULT_MODEL / "photo-low.pico"
    folder = Path(shutil.copytree(model_folders()[DEFAULT_MODEL], tmp_path / DEFAULT_MODEL))
    text = (folder / "model.toml").read_text()
    assert "skip_below = 5\n" in text
    (folder / "model.toml").write_text(text.replace("skip_below = 5", "skip_below = 6"))
    assert theirs(built, [path], folder) == {path.name: ["UnknownModel"]}


def test_the_noise_of_a_position_is_the_same_number(built: Path) -> None:
    script = """
      const { noise } = await import(process.argv[1]);
      console.log(JSON.stringify([...noise(8, 5, 7, 63 * 2000, 131067).data]));
    """
    module = built.parent / "model" / "noise.js"
    command = ["node", "--input-type=module", "-e", script, str(module)]
    found = json.loads(subprocess.check_output(command, text=True))
    np.testing.assert_allclose(found, noise(8, (5, 7), (63 * 2000, 131067)).flatten(), atol=1e-6)
