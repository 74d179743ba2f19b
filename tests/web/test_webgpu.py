"""Networks on a GPU, where that is right and faster; in WebAssembly wherever anything is wrong.

Chromium's adapter in software is the only real one here; its shaders take so long that the tiny
codec has to do, unless the environment asks for the model that is released, too.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, executable
from gpus import pretend
from numpy.typing import NDArray
from pages import Page, empty_page
from PIL import Image
from serving import Server
from tiny import photo

import picocodec
from picocodec.format.tiles import TILE
from picocodec.model.store import DEFAULT_MODEL, MODEL_PATH_VARIABLE

WHOLE_SET = "PICOCODEC_WHOLE_SET"
SOFTWARE = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
GPU_FILES = ("gpu.js", "ort/ort-wasm-simd-threaded.jspi.mjs")
DECODE = """(async () => {
  const codec = new pico.Codec();
  const told = [];
  for (let i = 0; i < TIMES; i++) {
    const onBackend = ({ name, why }) => told.push(`${name}: ${why}`);
    const shown = await codec.decode(await bytesOf("/given.pico"), { ...OPTIONS, onBackend });
    await post("pixels", shown.data);
  }
  codec.close();
  return told;
})()"""
ENCODE = """(async () => {
  let told = "";
  const onBackend = ({ name, why }) => { told = `${name}: ${why}`; };
  const source = new Blob([await bytesOf("/source.png")]);
  const options = { model: "tiny.v1", gpu: "on", quality: 60, onBackend };
  await post("file", await pico.encode(source, options));
  return told;
})()"""
# Once a first picture is there, destroys what the GPU's work is done with, in the middle of it.
LOSE = b"""
let device = null;
const requested = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...given) {
  return (device = await requested.apply(this, given));
};
let isArmed = false;
const posted = self.postMessage.bind(self);
self.postMessage = (message, options) => {
  posted(message, options);
  isArmed ||= "result" in message;
};
const submitted = GPUQueue.prototype.submit;
GPUQueue.prototype.submit = function (...given) {
  submitted.apply(this, given);
  if (isArmed) device.destroy();
};
"""

Bytes = NDArray[np.uint8]


def packed(data: bytes) -> bytes:
    return b"\x01" + len(data).to_bytes(4, "little") + zlib.compress(data)


def serve_tiny(server: Server, folder: Path) -> None:
    for path in folder.iterdir():
        name = f"dist/models/tiny.v1/{path.name}"
        if path.suffix == ".toml":
            server.files[name] = path.read_bytes()
        else:
            server.files[f"{name}.packed"] = packed(path.read_bytes())


@pytest.fixture(scope="module", autouse=True)
def tiny(model_folder: Path) -> Iterator[None]:
    """The tiny codec, known to Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))
        yield


@pytest.fixture(scope="module")
def small() -> bytes:
    return picocodec.encode(photo(40, 50), 60, model="tiny.v1", effort=0, threads=1)


@pytest.fixture
def pretended(package: Path, chromium: Browser, model_folder: Path) -> Iterator[Page]:
    with empty_page(package, chromium) as (tab, server):
        serve_tiny(server, model_folder)
        yield tab, server


def decoded(page: Page, data: bytes, options: str, times: int = 1) -> list[str]:
    """What ran the networks each time; the picture must be Python's."""
    tab, server = page
    server.files["given.pico"] = data
    told = tab.run(DECODE.replace("TIMES", str(times)).replace("OPTIONS", options))
    expected = picocodec.decode(data, threads=1)
    found = np.frombuffer(server.posted["pixels"], np.uint8).reshape(*expected.shape[:2], 4)
    assert np.abs(found[:, :, :3].astype(int) - expected).max() <= 1
    return list(told)


def encoded(page: Page, pixels: Bytes) -> str:
    """What ran the networks; Python must read the file, and find it as near as its own."""
    tab, server = page
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    server.files["source.png"] = out.getvalue()
    told = tab.run(ENCODE)
    ours = picocodec.encode(pixels, 60, model="tiny.v1", effort=0, threads=1)
    found, expected = (
        picocodec.decode(file, threads=1).astype(float) for file in (server.posted["file"], ours)
    )
    assert len(server.posted["file"]) == pytest.approx(len(ours), abs=8)
    assert np.square(found - expected).mean() < 2
    return str(told)


def test_a_gpu_takes_over_where_there_is_enough_to_do(
    pretended: Page, package: Path, small: bytes
) -> None:
    pretend(pretended[1], package, "")
    told = decoded(pretended, small, "{}", times=6)
    assert told == ["wasm: so few tiles are not worth a GPU"] * 4 + ["webgpu: "] * 2


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("unknown", "the browser has no GPU"),
        ("absent", "the browser has no GPU"),
        ("software", "the GPU is software"),
        ("start", "cannot start"),
        ("load", "cannot load"),
        ("wrong", "the GPU's picture differs from WebAssembly's"),
        ("no number", "the GPU's picture differs from WebAssembly's"),
        ("silent", "the GPU does not answer"),
        ("slow", "the GPU takes "),
        ("lost at 2", "the GPU was lost"),
        ("lost at 4", "the GPU was lost"),
    ],
)
def test_whatever_is_wrong_pictures_come(
    pretended: Page, package: Path, small: bytes, fault: str, why: str
) -> None:
    pretend(pretended[1], package, fault)
    told = decoded(pretended, small, "{}", times=6)
    assert told[4] == told[5] and told[5].startswith(f"wasm: {why}")
    assert ("/dist/gpu.js" in pretended[1].sent) == (fault not in ("unknown", "absent", "software"))


