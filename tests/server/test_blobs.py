"""Blobs: pushing them whole, reading them, mounting and deleting them."""

from __future__ import annotations

import pytest
from server.conftest import code_of, digest_of

DATA = bytes(range(256)) * 8


def blob(digest, name="demo/a"):
    return f"/v2/{name}/blobs/{digest}"


def files(root):
    return sorted(p.name for p in (root / "blobs").rglob("*") if p.is_file())


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_comes_back_as_it_was_pushed(client, algorithm):
    digest = client.push(DATA, algorithm=algorithm)
    answer = client.ask("GET", blob(digest))
    assert answer.content == DATA
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_a_blob_can_be_pushed_in_one_request(client):
    digest = digest_of(DATA)
    answer = client.ask("POST", f"/v2/demo/a/blobs/uploads/?digest={digest}", data=DATA)
    assert answer.status_code == 201
    assert client.ask("GET", answer.headers["Location"]).content == DATA


def test_a_large_blob_survives_the_way_through_batches_and_blocks(client):
    data = DATA * 1500 + b"end"  # three batches and a little
    assert client.ask("GET", blob(client.push(data))).content == data


def test_head_tells_the_size_and_sends_nothing(client):
    answer = client.ask("HEAD", blob(client.push(DATA)))
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(DATA)))
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("how", ["PUT", "POST"])
def test_content_with_another_digest_is_refused_and_not_kept(client, root, how):
    digest = digest_of(DATA)
    target = client.begin() if how == "PUT" else "/v2/demo/a/blobs/uploads/"
    answer = client.ask(how, f"{target}?digest={digest}", data=DATA + b"!")
    assert code_of(answer) == (400, "DIGEST_INVALID")
    assert client.ask("HEAD", blob(digest)).status_code == 404
    assert files(root) == []
    assert not [p for p in (root / "uploads").rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("0-0", 0, 1), ("100-199", 100, 200), ("2000-", 2000, 2048), ("-5", 2043, 2048),
     ("2000-9999", 2000, 2048), ("-9999", 0, 2048)],
)  # fmt: skip
def test_a_range_gives_those_bytes(client, asked, start, stop):
    digest = client.push(DATA)
    answer = client.ask("GET", blob(digest), headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert answer.content == DATA[start:stop]
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/2048"


@pytest.mark.parametrize("asked", ["2048-", "9999-99999", "-0", "5-4"])
def test_a_range_outside_the_blob_is_not_satisfiable(client, asked):
    digest = client.push(DATA)
    answer = client.ask("GET", blob(digest), headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */2048"


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=-", "bytes=1-2,5-6", "bytes=x-y"])
def test_what_is_no_single_byte_range_gets_the_whole_blob(client, asked):
    answer = client.ask("GET", blob(client.push(DATA)), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, DATA)


def test_a_range_of_another_version_gets_the_whole_blob(client):
    digest = client.push(DATA)
    headers = {"Range": "bytes=0-9", "If-Range": f'"{digest_of(b"other")}"'}
    assert client.ask("GET", blob(digest), headers=headers).status_code == 200
    headers["If-Range"] = f'"{digest}"'
    assert client.ask("GET", blob(digest), headers=headers).status_code == 206


def test_a_blob_is_unknown_to_repositories_that_it_was_not_pushed_to(client):
    digest = client.push(DATA, "demo/a")
    for name in ("demo/b", "demo", "demo/a/b"):
        assert code_of(client.ask("GET", blob(digest, name))) == (404, "BLOB_UNKNOWN")
        assert client.ask("HEAD", blob(digest, name)).status_code == 404


def test_a_mount_gives_a_blob_to_another_repository(client, root):
    digest = client.push(DATA, "demo/a")
    answer = client.ask("POST", f"/v2/demo/b/blobs/uploads/?mount={digest}&from=demo/a")
    assert (answer.status_code, answer.headers["Location"]) == (201, blob(digest, "demo/b"))
    assert client.ask("GET", blob(digest, "demo/b")).content == DATA
    assert files(root) == ["data", "demo,a", "demo,b"]


def test_a_mount_without_a_source_takes_the_blob_from_anywhere(client):
    digest = client.push(DATA, "demo/a")
    assert client.ask("POST", f"/v2/demo/b/blobs/uploads/?mount={digest}").status_code == 201


def test_a_mount_from_a_repository_without_the_blob_begins_an_upload(client):
    digest = client.push(DATA, "demo/a")
    answer = client.ask("POST", f"/v2/demo/b/blobs/uploads/?mount={digest}&from=demo/c")
    assert answer.status_code == 202
    assert client.ask("HEAD", blob(digest, "demo/b")).status_code == 404


def test_the_content_goes_when_the_last_repository_deletes_it(client, root):
    digest = client.push(DATA, "demo/a")
    client.ask("POST", f"/v2/demo/b/blobs/uploads/?mount={digest}&from=demo/a")
    assert client.ask("DELETE", blob(digest, "demo/a")).status_code == 202
    assert client.ask("HEAD", blob(digest, "demo/a")).status_code == 404
    assert client.ask("GET", blob(digest, "demo/b")).content == DATA
    assert client.ask("DELETE", blob(digest, "demo/b")).status_code == 202
    assert files(root) == []
    assert code_of(client.ask("DELETE", blob(digest, "demo/b"))) == (404, "BLOB_UNKNOWN")


def test_a_blob_that_is_pushed_again_is_repaired(client, root):
    digest = client.push(DATA)
    (stored,) = (root / "blobs").rglob("data")
    stored.write_bytes(b"rotten")
    client.push(DATA)
    assert client.ask("GET", blob(digest)).content == DATA
