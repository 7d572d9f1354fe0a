"""Big blobs: fetched in ranges, gone on with, and right at the end whatever happens."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes.models import build_model, context_at, serve_model
from fakes.web import html, says, serve, stalls
from support.models import assert_sound, leftovers

from modelpack import limits
from modelpack.errors import IntegrityError, NetworkError, RegistryError, StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.ops.context import Context, Network
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.registry.repository import Repository

PART = 256 * limits.KiB
SIZE = 3 * limits.MiB + 12_345
WEIGHTS = random.Random(7).randbytes(SIZE)
BLOB = Descriptor.of(WEIGHTS, "a/b")
LAYER = str(BLOB.digest)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(limits, "RANGES_FROM", PART)
    monkeypatch.setattr(limits, "RANGE_PART", PART)
    monkeypatch.setattr(limits, "JOURNAL_EVERY_S", 0.0)


@pytest.fixture
def model(registry):
    serve_model(registry, weights=WEIGHTS)
    return f"{registry.host}/team/tiny:v1"


def root(context: Context) -> Path:
    return context.store.layout.root


def assert_pulled(context: Context) -> None:
    assert context.store.path(BLOB.digest).read_bytes() == WEIGHTS
    assert leftovers(root(context)) == []
    assert_sound(root(context))


def ranges(registry) -> list[tuple[int, int]]:
    """The ranges of the weights that were asked for."""
    said = [s.headers.get("range", "") for s in registry.asked("GET", LAYER)]
    return [tuple(map(int, text.removeprefix("bytes=").split("-"))) for text in said if text]


def broken_off(registry, there, model, after: int) -> None:
    """Pull until the registry has sent *after* bytes of the weights, and fail then."""
    registry.pace_s = 0.001

    def enough(event):
        if event.completed >= after and event.item == LAYER:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(there, model, enough)
    registry.pace_s = 0.0
    registry.seen.clear()
    registry.sent = 0


@pytest.mark.parametrize("concurrency", [1, 2, 4, 9])
def test_a_big_blob_comes_in_ranges_each_byte_once(registry, tmp_path, model, concurrency):
    there = context_at(tmp_path, Network(concurrency=concurrency))
    pull(there, model)
    assert_pulled(there)
    asked = sorted(ranges(registry))
    assert asked[0][0] == 0
    assert asked[-1][1] == SIZE - 1
    assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(asked))
    assert len(asked) == -(-SIZE // PART)


def test_ranges_move_at_the_same_time_but_no_more_than_allowed(registry, tmp_path, model):
    lock, now, most = threading.Lock(), 0, 0
    gate = threading.Event()

    def counting(exchange):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.wait(0.05)
        with lock:
            now -= 1
        serve(exchange, WEIGHTS)

    registry.instead("GET", LAYER, counting)
    pull(context_at(tmp_path, Network(concurrency=3)), model)
    assert 2 <= most <= 3


def test_a_registry_without_ranges_gives_one_verified_stream(registry, there, model):
    registry.ranges = False
    pull(there, model)
    assert_pulled(there)
    assert len(registry.asked("GET", LAYER)) == 2


def test_a_registry_that_stops_giving_ranges_is_read_whole(registry, there, model):
    registry.instead("GET", LAYER, lambda e: serve(e, WEIGHTS, ranges=False))
    registry.instead("GET", LAYER, lambda e: serve(e, WEIGHTS), times=3)
    pull(there, model)
    assert_pulled(there)


def test_a_pull_goes_on_inside_a_part(registry, there, model):
    broken_off(registry, there, model, SIZE // 2)
    assert leftovers(root(there)) == [f"sha256-{BLOB.digest.hex}.{e}" for e in ("json", "part")]
    kept = sum(json.loads((root(there) / "ingest" / leftovers(root(there))[0]).read_text())["done"])
    assert kept > 0
    events = []
    pull(there, model, events.append)
    assert_pulled(there)
    mine = [event for event in events if event.item == LAYER]
    assert mine[0].completed == kept
    assert mine[0].note == f"resumed at {100 * kept // SIZE} %"
    assert [e.completed for e in mine] == sorted(e.completed for e in mine)
    assert sum(stop - start + 1 for start, stop in ranges(registry)) == SIZE - kept


@pytest.mark.parametrize("lie", ["all", "flip"])
def test_leftovers_that_are_wrong_are_fetched_again(registry, there, model, lie):
    broken_off(registry, there, model, SIZE // 2)
    journal, part = (root(there) / "ingest" / name for name in leftovers(root(there)))
    value = json.loads(journal.read_text())
    if lie == "all":
        value["done"] = [min(PART, SIZE - n * PART) for n in range(len(value["done"]))]
        journal.write_text(json.dumps(value))
    else:
        with part.open("r+b") as file:
            file.seek(next(n for n, have in enumerate(value["done"]) if have) * PART)
            file.write(b"\0\1\2\3")
    events = []
    pull(there, model, events.append)
    assert_pulled(there)
    assert 0 in [event.completed for event in events if event.item == LAYER]


@pytest.mark.parametrize("raw", [b"", b"{", b"null", b"\xff" * 100, b'{"version":1}'])
def test_a_damaged_journal_means_starting_over(registry, there, model, raw):
    broken_off(registry, there, model, SIZE // 2)
    (root(there) / "ingest" / leftovers(root(there))[0]).write_bytes(raw)
    pull(there, model)
    assert_pulled(there)
    assert sum(stop - start + 1 for start, stop in ranges(registry)) == SIZE


def test_a_partial_file_of_another_size_means_starting_over(registry, there, model):
    broken_off(registry, there, model, SIZE // 2)
    (root(there) / "ingest" / leftovers(root(there))[1]).write_bytes(b"short")
    pull(there, model)
    assert_pulled(there)


def test_wrong_bytes_are_damage_and_leave_nothing(registry, there, model):
    wrong = bytes(SIZE)
    registry.instead("GET", LAYER, lambda e: serve(e, wrong))
    with pytest.raises(IntegrityError, match=f"{registry.host} sent other bytes than {LAYER}"):
        pull(there, model)
    assert leftovers(root(there)) == []
    assert not there.store.has(BLOB)


def test_wrong_bytes_after_a_resume_are_asked_for_once_more(registry, there, model):
    broken_off(registry, there, model, SIZE // 2)
    registry.instead("GET", LAYER, lambda e: serve(e, bytes(SIZE)))
    with pytest.raises(IntegrityError):
        pull(there, model)
    assert leftovers(root(there)) == []
    assert SIZE < sum(stop - start + 1 for start, stop in ranges(registry)) < 2 * SIZE


LIES = {
    "another beginning": {"said": f"bytes 1-{PART}/{SIZE}"},
    "another end": {"said": f"bytes 0-{PART}/{SIZE}"},
    "another size": {"said": f"bytes 0-{PART - 1}/{SIZE + 1}"},
    "nothing": {"said": "bytes"},
    "a huge number": {"said": f"bytes 0-{'9' * 4_500}/1"},
    "a longer body": {"promised": SIZE},
    "a shorter body": {"promised": 10},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_range_that_is_not_the_one_asked_for_is_refused(registry, there, model, lie):
    registry.instead("GET", LAYER, lambda e: serve(e, WEIGHTS, **LIES[lie]))
    with pytest.raises(RegistryError, match="was asked for the bytes") as caught:
        pull(there, model)
    assert len(str(caught.value)) < 400
    assert not there.store.has(BLOB)
    assert leftovers(root(there)) == []


def test_a_compressed_range_is_refused(registry, there, model):
    registry.instead("GET", LAYER, says(206, b"x", Content_Encoding="gzip"))
    with pytest.raises(RegistryError, match="compressed"):
        pull(there, model)


@pytest.mark.parametrize("answer", [html(), says(404), says(416), says(403), says(204)])
def test_a_refused_range_is_one_clear_error(registry, there, model, answer):
    registry.instead("GET", LAYER, answer)
    with pytest.raises(Exception, match=r"sha256|refused|failed|does not have") as caught:
        pull(there, model)
    assert "\n" not in str(caught.value)
    assert leftovers(root(there)) == []


@pytest.mark.parametrize("cut", [0, 1, 70_000, PART - 1])
def test_ranges_that_are_cut_go_on_where_they_broke(registry, there, model, cut):
    registry.instead("GET", LAYER, lambda e: serve(e, WEIGHTS, cut=cut), times=4)
    pull(there, model)
    assert_pulled(there)
    assert registry.sent <= SIZE + 8 * PART


@pytest.mark.parametrize("status", [429, 500, 503])
def test_ranges_that_are_refused_for_a_while_are_asked_for_again(registry, there, model, status):
    registry.instead("GET", LAYER, says(status, Retry_After="0"), times=4)
    pull(there, model)
    assert_pulled(there)


def test_ranges_that_stall_end_in_an_error_that_can_be_gone_on_with(
    registry, there, model, monkeypatch
):
    monkeypatch.setattr(limits, "READ_TIMEOUT_S", 0.1)
    monkeypatch.setattr(limits, "RETRIES", 2)
    done = threading.Event()
    registry.instead(
        "GET",
        LAYER,
        lambda e: (
            serve(e, WEIGHTS)
            if e.headers["Range"].startswith("bytes=0-")
            else stalls(b"", SIZE, done)(e)
        ),
    )
    try:
        with pytest.raises((NetworkError, RegistryError)):
            pull(there, model)
    finally:
        done.set()


def test_ctrl_c_ends_at_once_though_the_registry_says_nothing(registry, there, model):
    done = threading.Event()

    def stuck(exchange):
        if exchange.headers["Range"].startswith("bytes=0-"):
            serve(exchange, WEIGHTS)
            return
        exchange.send_response(206)
        exchange.send_header("Content-Length", str(PART))
        start = int(exchange.headers["Range"].removeprefix("bytes=").split("-")[0])
        exchange.send_header("Content-Range", f"bytes {start}-{start + PART - 1}/{SIZE}")
        exchange.end_headers()
        exchange.wfile.flush()
        if not interrupted:
            interrupted.append(time.monotonic())
            signal.pthread_kill(main, signal.SIGINT)
        done.wait(20)

    registry.instead("GET", LAYER, stuck)
    main = threading.main_thread().ident
    interrupted = []
    try:
        with pytest.raises(KeyboardInterrupt):
            pull(there, model)
        assert time.monotonic() - interrupted[0] < 1
    finally:
        done.set()
    assert len(leftovers(root(there))) == 2
    registry.instead("GET", LAYER, lambda e: serve(e, WEIGHTS))
    pull(there, model)
    assert_pulled(there)


def test_two_pulls_of_the_same_model_fetch_each_blob_once(registry, tmp_path, model):
    registry.pace_s = 0.002
    contexts = [context_at(tmp_path) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda context: pull(context, model), contexts))
    assert_pulled(contexts[0])
    assert len(ranges(registry)) == len(set(ranges(registry))) == -(-SIZE // PART)
    config = next(d for d in registry.blobs if d != LAYER)
    assert len(registry.asked("GET", config)) == 1


def test_whoever_waits_for_another_process_says_so(registry, tmp_path, model):
    registry.pace_s = 0.002
    said = []

    def second(event):
        if event.action == "status":
            said.append(event.item)

    with ThreadPoolExecutor(2) as pool:
        pulls = [pool.submit(pull, context_at(tmp_path), model, second) for _ in range(2)]
        for one in pulls:
            one.result()
    assert said.count(f"another process is fetching {LAYER}, waiting for it") == 1


def test_a_real_registry_gives_ranges(real, here, there, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "RANGES_FROM", 1)
    monkeypatch.setattr(limits, "RANGE_PART", limits.BLOCK)
    manifest = build_model(here, tmp_path, "tiny")
    assert manifest.layers[0].size > limits.BLOCK
    push(here, "tiny", f"{real}/team/ranges:v1")
    asked = []
    inner = Repository.open_range

    def noting(self, blob, start, stop):
        asked.append((blob.digest, start))
        return inner(self, blob, start, stop)

    monkeypatch.setattr(Repository, "open_range", noting)
    pull(there, f"{real}/team/ranges:v1")
    assert len(set(asked)) == len(asked) > len(manifest.layers)
    for blob in manifest.blobs:
        assert there.store.path(blob.digest).read_bytes() == here.store.read(blob, 10**8)
    assert leftovers(root(there)) == []


def test_a_disk_that_is_too_small_says_so_with_numbers(registry, there, model, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=617, f_frsize=2))
    with pytest.raises(StoreError, match=rf"1,234 bytes, but {SIZE:,} of {LAYER}") as caught:
        pull(there, model)
    assert caught.value.hint
    assert ranges(registry) == []
    assert leftovers(root(there)) == []


PULLER = """
import sys
from modelpack import limits
limits.RANGES_FROM = limits.RANGE_PART = int(sys.argv[2])
limits.JOURNAL_EVERY_S = 0.0
from modelpack.ops.context import Context
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.registry.repository import Repository
pull(Context.create(), sys.argv[1])
"""


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_pull_goes_on_with_little_moved_again(registry, there, model, seed):
    rng = random.Random(seed)
    registry.pace_s = 0.004
    process = subprocess.Popen(
        [sys.executable, "-c", PULLER, model, str(PART)],
        env={"HOME": str(root(there)), "MODELPACK_MODELS": str(root(there)), "PYTHONPATH": "."},
    )
    deadline = time.monotonic() + 30
    target = rng.randrange(PART, SIZE - 2 * PART)
    while registry.sent < target and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
    assert not there.store.has(BLOB)
    assert there.store.find(there.remote(model)) is None
    assert_sound(root(there))
    time.sleep(0.05)
    registry.pace_s = 0.0
    pull(there, model)
    assert there.store.path(BLOB.digest).read_bytes() == WEIGHTS
    assert not any(BLOB.digest.hex in name for name in leftovers(root(there)))
    assert_sound(root(there))
    assert registry.sent <= SIZE + 4 * PART + 10_000  # four connections, one part each
