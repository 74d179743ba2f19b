"""Coverage-guided fuzzing (atheris, libFuzzer) of one of the functions in fuzz/targets.py.

    pip install -e . -e './lab[fuzz]'
    python fuzz/corpus.py
    python fuzz/run.py container|entropy|decoder|pillow [-max_total_time=480] [libFuzzer's options]

The corpus grows in build/fuzz/TARGET; what fails is written to build/fuzz/findings/. A finding
is made small (`-minimize_crash=1 -runs=10000 FILE`), named after what was wrong, and kept in
tests/hostile/TARGET/, where a test runs it for ever.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["picocodec", "PIL.PngImagePlugin"]):
    import targets


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(__doc__)
    targets.prepare()
    name = sys.argv.pop(1)
    findings = targets.BUILD / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    options = [f"-artifact_prefix={findings}/{name}-", "-timeout=30", "-rss_limit_mb=1024"]
    corpus = [] if any(not a.startswith("-") for a in sys.argv[1:]) else [targets.BUILD / name]
    for seed in sorted((targets.BUILD / name).glob("one-*")):
        targets.TARGETS[name](seed.read_bytes())  # loads the networks, which is no input's fault
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:], *map(str, corpus)], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
