"""Build a 2 GiB GGUF, whole and in layers, against hashing and copying the same file.

The other side is what any tool must do at least: `hashlib` over the file, then a copy of it, one
after the other, in one process. All sides are whole processes, taken in turn; the medians count.
The limits are sha256 on one core (whole), and two of sha256 and a copy on all cores (layered: the
shards and the source have digests of their own).

Usage: python benchmarks/build.py [--size GIB] [--rounds N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from _measure import MiB, Run, interleave, limits_of_this_machine, run, table, warm_memory

from modelpack.gguf.values import Value
from modelpack.gguf.writer import encode_header, place_tensors

BLOCKS = 24
ROW = 4096

FLOOR = """
import hashlib, shutil, sys
digest = hashlib.sha256()
buffer = memoryview(bytearray(128 * 1024))
with open(sys.argv[1], "rb", buffering=0) as file:
    while count := file.readinto(buffer):
        digest.update(buffer[:count])
shutil.copyfile(sys.argv[1], sys.argv[2])
"""


def write_model(path: Path, size: int) -> None:
    """Write a GGUF of about *size* bytes with random tensors, shaped like a llama."""
    rows = size // (ROW * 2) // (BLOCKS * 7 + 2)
    names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
    tensors = [("token_embd.weight", (ROW, rows), 1)]
    tensors += [(f"blk.{i}.{n}.weight", (ROW, rows), 1) for i in range(BLOCKS) for n in names]
    tensors.append(("output.weight", (ROW, rows), 1))
    metadata = {
        "general.architecture": Value.string("llama"),
        "general.name": Value.string("random"),
        "general.file_type": Value.uint32(1),
    }
    placed = place_tensors(tensors)
    with path.open("wb") as file:
        file.write(encode_header(metadata, placed))
        left = sum(tensor.size for tensor in placed)
        while left:
            left -= file.write(os.urandom(min(left, 8 * MiB)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    said = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="modelpack-bench-", dir=said.folder))
    try:
        limits_of_this_machine(folder)
        model = folder / "model.gguf"
        write_model(model, int(said.size * 1024 * MiB))
        (folder / "Modelfile").write_text("FROM model.gguf\n")
        print(f"model: {model.stat().st_size:,} bytes")

        def floor() -> Run:
            warm_memory()
            done = run([sys.executable, "-c", FLOOR, str(model), str(folder / "copy")])
            (folder / "copy").unlink()
            return done

        def build(*options: str) -> Run:
            warm_memory()
            store = folder / "store"
            command = [sys.executable, "-m", "modelpack", "build", "-q", str(folder), *options]
            done = run(command, {"MODELPACK_MODELS": str(store)})
            shutil.rmtree(store)
            return done

        runs = interleave(
            {
                "sha256, then copy": floor,
                "build, one blob": lambda: build("--layer-size", "none"),
                "build, layered": build,
                "build, by tensor": lambda: build("--layering", "tensor"),
            },
            said.rounds,
        )
        table(runs, "sha256, then copy")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
