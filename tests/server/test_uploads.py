"""Uploads in pieces: order, interruption, resumption, cancelling."""

from __future__ import annotations

import os
import socket
import time

import pytest
import requests
from server.conftest import Client, code_of, digest_of

from modelpack.server.registry import RegistrySettings, running
from modelpack.server.registry.names import ContentDigest
from modelpack.server.registry.storage.layout import opened
from modelpack.server.registry.storage.uploads import Uploads

DATA = b"0123456789" * 500


def patch(client, location, data, first=None):
    headers = {}
    if first is not None:
        headers["Content-Range"] = f"{first}-{first + len(data) - 1}"
    return client.ask("PATCH", location, data=data, headers=headers)


def finish(client, location, data, body=b""):
    return client.ask("PUT", f"{location}?digest={digest_of(data)}", data=body)


def test_pieces_in_order_make_a_blob(client):
    location = client.begin()
    for first in range(0, 4000, 1000):
        answer = patch(client, location, DATA[first : first + 1000], first)
        assert answer.status_code == 202
        assert answer.headers["Range"] == f"0-{first + 999}"
        location = answer.headers["Location"]
    assert finish(client, location, DATA, DATA[4000:]).status_code == 201
    assert client.ask("GET", f"/v2/demo/a/blobs/{digest_of(DATA)}").content == DATA


def test_a_piece_out_of_order_is_refused_with_the_place_to_go_on(client):
    location = client.begin()
    patch(client, location, DATA[:1000], 0)
    for first in (0, 999, 1001, 3000):
        answer = patch(client, location, DATA[first : first + 500], first)
        assert answer.status_code == 416
        assert answer.headers["Range"] == "0-999"
    answer = patch(client, answer.headers["Location"], DATA[1000:], 1000)
    assert answer.status_code == 202
    assert finish(client, location, DATA).status_code == 201


def test_a_last_piece_out_of_order_leaves_the_upload_as_it_was(client):
    location = client.begin()
    patch(client, location, DATA[:1000], 0)
    headers = {"Content-Range": "2000-4999"}
    url = f"{location}?digest={digest_of(DATA)}"
    assert client.ask("PUT", url, data=DATA[2000:], headers=headers).status_code == 416
    assert client.ask("GET", location).headers["Range"] == "0-999"


@pytest.mark.parametrize("text", ["nonsense", "9-0", "-5", "0-18"])
def test_a_content_range_that_contradicts_the_body_is_refused(client, text):
    answer = client.ask(
        "PATCH", client.begin(), data=b"0123456789", headers={"Content-Range": text}
    )
    assert answer.status_code in (400, 416)


def test_pieces_without_ranges_are_appended(client):
    location = client.begin()
    patch(client, location, DATA[:10])
    patch(client, location, iter([DATA[10:20], DATA[20:]]))  # chunked transfer encoding
    assert finish(client, location, DATA).status_code == 201


def test_the_algorithm_of_the_digest_may_be_known_only_at_the_end(client):
    location = client.begin()
    patch(client, location, DATA)
    digest = digest_of(DATA, "sha512")
    assert client.ask("PUT", f"{location}?digest={digest}").status_code == 201


def test_what_arrived_before_the_connection_broke_is_kept(client):
    location = client.begin()
    with socket.create_connection(client.address) as sock:
        head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(DATA)}\r\n\r\n"
        sock.sendall(head.encode() + DATA[:3000])
        time.sleep(0.2)
    answer = client.ask("GET", location)
    assert (answer.status_code, answer.headers["Range"]) == (204, "0-2999")
    assert patch(client, location, DATA[3000:], 3000).status_code == 202
    assert finish(client, location, DATA).status_code == 201


def test_an_upload_outlives_the_registry(root, session):
    settings = RegistrySettings(root=root, listen="127.0.0.1:0")
    with running(settings) as base:
        first = Client(base, session)
        location = first.begin()
        patch(first, location, DATA[:3000], 0)
        session.close()
    with running(settings) as base, requests.Session() as again:
        second = Client(base, again)
        assert patch(second, location, DATA[3000:], 3000).status_code == 202
        assert finish(second, location, DATA).status_code == 201


def test_an_upload_that_was_cancelled_or_finished_is_unknown(client):
    cancelled, finished = client.begin(), client.begin()
    assert client.ask("DELETE", cancelled).status_code == 204
    assert finish(client, finished, b"x", b"x").status_code == 201
    for location in (cancelled, finished):
        assert code_of(client.ask("GET", location)) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert code_of(patch(client, location, b"x")) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert code_of(finish(client, location, b"x", b"x")) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert code_of(client.ask("DELETE", location)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_belongs_to_its_repository(client):
    location = client.begin("demo/a").replace("demo/a", "demo/b")
    assert client.ask("GET", location).status_code == 404


def test_upload_names_cannot_be_guessed(client):
    names = {client.begin().rsplit("/", 1)[1] for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) == 64 for name in names)


def test_an_unknown_algorithm_is_refused(client):
    answer = client.ask("POST", "/v2/demo/a/blobs/uploads/?digest-algorithm=md5")
    assert code_of(answer) == (400, "DIGEST_INVALID")


def test_uploads_that_were_left_a_week_ago_go_at_the_next_start(root, session):
    settings = RegistrySettings(root=root, listen="127.0.0.1:0")
    with running(settings) as base:
        client = Client(base, session)
        stale, fresh = client.begin(), client.begin()
        session.close()
    path = root / "uploads" / "demo,a" / stale.rsplit("/", 1)[1]
    old = time.time() - 8 * 24 * 3600
    os.utime(path, (old, old))
    with running(settings) as base, requests.Session() as again:
        client = Client(base, again)
        assert client.ask("GET", stale).status_code == 404
        assert client.ask("GET", fresh).status_code == 204


def test_what_was_given_up_is_no_blob_and_is_still_there(root):
    with opened(root) as layout:
        uploads = Uploads(layout)
        name = uploads.start("demo/a")
        appending = uploads.append("demo/a", name)
        appending.write([DATA[:1000]])
        appending.close()
        appending.write([DATA[1000:]])
        with pytest.raises(ConnectionAbortedError):
            appending.finish([DATA[1000:]], ContentDigest.of(DATA))
        assert uploads.size("demo/a", name) == 1000
