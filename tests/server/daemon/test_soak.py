"""Many clients of all kinds, for a while; `MODELPACK_SOAK_S` says how long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
from support.server_soak import ServerSoak, open_files, settles, workers_of
from support.serving import MODEL, Served, tiny_store

from modelpack.ops.build import BuildOptions, build

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

SOAK_S = float(os.environ.get("MODELPACK_SOAK_S", "12"))
KILL_EVERY_S = 60.0 if SOAK_S >= 300 else 2.0
MODELS = (MODEL, "second", "third")


def number_of(served: Served, name: str) -> float:
    lines = served.ask("GET", "/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)


def test_nothing_hangs_leaks_or_goes_wrong(tmp_path):
    context = tiny_store(tmp_path)
    for name in MODELS[1:]:
        source = f"FROM {MODEL}\nLABEL of={name}\n".encode()
        build(context, source, BuildOptions(context=tmp_path, tags=[name]))
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "modelpack", "serve"],
        stderr=log,
        env={
            **os.environ,
            "MODELPACK_MODELS": str(context.store.layout.root),
            "MODELPACK_HOST": "127.0.0.1:0",
            "MODELPACK_MAX_LOADED_MODELS": "2",
        },
    )

    def url() -> str:
        lines = (tmp_path / "log").read_text().splitlines()
        return next((line.split()[-1] for line in lines if line.startswith("serving ")), "")

    try:
        assert settles(url)
        served = Served(url(), context)
        served.ask("GET", "/healthz")
        before = open_files(process.pid)
        soak = ServerSoak(served.url, process.pid, MODELS, kill_every_s=KILL_EVERY_S)
        tally = soak.run(SOAK_S)
        print(tally.ends, f"{tally.kills} kills, {tally.errors} errors, {tally.memory[-1]} KiB")
        assert Counter(tally.wrong) == Counter()
        assert tally.ends["answered"] > 10
        assert tally.ends["streamed"] > 5
        assert settles(lambda: number_of(served, "modelpack_slots_busy") == 0)
        assert settles(lambda: number_of(served, "modelpack_queue") == 0)
        for name in MODELS:
            served.post("/api/generate", model=name, keep_alive=0)
        assert settles(lambda: not workers_of(process.pid))
        assert settles(lambda: open_files(process.pid) <= before + 1)
        assert "Traceback" not in (tmp_path / "log").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        log.close()
