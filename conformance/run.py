"""Test a decoder, any command that turns a .pico file into a PNG, on the conformance set.

    python conformance/run.py               # picocodec itself, pixels and symbols
    python conformance/run.py --decoder "CMD {input} {output}"
    python conformance/run.py --symbols "node web/picocodec/dist/cli.js {input} {model}"

`{input}` is a .pico file, `{output}` the PNG to write, `{model}` the folder of the file's model.
A decoder passes a case if its pixels are within the errors that the case allows. With `--symbols`,
a command is to print the SHA-256 of each tile's symbols, one a line, first on the line; they must
be those of the case. The exit code is 0 if every case passes, 1 if any does not.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from cases import Case, all_cases
from PIL import Image
from symbols import digests

import picocodec
from picocodec.errors import PicoError
from picocodec.model.store import load_model, model_folders


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--decoder", metavar="CMD", help="writes a PNG")
    parser.add_argument("--symbols", metavar="CMD", help="prints digests")
    parser.add_argument("--model", action="append", default=[], help="only its cases")
    parser.add_argument("--case", action="append", default=[], help="only the cases of this name")
    args = parser.parse_args()
    is_ours = args.decoder is None and args.symbols is None
    cases = all_cases(args.model, args.case)
    failures = 0
    print(f"{'case':<40} {'symbols':<9} {'peak':>4} {'rms':>6}  verdict")
    for case in cases:
        symbols, peak, rms, verdict = "-", "-", "-", ""
        try:
            if is_ours or args.symbols:
                found = our_symbols(case) if is_ours else symbols_of(case, args.symbols)
                symbols = "the same" if found == case.expected.symbols else "DIFFER"
            if is_ours or args.decoder:
                errors = case.errors(our_pixels(case) if is_ours else decode(case, args.decoder))
                peak, rms = str(errors[0]), f"{errors[1]:.3f}"
                verdict = "" if case.passes(errors) else "pixels differ by more than is allowed"
        except (ValueError, OSError, PicoError, subprocess.CalledProcessError) as error:
            verdict = reason(error)
        passed = not verdict and symbols != "DIFFER"
        failures += not passed
        verdict = "pass" if passed else f"FAIL {verdict}"
        print(f"{case.name:<40} {symbols:<9} {peak:>4} {rms:>6}  {verdict}", flush=True)
    print(f"{len(cases) - failures} of {len(cases)} cases pass")
    return 1 if failures or not cases else 0


def our_pixels(case: Case) -> np.ndarray:
    return picocodec.decode(case.file.read_bytes(), threads=1)


def our_symbols(case: Case) -> tuple[str, ...]:
    model = load_model(case.folder.parent.name, threads=1)
    return tuple(digests(case.file.read_bytes(), model))


def decode(case: Case, command: str) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.png"
        execute(command, case, output)
        with Image.open(output) as image:
            return np.array(image)


def symbols_of(case: Case, command: str) -> tuple[str, ...]:
    return tuple(line.split()[0] for line in execute(command, case).splitlines() if line)


def execute(command: str, case: Case, output: Path | None = None) -> str:
    """Run a command for a case; returns what it prints."""
    folder = model_folders().get(case.folder.parent.name, "")
    names = {"input": case.file, "output": output, "model": folder}
    words = [word.format(**names) for word in shlex.split(command)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def reason(error: Exception) -> str:
    """The last line of what a failed command said, or else the error."""
    said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else ""
    return said.splitlines()[-1] if said else str(error)


if __name__ == "__main__":
    raise SystemExit(main())
