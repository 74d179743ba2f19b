"""Make again all that the default model is in: once it is new, or was never published.

    python tools/remake.py                     # from the model that is there
    python tools/remake.py runs/NAME/STAGE/checkpoint --realism 0.6 --preview TILES

With arguments, `picolab release` makes the model of them first. The default model is
named in src/picocodec/model/store.py alone. What depends on it: golden files, the conformance set,
the list of both in tests/released, hostile files, the page's sample. What this model had of them
is replaced; those of others are left alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import picocodec
from picocodec.model.store import DEFAULT_MODEL

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "src" / "picocodec" / "models"
SAMPLE = ROOT / "web" / "site" / "samples" / f"{DEFAULT_MODEL}.pico"


def run(*arguments: str | Path) -> None:
    """A program of Python, in the repository; ends this one where that fails."""
    print(*arguments, flush=True)
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT)
    if done.returncode:
        raise SystemExit(done.returncode)


def main(trained: list[str]) -> None:
    if trained:
        name, _, version = DEFAULT_MODEL.rpartition(".v")
        shutil.rmtree(MODELS / DEFAULT_MODEL, ignore_errors=True)
        place = ["-o", str(MODELS), "--name", name, "--version", version]
        run("-m", "picolab", "release", *trained, *place)
    for kind in ("tests/golden", "conformance"):
        shutil.rmtree(ROOT / kind / DEFAULT_MODEL, ignore_errors=True)
    for path in (ROOT / "tests" / "released").glob(f"*/{DEFAULT_MODEL}.sha256"):
        path.unlink()
    run("tests/golden/make.py", DEFAULT_MODEL)
    run("conformance/make.py", DEFAULT_MODEL)  # lists the golden files, too
    run("tests/hostile/make.py")
    SAMPLE.parent.mkdir(exist_ok=True)
    SAMPLE.write_bytes(picocodec.encode(ROOT / "examples" / "photos" / "coffee.png", quality=35))


if __name__ == "__main__":
    main(sys.argv[1:])
