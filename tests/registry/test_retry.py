"""Asking again: when, how long, and not for ever."""

from __future__ import annotations

import os
import time
from email.utils import formatdate

import pytest
from fakes.models import serve_model
from fakes.web import says, serve

from modelpack import limits
from modelpack.errors import NetworkError, RegistryError
from modelpack.oci.reference import Reference
from modelpack.ops.pull import pull
from modelpack.registry.credentials import Credentials
from modelpack.registry.repository import Repository
from modelpack.registry.retry import may_repeat, parse_retry_after, pause_after
from modelpack.registry.session import Connection

MANIFEST = "/manifests/v1"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        (formatdate(1_000_030, usegmt=True), 30.0),
        (formatdate(999_000, usegmt=True), 0.0),
        ("9" * 5_000, limits.RETRY_AFTER_CAP_S),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert parse_retry_after(text, 1_000_000.0) == seconds


def test_pauses_double_and_end():
    pauses = [pause_after(attempt, 0.0, 1.0) for attempt in range(1, limits.RETRIES)]
    assert pauses == [limits.RETRY_BASE_S * 2**n for n in range(limits.RETRIES - 1)]
    assert pause_after(limits.RETRIES, 0.0, 1.0) is None


def test_jitter_takes_at_most_half(monkeypatch):
    monkeypatch.setattr(limits, "RETRY_BASE_S", 1.0)
    assert [pause_after(2, 0.0, jitter) for jitter in (0.0, 0.5, 1.0)] == [1.0, 1.5, 2.0]


def test_what_a_registry_asks_for_counts_up_to_a_bound():
    assert pause_after(1, 0.0, 1.0, 7.0) == 7.0
    assert pause_after(1, 0.0, 1.0, 1e9) == limits.RETRY_AFTER_CAP_S
    assert pause_after(1, 0.0, 1.0, 0.0) == limits.RETRY_BASE_S


def test_the_whole_time_is_bounded():
    assert pause_after(1, limits.RETRY_TOTAL_S, 1.0) is None


def test_only_reading_is_repeated():
    assert [m for m in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE") if may_repeat(m)] == [
        "GET",
        "HEAD",
    ]


@pytest.fixture
def waited():
    return []


@pytest.fixture
def resolve(registry, waited):
    """Ask for the model's manifest, and keep the pauses in `waited`."""
    connection = Connection(credentials=Credentials(os.environ), pause=waited.append)
    reference = Reference.parse(f"{registry.host}/team/tiny:v1")

    def run():
        with Repository(reference, connection) as repository:
            return repository.resolve(reference)

    return run


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_registry_that_recovers_is_asked_again(registry, resolve, waited, status):
    serve_model(registry)
    registry.instead("GET", MANIFEST, says(status), times=limits.RETRIES - 1)
    assert resolve().layers
    assert len(waited) == limits.RETRIES - 1
    assert waited == sorted(waited)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_registry_that_does_not_recover_is_left(registry, resolve, waited, status):
    serve_model(registry)
    registry.instead("GET", MANIFEST, says(status))
    with pytest.raises(RegistryError, match=str(status)):
        resolve()
    assert len(registry.asked("GET", MANIFEST)) == limits.RETRIES


@pytest.mark.parametrize("status", [400, 403, 404, 405, 416, 501])
def test_other_refusals_are_final(registry, resolve, waited, status):
    registry.instead("GET", MANIFEST, says(status))
    with pytest.raises(Exception, match=str(status) if status != 404 else "does not have"):
        resolve()
    assert waited == []


def test_retry_after_in_seconds_is_honoured(registry, resolve, waited):
    serve_model(registry)
    registry.instead("GET", MANIFEST, says(429, Retry_After="7"), times=1)
    resolve()
    assert waited == [7.0]


def test_retry_after_as_a_date_is_honoured(registry, resolve, waited):
    serve_model(registry)
    date = formatdate(time.time() + 20, usegmt=True)
    registry.instead("GET", MANIFEST, says(503, Retry_After=date), times=1)
    resolve()
    assert waited == [pytest.approx(19, abs=3)]


def test_a_registry_cannot_make_us_wait_for_ever(registry, resolve, waited):
    registry.instead("GET", MANIFEST, says(429, Retry_After="86400"))
    with pytest.raises(RegistryError, match="429"):
        resolve()
    assert set(waited) == {limits.RETRY_AFTER_CAP_S}


def test_a_connection_that_breaks_is_made_again(registry, resolve, waited):
    serve_model(registry)
    registry.instead("GET", MANIFEST, lambda exchange: exchange.hang_up(), times=2)
    registry.instead("GET", MANIFEST, says(500), times=1)  # it has answered once
    assert resolve().layers
    assert len(waited) == 3


def test_a_registry_that_never_answers_is_asked_once(registry, resolve, waited):
    registry.instead("GET", MANIFEST, lambda exchange: exchange.hang_up())
    with pytest.raises(NetworkError, match="broke"):
        resolve()
    assert waited == []


def test_a_small_blob_goes_on_at_the_byte_where_it_broke(registry, there):
    layer = serve_model(registry)["layers"][0]
    data = registry.blobs[layer["digest"]]
    registry.instead(
        "GET", layer["digest"], lambda e: serve(e, data, cut=50_000), times=limits.RETRIES - 1
    )
    pull(there, f"{registry.host}/team/tiny:v1")
    asked = [s.headers.get("range", "") for s in registry.asked("GET", layer["digest"])]
    assert asked == ["", *(f"bytes={n * 50_000}-159999" for n in (1, 2, 3))]


def test_a_small_blob_is_read_over_where_the_registry_begins_again(registry, there):
    registry.ranges = False
    layer = serve_model(registry)["layers"][0]
    data = registry.blobs[layer["digest"]]
    registry.instead(
        "GET", layer["digest"], lambda e: serve(e, data, cut=99_999, ranges=False), times=1
    )
    pull(there, f"{registry.host}/team/tiny:v1")
    assert len(registry.asked("GET", layer["digest"])) == 2


def test_a_trickle_is_broken_off(registry, there, monkeypatch):
    monkeypatch.setattr(limits, "STALL_S", 0.05)
    monkeypatch.setattr(limits, "RETRIES", 2)
    layer = serve_model(registry)["layers"][0]

    def trickle(exchange):
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(layer["size"]))
        exchange.end_headers()
        for _ in range(200):
            exchange.wfile.write(b"x")
            time.sleep(0.01)

    registry.instead("GET", layer["digest"], trickle)
    with pytest.raises(NetworkError, match="stopped sending"):
        pull(there, f"{registry.host}/team/tiny:v1")
