"""Raters by the hundred on a study's server, which is killed now and then; prints a table.

    picolab study plan runs/gallery load.sqlite --raters 100000 --trials 500 --plates 0 --screens 0
    python benchmarks/study_load.py load.sqlite --raters 200 --seconds 60 --kills 3

Raters are coroutines over real connections: each answers, thinks, and loads the pictures of the
next task, as a browser does. Every answer that the server acknowledged must be in the database at
the end, whatever moment the server was killed at. The database is written to: give it a copy.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DISPLAY = {"width": 1440, "height": 900, "ratio": 1.0, "zoom": 1.0, "touch": False, "layout": "row"}
HOST = "127.0.0.1"


@dataclass
class Load:
    """What all raters share: answers acknowledged, by task, and milliseconds by kind of request."""

    port: int
    think: float
    ramp: float
    end: float
    acknowledged: dict[str, str] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)
    retries: int = 0


class Rater:
    """One browser: a connection that is kept, a cookie, and patience when the server is away."""

    def __init__(self, load: Load, seed: int) -> None:
        self.load = load
        self.rng = random.Random(seed)
        self.cookie = self.word = ""
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self) -> None:
        await asyncio.sleep(self.rng.uniform(0, self.load.ramp))
        begun = await self.ask("begin", "POST", "/api/begin", {"consent": True})
        self.word = begun["word"]
        state = await self.ask("display", "POST", "/api/display", DISPLAY)
        while state["tasks"] and time.monotonic() < self.load.end:
            for task in state["tasks"][-1:]:
                for side in ("left", "right", "reference"):
                    await self.ask("picture", "GET", f"/picture/{task['key']}/{side}")
            await asyncio.sleep(self.rng.expovariate(1 / self.load.think))
            key = state["tasks"][0]["key"]
            said = self.rng.choice(["left", "right", "tie"])
            body = {"key": key, "answer": said, "response_ms": 1500, "looks": 0}
            state = await self.ask("answer", "POST", "/api/answer", body)
            self.load.acknowledged[key] = said

    async def ask(self, kind: str, method: str, path: str, body: object = None) -> Any:
        """The same request again until it is answered, as the page does."""
        while True:
            start = time.perf_counter()
            try:
                status, data = await self.once(method, path, body)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                self.streams = None
                self.load.retries += 1
                await asyncio.sleep(self.rng.uniform(0.5, 1.5))
                continue
            self.load.times.setdefault(kind, []).append(1000 * (time.perf_counter() - start))
            if status != 200:
                raise RuntimeError(f"{path}: {status} {data[:200]!r}")
            return json.loads(data) if method == "POST" else data

    async def once(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        if self.streams is None:
            self.streams = await asyncio.open_connection(HOST, self.load.port)
        reader, writer = self.streams
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{self.load.port}"]
        lines += [f"Cookie: study={self.cookie}", f"X-Study: {self.word}"]
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        for line in head:
            if line.lower().startswith("set-cookie: study="):
                self.cookie = line.split("=", 1)[1].split(";")[0]
        return int(head[0].split()[1]), await reader.readexactly(int(fields["content-length"]))


class Server:
    """`picolab study serve` on a free port, killed and started again."""

    def __init__(self, database: Path, options: list[str]) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        self.command = [sys.executable, "-m", "picolab", "study", "serve", str(database)]
        self.command += ["--port", str(self.port), "--requests-per-second", "100000"]
        self.command += ["--sessions-per-minute", "100000", *options]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((HOST, self.port), 1).close()
                return
            if self.process.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.05)

    def kill(self) -> None:
        """At once, the chooser with it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


async def drive(server: Server, load: Load, raters: int, kills: int) -> None:
    """All raters, until the time is up, and the kills between."""
    people = [asyncio.create_task(Rater(load, n).run()) for n in range(raters)]
    start = time.monotonic()
    moments = sorted(
        random.Random(1).uniform(start + load.ramp / 2, load.end - 5) for _ in range(kills)
    )
    while time.monotonic() < load.end:
        if moments and time.monotonic() > moments[0]:
            moments.pop(0)
            server.kill()
            await asyncio.to_thread(server.start)
        await asyncio.sleep(0.5)
    for done in await asyncio.gather(*people, return_exceptions=True):
        if isinstance(done, BaseException):
            raise done


def report(load: Load, database: Path, raters: int, seconds: float, kills: int) -> bool:
    """Print what was measured; returns whether every acknowledged answer is there."""
    connection = sqlite3.connect(database)
    kept = dict(connection.execute("select key, answer from task where answer is not null"))
    connection.close()
    lost = [key for key, said in load.acknowledged.items() if kept.get(key) != said]
    print(f"{raters} raters at once, {seconds:g} s, {load.think:g} s to think, {kills} kills\n")
    print(
        "| request | count | median ms | 95 % ms | 99 % ms |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for kind, times in load.times.items():
        cuts = statistics.quantiles(times, n=100)
        row = f"{statistics.median(times):.1f} | {cuts[94]:.1f} | {cuts[98]:.1f}"
        print(f"| {kind} | {len(times)} | {row} |")
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    count = sum(len(times) for times in load.times.values())
    print(f"\nserver: {(spent.ru_utime + spent.ru_stime) / count * 1000:.2f} ms CPU a request")
    print(
        f"{len(load.acknowledged)} answers acknowledged, {len(lost)} lost, {load.retries} retries"
    )
    return not lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path)
    parser.add_argument("--raters", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think", type=float, default=4, help="mean seconds between two answers")
    parser.add_argument("--ramp", type=float, default=15, help="seconds in which all come")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--choosing", action="store_true", help="with the chooser beside it")
    args = parser.parse_args()
    server = Server(args.database, [] if args.choosing else ["--no-choosing"])
    load = Load(server.port, args.think, args.ramp, time.monotonic() + args.seconds)
    try:
        asyncio.run(drive(server, load, args.raters, args.kills))
    finally:
        server.kill()
    return 0 if report(load, args.database, args.raters, args.seconds, args.kills) else 1


if __name__ == "__main__":
    sys.exit(main())
