"""An hour of fuzzing: all targets in turn, by CPU time, and the table for docs/trust.md.

    python fuzz/corpus.py        # once
    python fuzz/hour.py [--minutes 60]

Stopped at any time, it goes on where it was when it is started again, with what it had found
(build/fuzz/hour.json) and the corpus that had grown. Linux only. The exit code is 1 if there are
findings.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SHARES = {"container": 2, "entropy": 3, "decoder": 5, "pillow": 2}
TURN = 30.0  # CPU seconds of one share
BUILD = Path(__file__).parent.parent / "build" / "fuzz"
STATE = BUILD / "hour.json"


@dataclass
class Tally:
    executions: int = 0
    seconds: float = 0.0
    first: int = 0
    last: int = 0
    memory: int = 0
    findings: int = 0

    def add(self, log: str, seconds: float, failed: bool) -> None:
        """What one turn printed."""
        edges = [int(n) for n in re.findall(r" cov: (\d+)", log)]
        self.seconds += seconds
        self.executions += _number(r"number_of_executed_units: +(\d+)", log)
        self.memory = max(self.memory, _number(r"peak_rss_mb: +(\d+)", log))
        self.first = self.first or edges[0]
        self.last = max(self.last, edges[-1])
        self.findings += failed


def _number(pattern: str, log: str) -> int:
    found = re.search(pattern, log)
    if found is None:
        raise SystemExit(f"the fuzzer did not say {pattern!r}; it said: {log[-2000:]}")
    return int(found[1])


def cpu_seconds(pid: int) -> float:
    """What a running process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def turn(target: str, seconds: float) -> tuple[str, float, bool]:
    """Fuzz for some CPU seconds: what was printed, the seconds used, whether there is a finding."""
    script = Path(__file__).parent / "run.py"
    command = [sys.executable, str(script), target, "-print_final_stats=1"]
    log = BUILD / f"{target}.log"
    used = 0.0
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            used = cpu_seconds(process.pid)
            if used >= seconds:
                process.send_signal(signal.SIGUSR1)  # finishes its execution and prints figures
            time.sleep(1)
    return log.read_text(), used, process.returncode != 0


def table(tallies: dict[str, Tally]) -> str:
    lines = ["| target | executions | CPU seconds | edges covered at the start | at the end"
             " | peak, MiB | findings |", "| --- " * 7 + "|"]  # fmt: skip
    lines += [
        f"| {name} | {t.executions} | {t.seconds:.0f} | {t.first} | {t.last} | {t.memory} "
        f"| {t.findings} |"
        for name, t in tallies.items()
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    args = parser.parse_args()
    known = json.loads(STATE.read_text()) if STATE.exists() else {}
    tallies = {target: Tally(**known.get(target, {})) for target in SHARES}
    while sum(t.seconds for t in tallies.values()) < args.minutes * 60:
        target = min(SHARES, key=lambda name: tallies[name].seconds / SHARES[name])
        tallies[target].add(*turn(target, TURN * SHARES[target]))
        STATE.write_text(json.dumps({name: asdict(t) for name, t in tallies.items()}))
        print(table(tallies), flush=True)
    return 1 if any(t.findings for t in tallies.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
