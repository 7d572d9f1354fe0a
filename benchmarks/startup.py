"""How long `modelpack --help` takes, and `modelpack list` with 1,000 models.

Whole processes, the console script, warm files; the limit is Python's own start. The other side is
an interpreter that does nothing.

Usage: python benchmarks/startup.py [--models N] [--rounds N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from _measure import compile_ours, interleave, run, table

from modelpack.formats.artifact import Facts, Layer, ModelArtifact, Role
from modelpack.formats.modelspec import ModelSpec
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.reference import Reference
from modelpack.store.local import LocalStore

LAYERS = 16


def fill(store: LocalStore, models: int) -> None:
    """Put *models* names into *store*, each of a model in sixteen layers."""
    for number in range(models):
        layers = tuple(
            Layer(
                Role.MODEL,
                Descriptor("", store.add(f"{number}/{i}".encode()), len(f"{number}/{i}")),
                f"m-{i}.gguf",
            )
            for i in range(LAYERS)
        )
        config, manifest = ModelSpec().encode(ModelArtifact(layers=layers, facts=Facts()))
        store.add(config)
        store.name(
            Reference.parse(f"registry.example.com/team-{number % 10}/model-{number}:1"), manifest
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    said = parser.parse_args()
    program = str(Path(sys.executable).with_name("modelpack"))
    compile_ours()
    with tempfile.TemporaryDirectory() as folder:
        fill(LocalStore(Path(folder)), said.models)
        environment = {"MODELPACK_MODELS": folder}
        runs = interleave(
            {
                "python -c pass": lambda: run([sys.executable, "-c", "pass"]),
                "modelpack --help": lambda: run([program, "--help"]),
                f"modelpack list, {said.models} models": lambda: run(
                    [program, "list"], environment
                ),
            },
            said.rounds,
            warmups=2,
        )
        table(runs, "python -c pass")


if __name__ == "__main__":
    main()
