"""llama-server of the xllamacpp wheel, as a program: prints its URL and serves until it is ended.

Usage: _llama_server.py MODEL THREADS SLOTS CTX
"""

from __future__ import annotations

import signal
import sys


def main() -> None:
    import xllamacpp

    model, threads, slots, ctx = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_parallel = int(slots)
    params.n_ctx = int(ctx) * int(slots)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    params.warmup = False
    server = xllamacpp.Server(params)
    print("\n" + server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
