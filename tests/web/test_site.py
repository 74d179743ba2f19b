"""The page, used as people use it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, eventually
from PIL import Image
from serving import Server
from tiny import photo

import picocodec
from picocodec.model.store import DEFAULT_MODEL
from picolab.evaluation import viewer

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"

READY = "document.getElementById('cover').hidden && !document.getElementById('save').disabled"


@pytest.fixture(scope="module")
def site(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    built = subprocess.run(["npm", "run", "site"], cwd=WEB, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    folder = tmp_path_factory.mktemp("pages")
    axe = WEB / "node_modules" / "axe-core"
    with Server({"site": ROOT / "build" / "web" / "site", "axe": axe, "pages": folder}) as server:
        yield server


@pytest.fixture
def tab(chromium: Browser, site: Server) -> Browser:
    """The page without pictures, as it is when it is opened: not anew, which takes seconds."""
    if not chromium.run("location.href").startswith(site.url + "/site/"):
        chromium.visit(site.url + "/site/")
    chromium.run(
        """(() => {
          document.getElementById("error").hidden = true;
          document.getElementById("quality").value = 50;
          delete document.getElementById("realism").dataset.moved;
          for (const value of ["quality", "original"])
            document.querySelector(`input[value=${value}]`).checked = true;
          while (document.querySelector(".thumb")) document.getElementById("remove").click();
        })()"""
    )
    return chromium


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "small photo.png"
    Image.fromarray(photo(120, 180)).save(path)
    return path


def wait(tab: Browser, condition: str) -> None:
    eventually(lambda: tab.run(f"!!({condition})") or 1 / 0)


def text(tab: Browser, name: str) -> str:
    return tab.run(f"document.getElementById('{name}').textContent")


def click(tab: Browser, selector: str) -> None:
    tab.run(f"document.querySelector({json.dumps(selector)}).click()")


def drop(tab: Browser, *files: Path) -> None:
    """As from a file manager."""
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    for event in ("dragEnter", "dragOver", "drop"):
        tab.call("Input.dispatchDragEvent", type=event, x=300, y=300, data=data)


def choose(tab: Browser, name: str, value: str) -> None:
    tab.run(
        f"""(() => {{
          const field = document.getElementById("{name}");
          field.value = "{value}";
          field.dispatchEvent(new Event("input", {{ bubbles: true }}));
        }})()"""
    )


def saved(tab: Browser, folder: Path, button: str) -> Path:
    folder.mkdir(exist_ok=True)
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    click(tab, button)

    def there() -> Path:
        return next(f for f in folder.iterdir() if f.suffix in (".pico", ".png", ".zip"))

    return eventually(there)


def test_dropped_shrunk_compared_and_saved(tab: Browser, picture: Path, tmp_path: Path) -> None:
    drop(tab, picture)
    wait(tab, READY)
    assert text(tab, "name") == picture.name
    assert "180 × 120" in text(tab, "facts") and "smaller" in text(tab, "saved")
    file = saved(tab, tmp_path, "#save")
    assert file.name == "small photo.pico"
    eventually(lambda: file.stat().st_size or 1 / 0)
    shown = picocodec.decode(file.read_bytes(), threads=1)
    error = np.square(shown.astype(float) - np.array(Image.open(picture))).mean()
    assert 10 * np.log10(255**2 / error) > 26
    for peer in ("jpeg", "webp"):
        click(tab, f"input[value={peer}]")
        wait(tab, "document.getElementById('peer-hint').textContent.includes('at quality')")
        label = tab.run("document.querySelector('pico-compare').labels.left.textContent")
        assert label.lower().startswith(peer)


def test_quality_and_size(tab: Browser, picture: Path) -> None:
    drop(tab, picture)
    wait(tab, READY)
    sizes = []
    for name, value in (("quality", "10"), ("quality", "80")):
        before = text(tab, "facts")
        choose(tab, name, value)
        wait(tab, f"{READY} && document.getElementById('facts').textContent !== {before!r}")
        sizes.append(float(text(tab, "facts").split(", ")[3].split()[0]))
    assert sizes[0] < sizes[1] / 2  # bits a pixel
    before = text(tab, "facts")
    click(tab, "input[value=size]")
    wait(tab, f"{READY} && document.getElementById('facts').textContent !== {before!r}")
    target = text(tab, "target-value").split()
    size = text(tab, "size").split()
    assert target[1] == size[1] and float(size[0]) <= float(target[0])


def test_slider_by_mouse_and_keys(tab: Browser, picture: Path) -> None:
    drop(tab, picture)
    wait(tab, READY)
    box = tab.run(
        "(() => { const b = document.querySelector('pico-compare').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]; })()"
    )
    x, y, width, height = box
    element = "document.querySelector('pico-compare')"
    tab.mouse("Pressed", x + width / 2, y + height / 3)
    tab.mouse("Moved", x + width / 4, y + height / 3)
    tab.mouse("Released", x + width / 4, y + height / 3)
    assert tab.run(f"{element}.split") == pytest.approx(25, abs=1)
    tab.run(f"{element}.knob.focus()")
    tab.key("End")
    assert tab.run(f"{element}.split") == 100
    assert tab.run(f"{element}.knob.getAttribute('aria-valuenow')") == "100"
    tab.key("Home")
    assert tab.run(f"{element}.split") == 0
    fit = tab.run(f"{element}.zoom")
    click(tab, "#actual")
    assert tab.run(f"{element}.zoom") == 1 and text(tab, "zoom") == "100%"
    tab.call("Input.dispatchMouseEvent", type="mouseWheel", x=x + width / 2, y=y + height / 2,
             deltaX=0, deltaY=-600)  # fmt: skip
    eventually(lambda: tab.run(f"{element}.zoom") > 3 or 1 / 0)
    rendering = f"{element}.panes.left.firstElementChild.style.imageRendering"
    assert tab.run(rendering) == "pixelated"
    click(tab, "#fit")
    assert tab.run(f"{element}.zoom") == pytest.approx(fit)
    click(tab, "#flicker")
    assert tab.run("document.getElementById('flicker').getAttribute('aria-pressed')") == "true"
    click(tab, "#parts")
    assert "Learned: 1 part" in text(tab, "legend")
    assert tab.run(f"{element}.panes.over.querySelectorAll('rect').length") == 1


def test_cancelled(tab: Browser, tmp_path: Path) -> None:
    """A large photo, whose first tile has not been there yet."""
    Image.fromarray(np.tile(photo(200, 200), (6, 8, 1))).save(tmp_path / "large.jpg", quality=95)
    drop(tab, tmp_path / "large.jpg")
    wait(tab, "document.getElementById('doing').textContent === 'Encoding'")
    click(tab, "#cancel")
    wait(tab, "document.getElementById('cover').hidden")
    time.sleep(1)
    assert tab.run(
        "document.getElementById('save').disabled && document.querySelector('#error').hidden"
    )


def test_damaged_files_and_others_are_told(tab: Browser, tmp_path: Path) -> None:
    whole = picocodec.encode(photo(60, 60), threads=1)
    (tmp_path / "cut.pico").write_bytes(whole[:-20])
    (tmp_path / "hurt.pico").write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    (tmp_path / "words.txt").write_text("no picture")
    for name, words in (("cut", "ends after"), ("words", "cannot read"), ("hurt", "checksum")):
        drop(tab, next(tmp_path.glob(f"{name}.*")))
        wait(tab, f"document.getElementById('error').textContent.includes({words!r})")
        assert text(tab, "error").startswith(name)


def test_pico_files_open_with_a_dial(tab: Browser, tmp_path: Path) -> None:
    data = picocodec.encode(photo(120, 160), 20, threads=1)
    (tmp_path / "low.pico").write_bytes(data)
    drop(tab, tmp_path / "low.pico")
    wait(tab, READY)
    assert not tab.run("document.getElementById('dial-group').hidden")
    assert f"Made with {DEFAULT_MODEL}" in text(tab, "saved")
    choose(tab, "realism", "50")
    label = "document.querySelector('pico-compare').labels.right.textContent"
    wait(tab, f"{READY} && {label} === 'Realism 50'")
    file = saved(tab, tmp_path / "saved", "#save")
    assert file.name == "low.png"
    eventually(lambda: Image.open(file).load() or True)
    found = np.array(Image.open(file).convert("RGB"))
    expected = picocodec.decode(data, threads=1, realism=0.5)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_all_are_saved_together(tab: Browser, picture: Path, tmp_path: Path) -> None:
    import zipfile

    other = tmp_path / "other.png"
    Image.fromarray(photo(64, 64, seed=1)).save(other)
    drop(tab, picture, other)
    wait(tab, f"{READY} && [...document.querySelectorAll('.thumb span')].every(s => s.textContent)")
    archive = saved(tab, tmp_path / "saved", "#save-all")
    eventually(lambda: zipfile.is_zipfile(archive) or 1 / 0)
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["small photo.pico", "other.pico"]
        assert picocodec.decode(opened.read("other.pico"), threads=1).shape == (64, 64, 3)


def violations(tab: Browser) -> list[str]:
    """What axe finds, by its rules of WCAG 2.2 at levels A and AA and of good practice."""
    tab.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 400)))")
    tab.run((WEB / "node_modules" / "axe-core" / "axe.min.js").read_text() + ";0")
    found = tab.run("axe.run(document).then(({ violations }) => violations)")
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_accessible(tab: Browser, picture: Path, scheme: str, width: int) -> None:
    tab.run("localStorage.clear()")
    tab.call("Emulation.setEmulatedMedia",
             features=[{"name": "prefers-color-scheme", "value": scheme}])  # fmt: skip
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1,
             mobile=width < 500)  # fmt: skip
    try:
        wait(tab, f"document.documentElement.dataset.theme === '{scheme}'")
        assert violations(tab) == []
        drop(tab, picture)
        wait(tab, READY)
        click(tab, "#parts")
        assert violations(tab) == []
        assert tab.run("document.documentElement.scrollWidth") <= width
    finally:
        tab.call("Emulation.clearDeviceMetricsOverride")
        tab.call("Emulation.setEmulatedMedia", features=[])


def test_offline_and_isolated(tab: Browser, site: Server, picture: Path) -> None:
    drop(tab, picture)
    wait(tab, READY)
    wait(tab, "document.documentElement.dataset.offline === 'ready'")
    site.gone = True
    try:
        tab.visit("about:blank")
        tab.visit(site.url + "/site/")
        wait(tab, "document.readyState === 'complete'")
        assert tab.run("crossOriginIsolated")
        drop(tab, picture)
        wait(tab, READY)
        assert "smaller" in text(tab, "saved")
    finally:
        site.gone = False


PAGE = """<!doctype html><title>photos</title><script>
window.told = [];
for (const name of ["picopreview", "picoload", "picoerror"]) {
  addEventListener(name, ({ target }) => {
    told.push(`${name} ${target.id} ${target.naturalWidth}x${target.naturalHeight}`);
  }, true);
}
</script>
<script type="module" src="/site/pico-image.js"></script>
<img id="small" data-pico="small.pico" alt="small">
<img id="large" data-pico="large.pico" alt="large">
<img id="none" data-pico="none.pico" alt="none">"""


def test_pictures_in_pages(chromium: Browser, site: Server) -> None:
    folder = site.roots["pages"]
    (folder / "index.html").write_text(PAGE)
    (folder / "small.pico").write_bytes(picocodec.encode(photo(50, 70), threads=1))
    large = np.tile(photo(100, 100), (8, 8, 1))
    (folder / "large.pico").write_bytes(picocodec.encode(large, 10, threads=1))
    chromium.visit(site.url + "/pages/")
    wait(chromium, "told.filter((line) => !line.startsWith('picopreview')).length === 3")
    told = chromium.run("told")
    assert "picoload small 70x50" in told and "picoload large 800x800" in told
    assert told.index("picopreview large 100x100") < told.index("picoload large 800x800")
    assert any(line.startswith("picoerror none") for line in told)


def test_the_viewer_decodes_files_itself(chromium: Browser, site: Server, tmp_path: Path) -> None:
    """A page of the viewer from a server, with what `make web` made beside it."""
    pixels = photo(100, 140)
    data = picocodec.encode(pixels, 30, threads=1)
    site.roots["viewer"] = tmp_path
    for name, shown in (("original", pixels), ("ours", picocodec.decode(data, threads=1))):
        Image.fromarray(shown).save(tmp_path / f"{name}.png")
    (tmp_path / "ours.pico").write_bytes(data)
    ours = viewer.Shown(
        "picocodec", "30", len(data), "ours.png", {"psnr": 30.0}, "ours.pico", viewer.parts_of(data)
    )
    other = viewer.Shown("none", "", 2 * len(data), "original.png", {"psnr": float("inf")})
    rates = [viewer.Rate("a rate", len(data), [ours, other]), viewer.Rate("more", 9999, [other])]
    scene = viewer.Scene("a picture", 140, 100, "original.png", rates)
    live = viewer.copy_live(tmp_path)
    assert live == "live/pico.js"
    fragment = viewer.fragment([scene], [viewer.Column("psnr", "PSNR", True)], live)
    (tmp_path / "index.html").write_text(viewer.page("Pictures", "two of them", fragment))
    chromium.visit(site.url + "/viewer/")
    wait(chromium, "document.querySelector('#table tbody tr')")
    assert violations(chromium) == []
    cells = chromium.run("[...document.querySelectorAll('.best')].map(e => e.textContent)")
    assert cells == ["∞"]
    click(chromium, "#live")
    wait(chromium, "document.querySelector('#note').textContent.startsWith('Decoded in this page')")
    right = "document.querySelector('pico-compare').panes.right.firstElementChild"
    assert chromium.run(f"{right}.tagName + {right}.width") == "CANVAS140"
    click(chromium, "#parts")
    wait(chromium, "document.querySelector('#note').textContent.startsWith('learned: 1 part, ')")
    click(chromium, "#rates button:last-child")
    wait(chromium, "document.querySelectorAll('#table tbody tr').length === 1")
