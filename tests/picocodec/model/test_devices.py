"""Networks on another device than the CPU. None is at hand here: ONNX Runtime's part is acted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import TINY

from picocodec.errors import NetworkFailed
from picocodec.model.model import Model
from picocodec.model.runtime import ort
from picocodec.model.sessions import DEVICE_VARIABLE

CUDA = "CUDAExecutionProvider"


class Session(ort.InferenceSession):
    """A session that is given its device's providers, and runs on the CPU."""

    asked: list[list[str]] = []
    starts = True

    def __init__(self, data, options, providers) -> None:
        names = [p if isinstance(p, str) else p[0] for p in providers]
        Session.asked.append(names)
        super().__init__(data, options, providers=["CPUExecutionProvider"])
        self.names = names if Session.starts else ["CPUExecutionProvider"]

    def get_providers(self) -> list[str]:
        return self.names


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> type[Session]:
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA])
    monkeypatch.setattr(ort, "InferenceSession", Session)
    monkeypatch.setattr(Session, "asked", [])
    return Session


def run_all(model: Model) -> None:
    y, z = model.analyse(np.zeros((1, 3, 64, 64), np.float32), 500)
    symbols = np.rint(z[0]).astype(np.int32)
    indices = model.y_indices(symbols, 500)
    model.synthesise(model.quantise(y, symbols, indices > 4, 500)[1], 500)


def test_the_pixels_networks_run_on_the_device_and_the_integer_one_on_the_cpu(
    cuda: type[Session], model_folder: Path
) -> None:
    run_all(Model(model_folder, threads=1))
    everywhere = [CUDA, "CPUExecutionProvider"]
    assert cuda.asked == [everywhere, ["CPUExecutionProvider"], everywhere, everywhere]


def test_a_device_that_does_not_start_is_not_replaced_without_a_word(
    cuda: type[Session], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "starts", False)
    with pytest.raises(NetworkFailed, match="ONNX Runtime cannot start it"):
        run_all(Model(model_folder, threads=1))


@pytest.mark.parametrize(
    "device, message", [("cuda", "install onnxruntime-gpu"), ("tpu", "cpu or cuda, not 'tpu'")]
)
def test_devices_that_are_not_here(
    device: str, message: str, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, device)
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    model = Model(model_folder, threads=1)
    z = np.zeros((TINY.z_channels, 1, 1), np.int32)
    assert model.y_indices(z, 0).any()
    with pytest.raises(NetworkFailed, match=message):
        model.synthesise(np.zeros((1, TINY.y_channels, 4, 4), np.float32), 0)
