"""Serve the same model with ours and with llama-server, to the same clients, in turn.

llama-server comes from the wheel of xllamacpp. Both have as many slots, threads and tokens of
context; both answer OpenAI's chat completions over HTTP on the loopback interface. Medians count.

Usage: python benchmarks/server.py [--only NAME[,NAME...]] [--model tiny,random] [--rounds N]
       [--threads N] [--slots N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import _http_clients
from _measure import median
from _random_model import make_random_model

from modelpack.engine.cores import count_cores
from modelpack.gguf.reader import read_header
from modelpack.gguf.values import Value

HERE = Path(__file__).parent
TINY = HERE.parent / "Modelfile.examples" / "tiny" / "tiny.gguf"
CTX = 1024
OURS, THEIRS = "ours", "llama-server"
CLIENTS = (1, 8, 32)
CONNECTIONS = 1_000


@dataclass(frozen=True)
class Side:
    """A server that runs."""

    name: str
    url: str
    pid: int


@contextmanager
def program(
    name: str, command: list[str], environment: dict[str, str], marker: str
) -> Iterator[Side]:
    """Run *command* until the block ends; the line with *marker* says where it listens."""
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
        try:
            yield Side(name, _url(process, Path(log.name), marker), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url(process: subprocess.Popen[bytes], log: Path, marker: str) -> str:
    while process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if marker in line:
                return line[line.index("http://") :].split()[0]
        time.sleep(0.05)
    sys.exit(f"a server did not start: {log.read_text(errors='replace')[-500:]}")


@contextmanager
def ours(model: Path, folder: Path, threads: int, slots: int) -> Iterator[Side]:
    """Run our server over a store with *model*."""
    store = folder / "store"
    environment = {
        "MODELPACK_MODELS": str(store),
        "MODELPACK_HOST": "127.0.0.1:0",
        "MODELPACK_NUM_PARALLEL": str(slots),
    }
    modelfile = folder / "Modelfile"
    modelfile.write_text(f"FROM {model}\nPARAMETER num_ctx {CTX}\nPARAMETER num_thread {threads}\n")
    modelpack = [sys.executable, "-m", "modelpack"]
    subprocess.run(
        [*modelpack, "build", "-q", "-f", str(modelfile), "-t", "bench"],
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with program(OURS, [*modelpack, "serve"], environment, "serving models at") as side:
        yield side


@contextmanager
def theirs(model: Path, threads: int, slots: int) -> Iterator[Side]:
    """Run llama-server with *model*."""
    command = [sys.executable, str(HERE / "_llama_server.py"), str(model)]
    with program(THEIRS, [*command, str(threads), str(slots), str(CTX)], {}, "http://") as side:
        yield side


def cpu_s(pid: int) -> float:
    """Return the seconds of processor that the process *pid* has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Return the MiB that the process *pid* has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def ending_tokens(model: Path) -> list[int]:
    """Return the tokens that end an answer, which would make answers of different lengths."""
    header = read_header(model)
    found: list[int] = []
    names = header.value("tokenizer.ggml.tokens")
    if isinstance(names, Value) and isinstance(names.value, tuple):
        found = [
            token
            for token, name in enumerate(names.value)
            if isinstance(name, str) and name.startswith("<|") and name.endswith("|>")
        ]
    return found


def speed(sides: list[Side], model: Path, rounds: int, tokens: int) -> dict[str, object]:
    """Measure tokens a second and the wait for the first, by number of clients."""
    banned = ending_tokens(model)
    told: dict[str, object] = {}
    for clients in CLIENTS:
        each = max(1, (8 if tokens > 20 else 4) // max(1, clients // 8))
        rates: dict[str, list[float]] = {side.name: [] for side in sides}
        firsts: dict[str, list[float]] = {side.name: [] for side in sides}
        layer: list[float] = []
        for number in range(rounds + 1):
            for side in sides:
                before = cpu_s(side.pid)
                seen = _http_clients.ask(
                    side.url, "bench", clients=clients, each=each, tokens=tokens, banned=banned
                )
                if not number:
                    continue  # to warm up
                rates[side.name].append(seen.rate)
                firsts[side.name].append(seen.first(0.95) * 1000)
                if side.name == OURS:
                    layer.append((cpu_s(side.pid) - before) / seen.tokens * 1e6)
        row = {
            name: {"tokens_s": median(rates[name]), "first_p95_ms": median(firsts[name])}
            for name in rates
        }
        row["layer_us"] = median(layer)
        told[str(clients)] = row
        line = "  ".join(
            f"{name} {median(rates[name]):8.1f} tok/s, first p95 {median(firsts[name]):7.1f} ms"
            for name in rates
        )
        if len(sides) > 1:
            ratio = median(rates[OURS]) / median(rates[THEIRS])
            line += (
                f"  ratio {ratio:.2f}, first {median(firsts[OURS]) / median(firsts[THEIRS]):.2f}"
            )
        print(
            f"  {clients:3} clients  {line}  our layer {median(layer):.1f} us a token", flush=True
        )
    return told


def asked(sock: socket.socket, host: str) -> bool:
    """Ask for the version, and tell whether it came."""
    sock.sendall(f"GET /api/version HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    came = b""
    while not came.endswith(b"}"):
        block = sock.recv(4096)
        if not block:
            return False
        came += block
    return came.startswith(b"HTTP/1.1 200")


def idle(side: Side) -> dict[str, object]:
    """Measure the memory of a server that has nothing to do, and hold many connections."""
    memory = resident(side.pid)
    place = urlsplit(side.url)
    held: list[socket.socket] = []
    try:
        for _ in range(CONNECTIONS):
            sock = socket.create_connection((place.hostname or "", place.port or 0), timeout=10)
            assert asked(sock, place.netloc)
            held.append(sock)
        began = time.perf_counter()
        alive = sum(asked(sock, place.netloc) for sock in held)
        took = time.perf_counter() - began
        full = resident(side.pid)
    finally:
        for sock in held:
            sock.close()
    print(
        f"  idle {memory:.0f} MiB; {alive} of {CONNECTIONS} connections held, {full:.0f} MiB,"
        f" all asked again in {took:.2f} s"
    )
    return {"idle_mib": memory, "held": alive, "held_mib": full, "again_s": took}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", default="idle,speed")
    parser.add_argument("--model", default="tiny,random")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=count_cores())
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--json", type=Path)
    said = parser.parse_args()
    told: dict[str, object] = {}
    for name in said.model.split(","):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
            model = TINY if name == "tiny" else make_random_model(Path(folder) / "random.gguf")
            print(f"{name}, {said.threads} threads, {said.slots} slots", flush=True)
            side = running.enter_context(ours(model, Path(folder), said.threads, said.slots))
            rows: dict[str, object] = {}
            if "idle" in said.only:
                rows["idle"] = idle(side)
            if "speed" in said.only:
                other = running.enter_context(theirs(model, said.threads, said.slots))
                rows["speed"] = speed(
                    [side, other], model, said.rounds, 128 if name == "tiny" else 16
                )
            told[name] = rows
    if said.json:
        said.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
