"""The decoder in web/decoder, written from docs/format.md alone, reads what this one reads."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from cases import all_cases, digest

from picocodec.codec.decoder import decode_symbols
from picocodec.codec.networks import DEFAULT_MODEL, load_model, load_model_for, model_folders
from picocodec.codec.tiles import layout
from picocodec.errors import PicoError
from picocodec.format import container

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "web" / "decoder"
GOLDEN = [
    path
    for path in sorted((ROOT / "tests" / "golden").glob("*/*.pico"))
    if all(t.mode == container.MODE_LEARNED for t in container.read_header(path.read_bytes()).tiles)
]


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
    """For each file the digests of its tiles, or the kind of its error."""
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
    digests = []
    try:
        header = container.read_header(data)
        container.check_size(header, len(data))
        for i, tile in enumerate(layout(header.width, header.height)):
            payload = container.tile_data(header, data, i, header.tile_offset(i))
            model = load_model_for(header.model, threads=1)
            digests.append(digest(*decode_symbols(model, payload, tile, header.tiles[i].level)))
    except PicoError as error:
        return [type(error).__name__]
    return digests


def write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


@pytest.mark.parametrize("name", sorted({path.parent.name for path in GOLDEN}))
def test_golden_files_have_the_same_symbols(built: Path, name: str) -> None:
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


def test_damage_is_found_and_named_alike(built: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = (ROOT / "tests" / "golden" / DEFAULT_MODEL / "photo-low.pico").read_bytes()
    files = {f"cut{n}": whole[:n] for n in range(0, len(whole), 3)}
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
