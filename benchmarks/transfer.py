"""Pull, push and copy a model, against other clients and against curl.

All sides of a scenario are whole processes, taken in turn; the medians count. The floor is curl,
and openssl's sha256 after it where a client has to verify. Registries are processes of their own
on the loopback interface, and share the processor with the client. `x peer` is the ratio to the
fastest of the other clients, `x floor` that to curl. Ours alone waits for the disk when it pulls;
with --durable, the others do so too, a second time.

Usage: python benchmarks/transfer.py [--only NAME[,NAME...]] [--list] [--registry NAME[,NAME...]]
       [--without CLIENT[,CLIENT...]] [--durable] [--size GIB] [--rounds N] [--warmups N]
       [--folder DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _bench import Bench
from _kill import killed_pulls, killed_pushes
from _limits import limits
from _measure import MiB, compile_ours, limits_of_this_machine
from _peers import clients
from _registries import CURRENT, DEBIAN, OURS, available
from _scenarios import copies, pulls, pulls_again, pushes, pushes_to_sink

ROUND_TRIP_S = 0.05
SMALL, SMALL_AND_FAR = "1000", "200"

Scenario = Callable[[Bench, str], None]


def _pull(shape: str) -> Scenario:
    return lambda bench, title: pulls(bench, title, shape, bench.registries)


def _push(shape: str) -> Scenario:
    return lambda bench, title: pushes(bench, title, shape, bench.registries)


def _far_pull(shape: str) -> Scenario:
    return lambda bench, title: pulls(bench, title, shape, [DEBIAN], ROUND_TRIP_S)


def _far_push(shape: str) -> Scenario:
    return lambda bench, title: pushes(bench, title, shape, [DEBIAN], ROUND_TRIP_S)


def _copy(shape: str) -> Scenario:
    def scenario(bench: Bench, title: str) -> None:
        for first, second in ((DEBIAN, OURS), (OURS, DEBIAN)):
            copies(bench, title, shape, first, second)

    return scenario


SCENARIOS: dict[str, tuple[str, Scenario]] = {
    "limits": ("what this machine can do", limits),
    "pull-one": ("pull one blob of --size", _pull("one")),
    "pull-four": ("pull four blobs that make --size", _pull("four")),
    "pull-again": (
        "pull what is there already",
        lambda bench, title: pulls_again(bench, title, bench.registries),
    ),
    "push-one": ("push one blob of --size", _push("one")),
    "push-four": ("push four blobs that make --size", _push("four")),
    "push-sink-one": (
        "push one blob to a registry that only counts",
        lambda bench, title: pushes_to_sink(bench, title, "one"),
    ),
    "push-sink-four": (
        "push four blobs to a registry that only counts",
        lambda bench, title: pushes_to_sink(bench, title, "four"),
    ),
    "small-pull": ("pull 1,000 blobs of 4 KiB", _pull(SMALL)),
    "small-push": ("push 1,000 blobs of 4 KiB", _push(SMALL)),
    "latency-pull-four": ("pull-four over a round trip of 50 ms", _far_pull("four")),
    "latency-push-four": ("push-four over a round trip of 50 ms", _far_push("four")),
    "latency-small-pull": ("pull 200 blobs of 4 KiB over 50 ms", _far_pull(SMALL_AND_FAR)),
    "latency-small-push": ("push 200 blobs of 4 KiB over 50 ms", _far_push(SMALL_AND_FAR)),
    "copy-one": ("copy one blob from registry to registry", _copy("one")),
    "copy-four": ("copy four blobs from registry to registry", _copy("four")),
    "kill-pull": (
        "our pull is killed and begun again",
        lambda bench, title: killed_pulls(bench, title, bench.registries),
    ),
    "kill-push": (
        "our push is killed and begun again",
        lambda bench, title: killed_pushes(bench, title, bench.registries),
    ),
}


def main() -> None:
    said = _arguments()
    chosen = _chosen(said.only)
    if said.list:
        for name in chosen:
            print(f"{name:20} {SCENARIOS[name][0]}")
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="modelpack-bench-", dir=said.folder))
    try:
        compile_ours()
        limits_of_this_machine(folder)
        size = int(said.size * 1024) * MiB
        bench = Bench(
            folder,
            size,
            said.rounds,
            said.warmups,
            said.registry.split(","),
            clients(said.without.split(",")),
            said.durable,
        )
        for name in chosen:
            SCENARIOS[name][1](bench, name)
            sys.stdout.flush()
            if said.json:
                raw = {"size": bench.size, "runs": bench.results}
                said.json.write_text(json.dumps(raw, indent=1))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="scenarios, or what their names begin with")
    parser.add_argument("--list", action="store_true", help="print the scenarios, and stop")
    parser.add_argument("--registry", default=",".join(r for r in available() if r != CURRENT))
    parser.add_argument("--without", default="", help="clients to leave out")
    parser.add_argument(
        "--durable",
        action="store_true",
        help="measure others a second time, with a sync at the end",
    )
    parser.add_argument("--size", type=float, default=2.0, help="GiB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warmups", type=int, default=1, help="rounds that do not count")
    parser.add_argument("--folder", type=Path, default=None, help="where to put all files")
    parser.add_argument("--json", type=Path, default=None, help="where to put the raw numbers")
    return parser.parse_args()


def _chosen(said: str) -> list[str]:
    wanted = [word for word in said.split(",") if word]
    for word in wanted:
        if not any(_means(word, name) for name in SCENARIOS):
            sys.exit(f"there is no scenario {word!r}; see --list")
    return [n for n in SCENARIOS if not wanted or any(_means(word, n) for word in wanted)]


def _means(word: str, name: str) -> bool:
    return name == word or name.startswith(f"{word}-")


if __name__ == "__main__":
    main()
