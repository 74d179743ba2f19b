"""Models are data: verified by hash, never unpickled, refused when anything is off."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny import photo

from picocodec.coders import av1
from picocodec.decoding.decoder import decode_picture
from picocodec.encoding.encoder import encode_picture
from picocodec.errors import NetworkFailed, UnknownModel
from picocodec.images.picture import Picture
from picocodec.model.model import FILES, Model
from picocodec.model.store import (
    DEFAULT_MODEL,
    MODEL_PATH_VARIABLE,
    _load,
    available_models,
    load_model,
)


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "tiny.v1"))


def use(folder: Path) -> None:
    """Touch all of a model: description, tables and every network."""
    model = Model(folder, threads=1)
    model.coder  # noqa: B018
    for name in FILES:
        if name.endswith(".onnx"):
            model._sessions.of(name.removesuffix(".onnx"))


def resealed(folder: Path, name: str, data: bytes) -> None:
    """Replace a file, and its hash in model.toml: a model that is what it says, and nonsense."""
    old = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / name).write_bytes(data)
    description = (folder / "model.toml").read_text()
    assert old in description
    (folder / "model.toml").write_text(description.replace(old, hashlib.sha256(data).hexdigest()))


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "tables.npz") as archive:
        return dict(archive)


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def test_a_whole_model_is_used(copy: Path) -> None:
    use(copy)


@pytest.mark.parametrize("name", [*FILES, "model.toml"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(UnknownModel, match=f"{name} is missing"):
        use(copy)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: b""])
def test_an_altered_file_is_named(copy: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (copy / name).write_bytes(change((copy / name).read_bytes()))
    with pytest.raises(UnknownModel, match=f"{name} is refused: it is not the file"):
        use(copy)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "tiny"', 'name = "other"'),
        ('name = "tiny"', 'name = "../tiny"'),
        ('name = "tiny"', "name = 7"),
        ('name = "tiny"', ""),
        ("version = 1", "version = 2"),
        ("version = 1", "version = -1"),
        ("version = 1", "version = 1e400"),
        ("version = 1", "version = [1]"),
        ("skip_below = ", "skip_below = 100"),
        ("skip_below = ", "skip_below = -"),
        ("skip_below = ", "no = "),
        ("version = 1", "version = 1\nrealism = 1.5"),
        ("version = 1", "version = 1\nrealism = nan"),
        ("version = 1", 'version = 1\nrealism = "high"'),
        ("[sha256]", "[hashes]"),
        ("[sha256]", "sha256 = 5\n[x]"),
        ("tables.npz", "../tables.npz"),
        ('"tables.npz" = "', '"tables.npz" = "../'),
        ("version = 1", "version = "),
        ("version = 1", "version = " + "[" * 5000),
        ("version = 1", "version = 1\0"),
    ],
)
def test_an_absurd_description_is_refused(copy: Path, old: str, new: str) -> None:
    text = (copy / "model.toml").read_text()
    assert old in text
    (copy / "model.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(UnknownModel, match="model.toml"):
        use(copy)


@pytest.mark.parametrize("skip_below", [4, 6])
def test_another_threshold_of_coding_is_another_model(
    copy: Path, monkeypatch: pytest.MonkeyPatch, skip_below: int
) -> None:
    """`skip_below` decides which elements are coded, so that files name it, too."""
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(copy.parent))
    data = encode_picture(Picture(photo(8, 8)), 500, "tiny.v1", threads=1, effort=0)
    text = (copy / "model.toml").read_text()
    changed = re.sub("(?m)^skip_below = .*", f"skip_below = {skip_below}", text)
    assert changed != text
    (copy / "model.toml").write_text(changed)
    _load.cache_clear()
    with pytest.raises(UnknownModel, match="made with other weights"):
        decode_picture(data, threads=1)


def test_a_description_that_is_no_text_is_refused(copy: Path) -> None:
    (copy / "model.toml").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UnknownModel, match="model.toml"):
        use(copy)


def test_a_folder_of_another_name_is_refused(copy: Path) -> None:
    with pytest.raises(UnknownModel, match=r"describes tiny\.v1, not fine\.v9"):
        use(copy.rename(copy.parent / "fine.v9"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x80\4\x95nonsense", bytes(1000)])
def test_nonsense_of_the_right_hash_is_refused(copy: Path, name: str, data: bytes) -> None:
    resealed(copy, name, data)
    with pytest.raises(UnknownModel, match=name):
        use(copy)


def test_pickles_are_never_opened(copy: Path) -> None:
    opened: list[str] = []

    class Trap:
        def __reduce__(self):
            return opened.append, ("pickle",)

    out = io.BytesIO()
    np.savez(out, **arrays_of(copy) | {"tables": np.array([Trap()], object)})
    resealed(copy, "tables.npz", out.getvalue())
    with pytest.raises(UnknownModel, match=r"tables\.npz is refused: Object arrays"):
        use(copy)
    assert not opened


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("table_lengths", np.full(64, 4)),
        ("table_lengths", np.full(63, 4)),
        ("table_lengths", np.full(64, -1)),
        ("tables", np.zeros(10, np.uint32)),
        ("tables", np.zeros(0, np.uint32)),
        ("tables", np.ones((3, 3), np.uint32)),
        ("z_index", np.zeros((64, 8))),
        ("z_index", np.zeros(8, np.uint8)),
        ("z_index", np.zeros((0, 8), np.uint8)),
        ("z_index", np.full((64, 8), 64, np.uint8)),
        ("z_index", np.full((64, 8), -1, np.int8)),
    ],
)
def test_absurd_tables_are_refused(copy: Path, name: str, value: np.ndarray) -> None:
    resealed(copy, "tables.npz", npz(arrays_of(copy) | {name: value}))
    with pytest.raises(UnknownModel, match="tables.npz"):
        use(copy)


@pytest.mark.parametrize("name", ["table_lengths", "tables", "z_index"])
def test_missing_tables_are_named(copy: Path, name: str) -> None:
    arrays = arrays_of(copy)
    del arrays[name]
    resealed(copy, "tables.npz", npz(arrays))
    with pytest.raises(UnknownModel, match=f"tables.npz lacks '{name}"):
        use(copy)


def test_a_network_cannot_reach_for_other_files(copy: Path) -> None:
    """ONNX can keep weights in files of their own, by path: not in a model of ours."""
    (copy / "weights.bin").write_bytes(bytes(1 << 20))
    graph = onnx.load(copy / "analysis.onnx")
    tensor = next(t for t in graph.graph.initializer if len(t.raw_data) > 8)
    for path in ("weights.bin", str(copy / "weights.bin"), "../tiny.v1/weights.bin"):
        tensor.data_location = onnx.TensorProto.EXTERNAL
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value=path)
        tensor.ClearField("raw_data")
        resealed(copy, "analysis.onnx", graph.SerializeToString())
        with pytest.raises(UnknownModel, match="analysis.onnx is refused"):
            use(copy)


def test_a_network_that_fails_is_named(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(copy.parent))
    monkeypatch.setattr(av1, "is_available", lambda: False)
    data = encode_picture(Picture(photo(8, 8)), 500, "tiny.v1", threads=1, effort=0)
    graph = onnx.load(copy / "synthesis.onnx")
    graph.graph.input[0].name = "unheard"
    for node in graph.graph.node:
        node.input[:] = ["unheard" if i == "y_hat" else i for i in node.input]
    model = load_model("tiny.v1", threads=1)
    changed = graph.SerializeToString()
    monkeypatch.setattr(model._files, "read", lambda name: changed)
    with pytest.raises(NetworkFailed, match="synthesis.onnx"):
        decode_picture(data, threads=1)


@pytest.mark.parametrize("name", ["../tiny.v1", "/etc", "", "tiny.v1/", "tiny.v1\0", "*"])
def test_names_are_looked_up_and_never_paths(
    copy: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(copy))
    with pytest.raises(UnknownModel, match="is not installed"):
        load_model(name)


def test_a_damaged_model_does_not_hide_the_others(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "model.toml").write_text("nonsense")
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(copy.parent))
    assert {"tiny.v1", DEFAULT_MODEL} <= set(available_models())
    load_model(DEFAULT_MODEL)
    with pytest.raises(UnknownModel, match="model.toml"):
        load_model("tiny.v1")
