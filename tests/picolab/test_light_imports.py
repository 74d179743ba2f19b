"""What must stay importable where little is installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked in this test", name=name)
sys.meta_path.insert(0, Block())
"""


def run(blocked: set[str], code: str) -> None:
    command = [sys.executable, "-c", BLOCK.format(blocked=blocked) + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["picolab.training.loop", "picolab.cli"])
def test_training_needs_no_runtime_and_no_evaluation(module: str) -> None:
    """A training machine has PyTorch, NumPy, Pillow, safetensors, TensorBoard and tqdm."""
    absent = {"onnx", "onnxruntime", "constriction", "scipy", "matplotlib", "jinja2", "bjontegaard",
              "pytorch_msssim", "ssimulacra2", "markdown", "pyvips"}  # fmt: skip
    run(absent, f"import {module}")


def test_the_runtime_needs_no_workbench() -> None:
    code = """
import io, picocodec
from PIL import Image
data = picocodec.encode(Image.new("RGB", (20, 10), "teal"), quality=40)
assert picocodec.decode(data).shape == (10, 20, 3)
assert Image.open(io.BytesIO(data)).size == (20, 10)
"""
    run({"torch", "onnx", "safetensors", "tensorboard", "scipy", "picolab", "tqdm"}, code)


def test_corpora_need_no_pytorch() -> None:
    absent = {"torch", "onnx", "safetensors", "tqdm", "tensorboard", "scipy", "rapidocr"}
    run(absent, "import picocodec.corpus; from picocodec import cli; cli.corpus.parser()")
