"""picocorpus on a cluster of two nodes, from and to an S3 store, with a worker killed at work."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from installed import need
from PIL import Image
from tiny import photo

from picocodec import cli, decode

need("ray", "pyarrow", "s3fs", "moto", "flask", extra="pip install './lab[dev]'")

if not sys.platform.startswith("linux"):
    pytest.skip("workers are looked for in /proc", allow_module_level=True)

PICTURES = 12
WORKER = "ray::"  # how the processes of a cluster's workers are named


@pytest.fixture(scope="module")
def store() -> Iterator[None]:
    """An object store of this machine, which workers find by the environment."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    kept = dict(os.environ)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "me",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }
    yield
    server.stop()
    os.environ.clear()
    os.environ |= kept


@pytest.fixture(scope="module")
def nodes(store: None) -> Iterator[str]:
    """The address of two nodes of one core each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes(timeout=300)
    yield cluster.address
    cluster.shutdown()


def workers() -> list[int]:
    """Processes at work on pictures, by number: of this cluster, which has this store."""
    found = []
    store = f"AWS_ENDPOINT_URL={os.environ['AWS_ENDPOINT_URL']}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes().decode(errors="replace")
            is_ours = store in (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if is_ours and name.startswith(WORKER) and "Map" in name:
            found.append(int(folder.name))
    return found


def test_a_worker_killed_at_work_costs_no_picture(nodes: str, tmp_path, capsys) -> None:
    import s3fs

    system = s3fs.S3FileSystem()
    system.mkdir("bucket")
    for number in range(PICTURES):
        name = tmp_path / f"{number}.png"
        Image.fromarray(photo(150, 200, number)).save(name)
        system.put(str(name), f"bucket/in/{number % 3}/{name.name}")
    killed: list[int] = []

    def kill_one() -> None:
        end = time.monotonic() + 120
        while not killed and time.monotonic() < end:
            for process in workers()[:1]:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_one)
    killer.start()
    table = "s3://bucket/table.csv"
    options = ["-q", "20", "--address", nodes, "--table", table]
    code = cli.picocorpus(["s3://bucket/in", "s3://bucket/out", *options])
    killer.join()
    told = capsys.readouterr().err
    assert killed, "no worker was seen at work"
    assert code == 0, told
    assert f"{PICTURES} pictures: {PICTURES} done, 0 skipped, 0 failed" in told
    outputs = system.find("bucket/out")
    assert len(outputs) == PICTURES
    assert decode(system.cat(outputs[0])).shape == (150, 200, 3)
    assert system.cat("bucket/table.csv").count(b"\n") == PICTURES + 1
