"""What this machine can do: its disk, sha256, and the loopback interface."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _bench import Bench
from _measure import MiB, median, warm_memory

_BLOCK = 128 * 1024
_HASH = """
import hashlib, sys
digest, block = hashlib.sha256(), bytes(131072)
for _ in range(int(sys.argv[1]) // len(block)):
    digest.update(block)
"""
_SEND = """
import os, socket, sys
to = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
with open(sys.argv[1], "rb") as file, to:
    while os.sendfile(to.fileno(), file.fileno(), None, 1 << 30):
        pass
"""


def limits(bench: Bench, title: str) -> None:
    """Print a small table of what is possible."""
    data = bench.model("one").layers[0].path
    target = bench.folder / "written"
    hashing = [sys.executable, "-c", _HASH, str(bench.size)]
    sides: dict[str, Callable[[], object]] = {
        "write and fsync": lambda: _write(data, target),
        "sha256, one core": lambda: _together([hashing]),
        "sha256, two at once": lambda: _together([hashing, hashing]),
        "loopback": lambda: _receive(data, None),
        "loopback to a file": lambda: _receive(data, target),
    }
    print(f"\n{title}, {bench.size / MiB:.0f} MiB")
    print(f"{'':20}        s   MiB/s")
    seconds: dict[str, object] = {}
    bench.results[title] = seconds
    for name, side in sides.items():
        walls: list[float] = []
        seconds[name] = walls
        for _ in range(bench.rounds):
            os.sync()
            warm_memory(bench.size + 512 * MiB)
            start = time.perf_counter()
            side()
            walls.append(time.perf_counter() - start)
            target.unlink(missing_ok=True)
        wall = median(walls)
        print(f"{name:20}  {wall:7.3f} {bench.size / MiB / wall:7.0f}")


def _write(data: Path, target: Path) -> None:
    """Copy *data*, which is in memory, and wait for the disk."""
    buffer = memoryview(bytearray(_BLOCK))
    with data.open("rb", buffering=0) as source, target.open("wb", buffering=0) as file:
        while count := source.readinto(buffer):
            file.write(buffer[:count])
        os.fsync(file.fileno())


def _together(commands: list[list[str]]) -> None:
    processes = [subprocess.Popen(command) for command in commands]
    for process in processes:
        if process.wait():
            sys.exit(f"{process.args!r} failed")


def _receive(data: Path, target: Path | None) -> None:
    """Take *data* from another process, and write it to *target* if there is one."""
    buffer = memoryview(bytearray(_BLOCK))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        sender = subprocess.Popen([sys.executable, "-c", _SEND, str(data), port])
        connection, _ = listener.accept()
        with connection, Path(target or os.devnull).open("wb", buffering=0) as file:
            while count := connection.recv_into(buffer):
                if target:
                    file.write(buffer[:count])
        if sender.wait():
            sys.exit("the sender failed")
