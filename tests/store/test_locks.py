from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from modelpack.store import locks

HOLDER = """
import sys
from pathlib import Path
from modelpack.store import locks

with locks.shared(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def alone(path: Path) -> bool:
    with locks.exclusive(path) as held:
        return held


def test_many_may_share_the_lock(tmp_path):
    path = tmp_path / "folder/.lock"
    with locks.shared(path), locks.shared(path):
        assert not alone(path)
    assert alone(path)


def test_nobody_shares_a_lock_that_is_held_alone(tmp_path):
    path = tmp_path / ".lock"
    got = threading.Event()

    def take() -> None:
        with locks.shared(path):
            got.set()

    with locks.exclusive(path) as held:
        assert held
        assert not alone(path)
        thread = threading.Thread(target=take)
        thread.start()
        assert not got.wait(0.05)
    thread.join(10)
    assert got.is_set()


def test_a_lock_holds_across_processes(tmp_path):
    process = holder(tmp_path / ".lock")
    try:
        assert not alone(tmp_path / ".lock")
    finally:
        process.communicate(timeout=30)
    assert alone(tmp_path / ".lock")


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path):
    process = holder(tmp_path / ".lock")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert alone(tmp_path / ".lock")
