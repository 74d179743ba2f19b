"""The decoder in web/decoder, written from docs/format.md alone, reads what this one reads."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import subprocess
from pathlib import Path

import chromium
import numpy as np
import pytest
from cases import all_cases
from PIL import Image
from symbols import digests

from picocodec.codec.graphics import decode_lossless, stream_of
from picocodec.codec.networks import DEFAULT_MODEL, load_model, load_model_for, model_folders
from picocodec.codec.tiles import Tile, block
from picocodec.errors import PicoError
from picocodec.format import container

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "web" / "decoder"
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*/*.pico"))
# Metadata and alpha, of which the decoder gives the bytes only, are not its to judge.
HOSTILE = sorted((ROOT / "tests" / "hostile").glob("*/*.pico"))
HOSTILE = [path for path in HOSTILE if path.parent.name != "CorruptChunk"]
# Those of them that only who decodes WebP finds wrong.
UNSOUND = {"stream-empty", "stream-of-noise", "stream-in-a-file", "block-stream-cut"}


@pytest.fixture(scope="session")
def built() -> Path:
    """The decoder's command, compiled."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if int(subprocess.check_output(["node", "--version"], text=True)[1:].split(".")[0]) < 20:
        pytest.skip("node is older than 20")
    if not (PACKAGE / "node_modules" / "typescript").exists():
        install = ["npm", "ci", "--no-audit", "--no-fund"]
        if subprocess.run(install, cwd=PACKAGE, capture_output=True).returncode:
            pytest.skip("npm cannot install TypeScript here")
    built = subprocess.run(["npm", "run", "build"], cwd=PACKAGE, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout
    return PACKAGE / "dist" / "cli.js"


def theirs(built: Path, paths: list[Path], model: Path) -> dict[str, list[str]]:
    """For each file what is printed of its tiles, or the kind of its error."""
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
    found = theirs(built, HOSTILE, model_folders()["small.v0"])
    for path in HOSTILE:
        if path.parent.name == "picture" or path.stem in UNSOUND:
            assert found[path.name] == ours(path.read_bytes())
            assert all(len(line) == 64 for line in found[path.name])
        else:
            assert found[path.name] == [path.parent.name], path


@pytest.mark.parametrize("mode", [2, 4])
def test_blocks_that_are_cut_off_at_the_edges(built: Path, tmp_path: Path, mode: int) -> None:
    """Five by five tiles: blocks of 16, 4, 4 and one."""
    side = 4 * container.TILE + 100
    model = load_model(DEFAULT_MODEL, threads=1)
    tiles, modes = [b""] * 25, [(mode, 500)] * 25
    for row in (0, 4):
        for column in (0, 4):
            area = block(side, side, row, column)
            file = webp(np.full((area.height, area.width, 3), 9 * row + column, np.uint8))
            tiles[5 * row + column] = file if mode == 2 else stream_of(file, area)
    data = container.write(
        width=side, height=side, level=500, model=model.identity, tiles=tiles, tile_modes=modes
    )
    found = theirs(built, write(tmp_path, {"blocks": data}), model_folders()[DEFAULT_MODEL])
    assert found == {"blocks": ours(data)}
    assert sorted(map(found["blocks"].count, set(found["blocks"]))) == [1, 4, 4, 16]


@pytest.mark.parametrize("colour", [0, 2], ids=["even", "odd"])  # bytes of the stream
def test_every_bit_of_a_webp_files_head_matters_alike(
    built: Path, tmp_path: Path, colour: int
) -> None:
    model = load_model(DEFAULT_MODEL, threads=1).identity
    good = webp(np.full((40, 50, 3), colour, np.uint8))
    files = {}
    for bit in range(8 * 25):
        file = bytearray(good)
        file[bit // 8] ^= 1 << bit % 8
        files[f"bit{bit}"] = bytes(file)
    files |= {"good": good, "cut": good[:24], "longer": good + b"\0\0", "end": good[:-1] + b"\1"}
    files = {
        name: container.write(
            width=50, height=40, level=0, model=model, tiles=[data], tile_modes=[(1, 0)]
        )
        for name, data in files.items()
    }
    found = theirs(built, write(tmp_path, files), model_folders()[DEFAULT_MODEL])
    assert found == {name: ours(data) for name, data in files.items()}
    # Of the head, nobody listens to the bit that says whether there is alpha.
    assert {name for name in files if found[name] == found["good"]} == {"good", "bit196"}


SCRIPT = """
import { losslessImage, losslessPixels, Mode, readHeader, sha256 } from "/dist/index.js";
const lines = [];
try {
  for (let n = 0; n < COUNT; n++) {
    const file = new Uint8Array(await (await fetch(`/file/${n}`)).arrayBuffer());
    const header = readHeader(file);
    for (let i = 0; i < header.tiles.length; i++) {
      if (header.tiles[i].mode === Mode.Learned) continue;
      const image = losslessImage(file, header, i);
      if (image.tiles[0] !== i) continue;
      try {
        const { top, left, height, width } = image.area;
        const pixels = await losslessPixels(image);
        const digest = await sha256(new Uint8Array(pixels.data));
        lines.push([n, top, left, height, width, digest].join(" "));
      } catch (error) { lines.push(`${n} ${error.kind}`); }
    }
  }
} catch (error) { lines.push(String(error.stack)); }
await fetch("/result", { method: "POST", body: lines.join("\\n") });
"""


def test_a_browser_shows_the_pixels_of_lossless_tiles(built: Path, tmp_path: Path) -> None:
    if shutil.which(chromium.PROGRAM) is None:
        pytest.skip("Chromium is not installed")
    paths = [path for path in GOLDEN if path.name.startswith(("lossless", "webp"))]
    expected = []
    for n, path in enumerate(paths):
        header = container.read_header(path.read_bytes())
        width = header.width if header.tiles[0].mode in container.JOINED else container.TILE
        pixels = np.array(Image.open(path.with_suffix(".png")).convert("RGBA"))[:, :width]
        expected.append(f"{n} 0 0 {header.height} {width} {sha256(pixels)}")
    for name in sorted(UNSOUND):
        expected.append(f"{len(paths)} CorruptTile")
        paths.append(next(path for path in HOSTILE if path.stem == name))
    # Colours that nobody is to see are colours yet: alpha is ignored, in the header and behind it.
    rng = np.random.default_rng(0)
    transparent = rng.integers(0, 256, (40, 50, 4), np.uint8)
    file = webp(transparent)
    stream = stream_of(file, Tile(0, 0, 40, 50))
    opaque = transparent.copy()
    opaque[:, :, 3] = 255
    assert np.array_equal(decode_lossless(stream, Tile(0, 0, 40, 50)), opaque[:, :, :3])
    model = load_model(DEFAULT_MODEL, threads=1).identity
    for mode, data in ((container.MODE_WEBP, file), (container.MODE_LOSSLESS, stream)):
        expected.append(f"{len(paths)} 0 0 40 50 {sha256(opaque)}")
        paths.append(tmp_path / f"{mode}.pico")
        paths[-1].write_bytes(
            container.write(
                width=50, height=40, level=0, model=model, tiles=[data], tile_modes=[(mode, 0)]
            )
        )
    files = {f"file/{n}": path for n, path in enumerate(paths)}
    files |= {f"dist/{path.name}": path for path in built.parent.glob("*.js")}
    script = SCRIPT.replace("COUNT", str(len(paths)))
    assert chromium.post_of(script, files, patience=120).splitlines() == expected


def sha256(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()


def webp(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, exact=True)
    return out.getvalue()


@pytest.mark.parametrize("golden", ["photo-low", "lossless-tile", "lossless-block"])
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
    model = load_model(DEFAULT_MODEL, threads=1)
    files = {}
    for n in range(40):
        noise = rng.randbytes(rng.choice([0, 3, 4, 8, 12, 40, 400]))
        files[f"noise{n}"] = container.write(
            width=50, height=40, level=rng.choice([0, 500, 1000]), model=model.identity,
            tiles=[noise],
        )  # fmt: skip
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
