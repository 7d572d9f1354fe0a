"""Manifests, tags, referrers and the catalogue."""

from __future__ import annotations

import json

import pytest
from server.conftest import OCI_INDEX, OCI_MANIFEST, code_of, digest_of


def manifest_url(reference, name="demo/a"):
    return f"/v2/{name}/manifests/{reference}"


def descriptor(raw, media_type=OCI_MANIFEST):
    return {"mediaType": media_type, "digest": digest_of(raw), "size": len(raw)}


def test_a_manifest_comes_back_byte_for_byte_by_tag_and_by_digest(client):
    raw = b" \n" + client.manifest(strange={"z": [1, 2.50], "a": None}) + b"\n"
    answer = client.put_manifest(raw, "v1")
    assert answer.headers["Docker-Content-Digest"] == digest_of(raw)
    for url in (manifest_url("v1"), manifest_url(digest_of(raw)), answer.headers["Location"]):
        found = client.ask("GET", url)
        assert (found.content, found.headers["Content-Type"]) == (raw, OCI_MANIFEST)
        head = client.ask("HEAD", url)
        assert head.headers["Content-Length"] == str(len(raw))
        assert head.headers["Docker-Content-Digest"] == digest_of(raw)


def test_a_manifest_is_refused_under_another_digest(client):
    answer = client.put_manifest(client.manifest(), digest_of(b"other"))
    assert code_of(answer) == (400, "DIGEST_INVALID")


def test_a_tag_moves_to_the_manifest_that_was_pushed_last(client):
    first, second = client.manifest(), client.manifest(annotations={"n": "2"})
    client.put_manifest(first, "v1")
    client.put_manifest(second, "v1")
    assert client.ask("GET", manifest_url("v1")).content == second
    assert client.ask("GET", manifest_url(digest_of(first))).content == first


def test_one_push_by_digest_can_set_several_tags(client):
    raw = client.manifest()
    url = f"{digest_of(raw)}?tag=one&tag=two"
    assert client.put_manifest(raw, url).headers["OCI-Tag"] == "one, two"
    assert client.ask("GET", "/v2/demo/a/tags/list").json()["tags"] == ["one", "two"]


def test_a_manifest_waits_for_its_blobs(client):
    missing = {"mediaType": "x/y", "digest": digest_of(b"missing"), "size": 7}
    raw = client.manifest(layers=[missing])
    assert code_of(client.put_manifest(raw, "v1")) == (404, "MANIFEST_BLOB_UNKNOWN")
    client.push(b"missing", "demo/b")
    assert client.put_manifest(raw, "v1").status_code == 404
    client.push(b"missing", "demo/a")
    assert client.put_manifest(raw, "v1").status_code == 201


def test_a_manifest_does_not_wait_for_layers_that_are_kept_elsewhere(client):
    layer = {
        "mediaType": "x/y",
        "digest": digest_of(b"far"),
        "size": 3,
        "urls": ["https://x.test/"],
    }
    assert client.put_manifest(client.manifest(layers=[layer]), "v1").status_code == 201


def test_an_index_waits_for_its_manifests(client):
    child = client.manifest()
    entries = [descriptor(child)]
    raw = json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    ).encode()  # fmt: skip
    answer = client.put_manifest(raw, "all", media_type=OCI_INDEX)
    assert code_of(answer) == (404, "MANIFEST_BLOB_UNKNOWN")
    client.put_manifest(child, digest_of(child))
    assert client.put_manifest(raw, "all", media_type=OCI_INDEX).status_code == 201
    assert client.ask("GET", manifest_url("all")).headers["Content-Type"] == OCI_INDEX


