"""What must stay importable where little is installed."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from picolab.cli import main, parser

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


@pytest.mark.parametrize("module", ["picolab.training.run", "picolab.cli"])
def test_training_needs_no_runtime_and_no_evaluation(module: str) -> None:
    """A training machine has PyTorch, NumPy, Pillow, safetensors and tqdm."""
    absent = {"onnx", "onnxruntime", "constriction", "scipy", "matplotlib", "jinja2", "bjontegaard",
              "pytorch_msssim", "ssimulacra2", "markdown", "pyvips"}  # fmt: skip
    run(absent, f"import {module}")


def test_a_training_that_starts_again_has_not_loaded_pytorch() -> None:
    """Seconds of a processor, each time."""
    run({"torch"}, "from picolab.training.machine import keep_pages")


# What only commands that run may import: seconds each, or absent where the workbench is not whole.
HEAVY = {"torch", "onnx", "onnxruntime", "numpy", "PIL", "scipy", "matplotlib", "safetensors",
         "tensorboard", "tqdm", "ray", "jax", "sqlalchemy", "fastapi", "picocodec"}  # fmt: skip


def spent() -> float:
    """Processor seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def helped(*arguments: str) -> tuple[set[str], float]:
    """The packages that help imports, and the processor seconds of the whole process: those of a
    clock on a quiet machine."""
    code = f"""
import json, sys
from picolab.cli import main
try:
    main({list(arguments)!r})
except SystemExit as end:
    assert end.code == 0
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
    start = spent()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    seconds = spent() - start
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1])), seconds


def commands() -> list[list[str]]:
    """Every command of picolab with its subcommands."""

    def below(parser: argparse.ArgumentParser, words: list[str]) -> Iterator[list[str]]:
        yield words
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for word, inner in action.choices.items():
                    yield from below(inner, [*words, word])

    return list(below(parser(), []))


@pytest.mark.parametrize("words", [[], ["evaluate"], ["study", "rate"]], ids=" ".join)
def test_help_is_told_at_once(words: list[str]) -> None:
    runs = [helped(*words, "--help") for _ in range(3)]
    assert all(found & HEAVY == set() for found, _ in runs)
    assert min(seconds for _, seconds in runs) < 0.5


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words) or "picolab")
def test_every_command_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: " + " ".join(["picolab", *words]))


@pytest.mark.parametrize(
    ("line", "absent", "install"),
    [
        ("train recipe.toml", {"torch"}, "./lab"),
        ("model info configs/photo.toml", {"torch", "numpy"}, "./lab"),
        ("release checkpoint -o models --version 1", {"onnx"}, "./lab"),
        ("evaluate photos", {"matplotlib"}, "'./lab[eval]'"),
        ("evaluate photos", {"picocodec", "PIL", "numpy"}, "'./lab[eval]'"),
        ("curve curve.csv -o curve.svg", {"matplotlib"}, "'./lab[eval]'"),
        ("study rate votes.csv -o report --method nuts", {"numpyro"}, "'./lab[study]'"),
    ],
)
def test_what_is_missing_is_named_in_a_sentence(
    line: str, absent: set[str], install: str, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "a.png")
    code = f"from picolab.cli import main; raise SystemExit(main({line.split()!r}))"
    command = [sys.executable, "-c", BLOCK.format(blocked=absent) + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    told = done.stderr.strip().splitlines()[-1]
    assert told.startswith("picolab: ") and any(name in told for name in absent)
    assert told.endswith(f"pip install ./ {install}")


def test_the_runtime_is_imported_quickly() -> None:
    """In 0.2 s on a quiet machine, on which NumPy and Pillow take 0.07 of them (docs/speed.md):
    on any, what is ours takes less than twice as long as these."""
    code = """
import time
start = time.process_time()
import numpy, PIL.Image
theirs = time.process_time() - start
import picocodec
print((time.process_time() - start) / theirs)
"""
    command = [sys.executable, "-c", code]
    times = [float(subprocess.check_output(command, text=True)) for _ in range(5)]
    assert min(times) < 0.2 / 0.07


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


def test_metrics_that_want_what_is_not_installed_are_missing() -> None:
    """So that the demo does without them."""
    code = """
from picolab.evaluation.metrics import Missing, check
try:
    check("lpips_alex")
except Missing as error:
    print(error)
"""
    blocked = BLOCK.format(blocked={"torch"}) + code
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert done.stdout == (
        "lpips_alex needs torch, which is not installed: pip install './lab[eval]'\n"
    ), done.stderr