def test_a_gpu_whose_script_is_missing(pretended: Page, package: Path, small: bytes) -> None:
    pretend(pretended[1], package, "")
    pretended[1].files["dist/gpu.js"] = b"throw new Error('no such file');"
    assert decoded(pretended, small, "{gpu: 'on'}") == ["wasm: no such file"]


def test_a_gpu_that_is_lost_in_the_middle(pretended: Page, package: Path) -> None:
    """The tile is made again, and the GPU is left alone from then on."""
    pretend(pretended[1], package, "lost at 3")
    two_tiles = photo(40, TILE + 80)
    data = picocodec.encode(two_tiles, 60, model="tiny.v1", effort=0, threads=1)
    told = decoded(pretended, data, "{gpu: 'on'}", times=2)
    assert told == ["wasm: the GPU was lost"] * 2
    assert pretended[1].posted["asked"] == b"1"


def test_off_never_asks(pretended: Page, package: Path, small: bytes) -> None:
    pretend(pretended[1], package, "")
    told = decoded(pretended, small, "{gpu: 'off'}", times=6)
    assert told == ["wasm: no GPU is to be used"] * 6
    assert "asked" not in pretended[1].posted
    assert not any("gpu.js" in path or "jspi" in path for path in pretended[1].sent)
    assert decoded(pretended, small, "{gpu: 'on'}") == ["webgpu: "]
    assert pretended[1].posted["asked"] == b"1"


@pytest.mark.parametrize("fault", ["slow", "software"])
def test_a_gpu_that_is_demanded(pretended: Page, package: Path, small: bytes, fault: str) -> None:
    pretend(pretended[1], package, fault)
    assert decoded(pretended, small, "{gpu: 'on'}") == ["webgpu: "]


def test_encoding(pretended: Page, package: Path) -> None:
    for fault, backend in (("", "webgpu: "), ("wrong", "wasm: the GPU's y differs")):
        pretend(pretended[1], package, fault)
        pretended[0].run("pico.configure({})")  # a worker that has met no GPU
        assert encoded(pretended, photo(40, 50)).startswith(backend)


def test_a_preview_needs_no_gpu(pretended: Page, package: Path) -> None:
    pretend(pretended[1], package, "")
    told = pretended[0].run(
        f"""(async () => {{
          let told = "nothing";
          const onBackend = ({{ name }}) => {{ told = name; }};
          const file = await bytesOf("/golden/{DEFAULT_MODEL}/photo-middle.pico");
          await pico.decode(file, {{ scale: 1 / 8, gpu: "on", onBackend }});
          return told;
        }})()"""
    )
    assert told == "nothing" and "asked" not in pretended[1].posted


def test_waiting_for_a_gpu_can_be_cancelled(pretended: Page, package: Path, small: bytes) -> None:
    pretend(pretended[1], package, "silent")
    pretended[1].files["given.pico"] = small
    told = pretended[0].run(
        """(async () => {
          const codec = new pico.Codec();
          const file = await bytesOf("/given.pico");
          const stop = new AbortController();
          const ending = attempt(() => codec.decode(file, { gpu: "on", signal: stop.signal }));
          stop.abort();
          const next = await codec.decode(file, { gpu: "on" });
          codec.close();
          return [await ending, next.width];
        })()"""
    )
    assert told[0].startswith("AbortError: ") and told[1] == 50


def test_other_words_are_refused(pretended: Page) -> None:
    told = pretended[0].run("attempt(() => pico.decode(new Uint8Array(), {gpu: 'yes'}))")
    assert told == "RangeError: gpu must be auto, off or on, not yes"


@pytest.fixture(scope="module")
def software(
    package: Path, model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A page whose browser has a GPU in software."""
    if executable() is None:
        pytest.skip("Chromium is not installed")
    profile = tmp_path_factory.mktemp("profile")
    with Browser(profile, options=SOFTWARE) as started, empty_page(package, started) as found:
        tab, server = found
        if not tab.run("(async () => !!(await navigator.gpu?.requestAdapter()))()"):
            pytest.skip("this Chromium has no WebGPU in software")
        tab.socket.settimeout(1800)
        serve_tiny(server, model_folder)
        yield found


def test_software_is_refused_before_anything_is_fetched(software: Page, small: bytes) -> None:
    told = decoded(software, small, "{}", times=5)
    assert told[4] == "wasm: the GPU is software"
    assert not any(f"/dist/{name}" in software[1].sent for name in GPU_FILES)


def test_shaders_give_the_same_picture(software: Page, small: bytes) -> None:
    assert decoded(software, small, "{gpu: 'on'}") == ["webgpu: "]
    assert all(f"/dist/{name}" in software[1].sent for name in GPU_FILES)


def test_shaders_encode(software: Page) -> None:
    assert encoded(software, photo(40, 50)) == "webgpu: "


def test_a_device_that_is_destroyed_in_the_middle(
    software: Page, package: Path, small: bytes
) -> None:
    server = software[1]
    server.files["dist/worker.js"] = LOSE + (package / "worker.js").read_bytes()
    try:
        told = decoded(software, small, "{gpu: 'on'}", times=3)
    finally:
        del server.files["dist/worker.js"]
    assert told[0] == "webgpu: "
    assert told[1] == told[2] and told[1].startswith("wasm: the GPU was lost")


@pytest.mark.skipif(WHOLE_SET not in os.environ, reason=f"takes minutes: set {WHOLE_SET}")
def test_shaders_of_the_model_that_is_released(software: Page) -> None:
    data = picocodec.encode(photo(40, 50), 60, effort=0, threads=1)
    assert decoded(software, data, "{gpu: 'on'}") == ["webgpu: "]
