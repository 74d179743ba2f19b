"""Jobs of training in processes of their own: so many at once here, or over a Ray cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from picolab.search.training import STOPPED, Job, Trained, read_trained

POLL = 0.2  # seconds between two looks at processes


class Done(NamedTuple):
    name: str
    trained: Trained


class Stopped(Exception):
    """A worker was told to stop; the same command goes on from its checkpoint."""


class WorkerFailed(RuntimeError):
    """A worker ended with an error; the message has the end of what it said."""


class Worker:
    """A job at work. What it says goes to `train.log` in the job's folder."""

    def __init__(self, job: Job) -> None:
        self.folder = Path(job.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "trained.json").unlink(missing_ok=True)
        path = self.folder / "job.json"
        path.write_text(json.dumps(asdict(job)))
        with open(self.folder / "train.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "picolab.search.training", str(path)],
                stdin=subprocess.PIPE,  # closes with this process, whichever way it ends
                stdout=log,
                stderr=log,
            )

    def trained(self) -> Trained | None:
        """What came of it, None while it is at work. Raises `Stopped` and `WorkerFailed`."""
        status = self.process.poll()
        if status is None:
            return None
        assert self.process.stdin is not None
        self.process.stdin.close()
        if status == STOPPED:
            raise Stopped(self.folder)
        if status:
            log = (self.folder / "train.log").read_text(errors="replace")
            raise WorkerFailed(f"{self.folder}: training ended with {status}: {log[-1000:]}")
        return read_trained(self.folder / "trained.json")

    def stop(self) -> None:
        """Let it save, and wait for that."""
        self.process.terminate()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()


def run_here(jobs: Mapping[str, Job], processes: int) -> Iterator[Done]:
    """The jobs by name, as they are done. Whatever ends this early ends all, at checkpoints."""
    waiting, running = dict(jobs), dict[str, Worker]()
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                name = next(iter(waiting))
                running[name] = Worker(waiting.pop(name))
            time.sleep(POLL)
            for name, worker in list(running.items()):
                trained = worker.trained()
                if trained is not None:
                    del running[name]
                    yield Done(name, trained)
    finally:
        for worker in running.values():
            worker.stop()


def run_on_ray(jobs: Mapping[str, Job], address: str) -> Iterator[Done]:
    """The same over a Ray cluster, whose machines must all see the jobs' folders and tiles."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    joined = ray.is_initialized()
    if not joined:
        ray.init(None if address == "here" else address, log_to_driver=False)
    try:
        task = ray.remote(max_retries=2)(_work)
        names = {task.remote(job): name for name, job in jobs.items()}
        while names:
            (ready,), _ = ray.wait(list(names), num_returns=1)
            yield Done(names.pop(ready), ray.get(ready))
    finally:
        if not joined:
            ray.shutdown()


def _work(job: Job) -> Trained:
    """One job on whatever machine this is."""
    ((_, trained),) = run_here({"": job}, 1)
    return trained
