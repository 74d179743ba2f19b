"""Make all that the default model is in, once it is new: before its list is first committed.

    python tools/remake.py                     # from the model that is there
    python tools/remake.py runs/NAME/STAGE/checkpoint --realism 0.6 --preview TILES
    python tools/remake.py runs/CLOSEST/STAGE/checkpoint --beside MODEL

With a checkpoint, `picolab release` makes the model of it first, or with `--beside` `picolab
closest` makes it of another model; the one before is kept where that fails. The default model is
named in src/picocodec/model/store.py alone. What depends on it: golden files, the conformance set,
the list of both in tests/released, hostile files, the page's sample. What this model had of them is
replaced; those of others are left alone. A model whose list is committed keeps it, as
tests/picocodec/model/test_released.py demands: what is new has a new version.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
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


def committed() -> bool:
    """Whether git has the list of the default model's files already."""
    command = ["git", "ls-files", f"tests/released/*/{DEFAULT_MODEL}.sha256"]
    return bool(subprocess.check_output(command, cwd=ROOT))


def make(command: str, *arguments: str | Path) -> None:
    """The default model by a command of picolab, in place of the one that is there."""
    version = DEFAULT_MODEL.rpartition(".v")[2]
    with tempfile.TemporaryDirectory() as folder:
        paths = [a.resolve() if isinstance(a, Path) else a for a in arguments]
        run("-m", "picolab", command, *paths, "-o", folder, "--version", version)
        shutil.rmtree(MODELS / DEFAULT_MODEL, ignore_errors=True)
        shutil.copytree(Path(folder) / DEFAULT_MODEL, MODELS / DEFAULT_MODEL)


def remake() -> None:
    """What depends on the model."""
    for kind in ("tests/golden", "conformance"):
        shutil.rmtree(ROOT / kind / DEFAULT_MODEL, ignore_errors=True)
    for path in (ROOT / "tests" / "released").glob(f"*/{DEFAULT_MODEL}.sha256"):
        path.unlink()
    run("tests/golden/make.py", DEFAULT_MODEL)
    run("conformance/make.py", DEFAULT_MODEL)  # lists the golden files, too
    run("tests/hostile/make.py")
    SAMPLE.parent.mkdir(exist_ok=True)
    SAMPLE.write_bytes(picocodec.encode(ROOT / "examples" / "photos" / "coffee.png", quality=35))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, nargs="?", help="to release as the model first")
    parser.add_argument("--realism", type=float, default=1.0, help="its default (%(default)s)")
    parser.add_argument("--beside", help="the model that the checkpoint has the closest pixels of")
    parser.add_argument("--preview", type=Path, help="a folder of tiles to fit its preview to")
    args = parser.parse_args()
    if committed():
        parser.error(f"the list of {DEFAULT_MODEL} is committed: name a new version in store.py")
    if args.checkpoint and args.beside:
        make("closest", args.beside, args.checkpoint)
    elif args.checkpoint:
        if args.preview is None:
            parser.error("a checkpoint needs --preview, a folder of tiles")
        named = "--name", DEFAULT_MODEL.rpartition(".v")[0]
        told = "--realism", str(args.realism), "--preview", args.preview
        make("release", args.checkpoint, *named, *told)
    remake()


if __name__ == "__main__":
    main()