@pytest.mark.parametrize(
    "raw",
    [b"", b"not json", b"[]", b'{"schemaVersion": 1}', b"[" * 100_000, b'{"schemaVersion": 2}',
     b'{"schemaVersion": 2, "mediaType": "text/plain"}',
     b'{"schemaVersion": 2, "config": {"digest": 5}}',
     b'{"schemaVersion": 2, "mediaType": {"a": 1}}'],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(client, raw):
    assert code_of(client.put_manifest(raw, "v1")) == (400, "MANIFEST_INVALID")


def test_a_manifest_sent_under_another_type_is_refused(client):
    answer = client.put_manifest(client.manifest(), "v1", media_type=OCI_INDEX)
    assert code_of(answer) == (400, "MANIFEST_INVALID")


def test_a_manifest_may_have_four_mebibytes_and_not_one_byte_more(client):
    raw = client.manifest()
    raw += b" " * (4 * 1024 * 1024 - len(raw))
    assert client.put_manifest(raw, "v1").status_code == 201
    assert code_of(client.put_manifest(raw + b" ", "v2")) == (413, "SIZE_INVALID")
    chunked = client.ask("PUT", manifest_url("v2"), data=iter([raw, b" "]))
    assert chunked.status_code == 413


def test_deleting_a_tag_leaves_the_manifest(client):
    raw = client.manifest()
    client.put_manifest(raw, "v1")
    assert client.ask("DELETE", manifest_url("v1")).status_code == 202
    assert code_of(client.ask("GET", manifest_url("v1"))) == (404, "MANIFEST_UNKNOWN")
    assert client.ask("DELETE", manifest_url("v1")).status_code == 404
    assert client.ask("GET", manifest_url(digest_of(raw))).content == raw


def test_deleting_a_manifest_deletes_the_tags_that_name_it(client):
    raw, other = client.manifest(), client.manifest(annotations={"n": "2"})
    client.put_manifest(raw, "v1")
    client.put_manifest(other, "v2")
    assert client.ask("DELETE", manifest_url(digest_of(raw))).status_code == 202
    assert client.ask("GET", "/v2/demo/a/tags/list").json()["tags"] == ["v2"]
    assert client.ask("DELETE", manifest_url(digest_of(raw))).status_code == 404


def test_tags_come_sorted_and_in_pages(client):
    raw = client.manifest()
    for tag in ("b", "d", "a", "c", "e"):
        client.put_manifest(raw, tag)
    url, seen = "/v2/demo/a/tags/list?n=2", []
    while url:
        answer = client.ask("GET", url)
        seen.append(answer.json()["tags"])
        url = answer.links.get("next", {}).get("url")
    assert seen == [["a", "b"], ["c", "d"], ["e"]]
    assert client.ask("GET", "/v2/demo/a/tags/list?n=0").json()["tags"] == []
    assert client.ask("GET", "/v2/demo/a/tags/list?last=c").json()["tags"] == ["d", "e"]
    assert client.ask("GET", "/v2/demo/a/tags/list?n=two").status_code == 400


def test_the_tags_of_a_repository_that_is_not_there_are_unknown(client):
    assert code_of(client.ask("GET", "/v2/demo/none/tags/list")) == (404, "NAME_UNKNOWN")
    assert code_of(client.ask("GET", manifest_url("v1", "demo/none"))) == (404, "NAME_UNKNOWN")


def test_the_catalogue_names_nested_repositories(client):
    for name in ("demo", "demo/a", "demo/a/manifests/tags", "zoo"):
        assert client.put_manifest(client.manifest(name), "v1", name).status_code == 201
    assert client.ask("GET", "/v2/_catalog").json()["repositories"] == [
        "demo", "demo/a", "demo/a/manifests/tags", "zoo",
    ]  # fmt: skip
    page = client.ask("GET", "/v2/_catalog?n=1&last=demo")
    assert page.json()["repositories"] == ["demo/a"]


def push_referrer(client, subject, artifact_type, note="x"):
    raw = client.manifest(
        artifactType=artifact_type,
        subject=descriptor(subject),
        annotations={"note": note},
    )
    answer = client.put_manifest(raw, digest_of(raw))
    assert answer.headers["OCI-Subject"] == digest_of(subject)
    return raw


def test_referrers_are_listed_with_their_annotations_and_by_type(client):
    subject = client.manifest()
    url = f"/v2/demo/a/referrers/{digest_of(subject)}"
    assert client.ask("GET", url).json()["manifests"] == []
    one = push_referrer(client, subject, "application/x.one")
    two = push_referrer(client, subject, "application/x.two")
    answer = client.ask("GET", url)
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert {entry["digest"] for entry in answer.json()["manifests"]} == {
        digest_of(one), digest_of(two),
    }  # fmt: skip
    answer = client.ask("GET", f"{url}?artifactType=application/x.two")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert answer.json()["manifests"] == [
        {
            **descriptor(two),
            "artifactType": "application/x.two",
            "annotations": {"note": "x"},
        }
    ]


def test_a_referrer_without_artifact_type_is_known_by_its_config(client):
    raw = client.manifest(subject=descriptor(b"never pushed"))
    client.put_manifest(raw, "v1")
    url = f"/v2/demo/a/referrers/{digest_of(b'never pushed')}"
    assert client.ask("GET", url).json()["manifests"][0]["artifactType"] == "application/x.config"


def test_a_referrer_that_is_deleted_is_listed_no_longer(client):
    subject = client.manifest()
    raw = push_referrer(client, subject, "application/x.one")
    client.ask("DELETE", manifest_url(digest_of(raw)))
    answer = client.ask("GET", f"/v2/demo/a/referrers/{digest_of(subject)}")
    assert answer.json()["manifests"] == []


def test_more_referrers_than_a_manifest_holds_come_in_pages(client):
    subject = client.manifest()
    pushed = {
        digest_of(push_referrer(client, subject, "application/x.big", f"{n}" * 2_000_000))
        for n in range(5)
    }
    url, seen, pages = f"/v2/demo/a/referrers/{digest_of(subject)}", [], 0
    while url:
        answer = client.ask("GET", url)
        assert len(answer.content) <= 4 * 1024 * 1024
        seen += [entry["digest"] for entry in answer.json()["manifests"]]
        url, pages = answer.links.get("next", {}).get("url"), pages + 1
    assert (sorted(seen), pages) == (sorted(pushed), 3)
