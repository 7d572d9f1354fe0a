"""Names that try to leave the registry's folder, or that are none."""

from __future__ import annotations

import http.client
from urllib.parse import unquote

import pytest
from server.conftest import code_of, digest_of

DIGEST = digest_of(b"x")


def raw_request(client, method, path, body=b""):
    """Ask for exactly *path*: requests would tidy it up."""
    connection = http.client.HTTPConnection(*client.address, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "name",
    ["..", "../x", "a/../b", "%2e%2e/x", "a%2f..%2fb", "A", "a//b", "/a", "a/", ".a", "a_", "a..b",
     "_uploads", "a,b", "a%00b", "a%0Ab", "ä", "a" * 256],
)  # fmt: skip
def test_a_name_outside_the_grammar_names_no_repository(client, root, name):
    name = name.replace("ä", "%C3%A4")
    before = sorted(root.rglob("*"))
    for method, path in [
        ("POST", f"/v2/{name}/blobs/uploads/"),
        ("POST", f"/v2/{name}/blobs/uploads/?digest={DIGEST}"),
        ("GET", f"/v2/{name}/blobs/{DIGEST}"),
        ("PUT", f"/v2/{name}/manifests/v1"),
        ("GET", f"/v2/{name}/manifests/v1"),
        ("DELETE", f"/v2/{name}/manifests/v1"),
        ("GET", f"/v2/{name}/tags/list"),
        ("GET", f"/v2/{name}/referrers/{DIGEST}"),
    ]:
        assert raw_request(client, method, path, b"x") in (400, 404)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    "reference",
    ["..", "%2e%2e", "..%2f..%2flock", ".hidden", "-x", "a%00", "a%0A", "x" * 129, "sha256:abc",
     "sha256:" + "A" * 64, "sha256:../../lock", "md5:d41d8cd98f00b204e9800998ecf8427e",
     DIGEST + "%0A", "sha512:" + "0" * 64],
)  # fmt: skip
def test_a_reference_outside_the_grammar_names_no_manifest(client, root, reference):
    before = sorted(root.rglob("*"))
    for method in ("GET", "PUT", "DELETE"):
        path = f"/v2/demo/a/manifests/{reference}"
        expected = 404 if "/" in unquote(reference) else 400
        assert raw_request(client, method, path, b"{}") == expected
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("upload", ["x", "..", "..%2f..%2flock", "0" * 63, "g" * 64, "A" * 64])
def test_an_upload_that_was_not_given_out_is_unknown(client, upload):
    for method in ("GET", "PATCH", "DELETE"):
        path = f"/v2/demo/a/blobs/uploads/{upload}"
        assert raw_request(client, method, path) in (400, 404)


def test_a_mount_checks_both_of_its_names(client):
    url = "/v2/demo/a/blobs/uploads/"
    assert code_of(client.ask("POST", f"{url}?mount=../lock")) == (400, "DIGEST_INVALID")
    answer = client.ask("POST", f"{url}?mount={DIGEST}&from=../..")
    assert code_of(answer) == (400, "NAME_INVALID")


def test_errors_are_json_wherever_they_arise(client):
    assert code_of(client.ask("GET", "/")) == (404, "NAME_INVALID")
    assert code_of(client.ask("PATCH", "/v2/demo/a/manifests/v1")) == (405, "UNSUPPORTED")
    assert code_of(client.ask("PUT", "/v2/demo/a/manifests/a:b", data=b"")) == (
        400, "DIGEST_INVALID",
    )  # fmt: skip


def test_a_disk_that_is_full_is_said_to_be_full(client, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("modelpack.server.registry.storage.uploads.os.writev", full)
    answer = client.ask("PATCH", client.begin(), data=b"x")
    assert answer.status_code == 507
    assert "full" in answer.json()["errors"][0]["message"]
