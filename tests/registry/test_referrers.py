"""Referrers in registries that list them, and in those where clients must keep the list."""

from __future__ import annotations

import io
import json

import pytest
from fakes.models import build_model
from fakes.registry import OCI_MANIFEST
from fakes.web import says

from modelpack import limits
from modelpack.content.layout import FolderLayout
from modelpack.content.referrers import copy_with_referrers, fallback_tag
from modelpack.content.transfer import CopyOptions
from modelpack.errors import LimitError, ManifestError, RegistryError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import OCI_INDEX, Manifest, canonical_json
from modelpack.oci.reference import Reference
from modelpack.ops.copy import copy_model
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.registry.referrers import ReferringRepository

SIGNATURE = "application/vnd.dev.sigstore.bundle.v0.3+json"
HOW = CopyOptions(action="push")
SUBJECT = Digest.of(b"subject")


def repository(context, text):
    reference = Reference.parse(text)
    return ReferringRepository(reference, context.connection(reference.host))


def refer(context, text, subject, kind=SIGNATURE):
    """Push an artifact that refers to *subject* into the repository *text*; returns it."""
    with repository(context, text) as repo:
        blobs = []
        for data in (b"{}", b"about " + str(subject.digest).encode() + kind.encode()):
            blob = Descriptor.of(data, "application/x")
            repo.put(blob, io.BytesIO(data), lambda _count: None)
            blobs.append(blob.to_json())
        value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
                 "config": blobs[0], "layers": blobs[1:],
                 "subject": subject.to_json()}  # fmt: skip
        manifest = Manifest.parse(canonical_json(value))
        repo.name(Reference.parse(f"{text}@{manifest.digest}"), manifest)
        return manifest


def listed(context, text, subject, kind=""):
    with repository(context, text) as repo:
        return [entry.digest for entry in repo.referrers(subject, kind)]


@pytest.fixture
def model(real, here, tmp_path):
    """A signed model in a real registry: its name, manifest, signature, and what is about that."""
    text = f"{real}/team/signed:v1"
    build_model(here, tmp_path, "tiny")
    _, manifest = push(here, "tiny", text)
    signature = refer(here, f"{real}/team/signed", manifest.descriptor)
    nested = refer(here, f"{real}/team/signed", signature.descriptor, "a/nested")
    return text, manifest, signature, nested


def test_a_copy_between_repositories_brings_the_referrers(real, model, here, there):
    text, manifest, signature, nested = model
    target = f"{real}/other/place:v2"
    copied = copy_model(here, text, target)
    assert (str(copied.reference), copied.referrers) == (target, 2)
    assert copied.manifest.raw == manifest.raw
    assert listed(here, target, manifest.digest) == [signature.digest]
    assert listed(here, target, signature.digest) == [nested.digest]
    _, pulled = pull(there, target)
    assert pulled.raw == manifest.raw
    assert copy_model(here, text, target).referrers == 2
    assert listed(here, target, manifest.digest) == [signature.digest]


def test_a_copy_through_a_folder_brings_the_referrers(real, model, here, tmp_path):
    text, manifest, signature, nested = model
    names = Reference.parse(text), Reference.parse(f"{real}/from/layout:v3")
    layout = FolderLayout.create(tmp_path / "layout")
    with repository(here, text) as source:
        copy_with_referrers(source, layout, (names[0], names[0]), HOW)
    with repository(here, str(names[1])) as sink:
        copied = copy_with_referrers(FolderLayout(layout.root), sink, names, HOW)
    assert [e.digest for e in copied.referrers] == [signature.digest, nested.digest]
    assert listed(here, str(names[1]), manifest.digest) == [signature.digest]


def test_referrers_are_filtered_by_their_type(real, model, here):
    text, manifest, signature, _ = model
    sbom = refer(here, text.removesuffix(":v1"), manifest.descriptor, "application/x.sbom+json")
    assert set(listed(here, text, manifest.digest)) == {signature.digest, sbom.digest}
    assert listed(here, text, manifest.digest, SIGNATURE) == [signature.digest]
    assert listed(here, text, manifest.digest, "a/unknown") == []
    assert listed(here, text, SUBJECT) == []


def entry(number, kind="a/b"):
    digest = f"sha256:{number:064x}"
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "artifactType": kind}


def index_of(*entries):
    return canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*entries]})


def pages(registry, *bodies, link):
    """Let *registry* answer the referrers API with *bodies*, each but the last with a link."""
    left = list(bodies)

    def answer(exchange):
        body = left.pop(0)
        more = {"Link": link(registry)} if left else {}
        exchange.reply(200, body, Content_Type=OCI_INDEX, **more)

    registry.instead("GET", "/referrers/", answer, times=len(bodies))


def test_pages_are_followed_with_their_links(registry, here):
    pages(registry, index_of(entry(1)), index_of(), index_of(entry(2), entry(1)),
          link=lambda _: f'</v2/team/x/referrers/{SUBJECT}?last=1>; rel="next"')  # fmt: skip
    found = listed(here, f"{registry.host}/team/x", SUBJECT)
    assert [str(digest) for digest in found] == [entry(1)["digest"], entry(2)["digest"]]
    asked = [seen.path for seen in registry.seen if "/referrers/" in seen.path]
    assert asked == [
        f"/v2/team/x/referrers/{SUBJECT}",
        *[f"/v2/team/x/referrers/{SUBJECT}?last=1"] * 2,
    ]


@pytest.mark.parametrize(
    "link",
    [
        '<?x=1>; title="a;b"; rel="next"',
        "<?x=0>; rel=prev, <?x=1>; rel=next",
        '<?x=1>;rel="NEXT" , <?x=2>; rel=last',
    ],
)
def test_the_next_page_is_found_among_links(registry, here, link):
    pages(registry, index_of(entry(1)), index_of(entry(2)), link=lambda _: link)
    assert len(listed(here, f"{registry.host}/team/x", SUBJECT)) == 2
    assert registry.seen[-1].path.endswith("?x=1")


def test_a_link_of_many_parameters_is_soon_read(registry, here):
    pages(registry, index_of(), index_of(), link=lambda _: "<x>" + '";  "' * 200)
    assert listed(here, f"{registry.host}/team/x", SUBJECT) == []


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_registry_that_refuses_to_list_has_no_api(registry, here, status):
    registry.instead("GET", "/referrers/", says(status))
    assert listed(here, f"{registry.host}/team/x", SUBJECT) == []
    assert registry.seen[-1].path.endswith(f"/manifests/{fallback_tag(SUBJECT)}")


def test_a_filter_is_asked_for_and_applied_here_too(registry, here):
    pages(registry, index_of(entry(1), entry(2, "a/other")), link=str)
    found = listed(here, f"{registry.host}/team/x", SUBJECT, "a/b")
    assert [str(digest) for digest in found] == [entry(1)["digest"]]
    assert any(seen.path.endswith("?artifactType=a%2Fb") for seen in registry.seen)


def test_a_list_that_goes_on_elsewhere_is_refused(registry, here):
    pages(registry, index_of(), index_of(),
          link=lambda _: '<https://elsewhere.example/x>; rel="next"')  # fmt: skip
    with pytest.raises(RegistryError, match="elsewhere"):
        listed(here, f"{registry.host}/team/x", SUBJECT)


def test_a_list_without_end_ends(registry, here, monkeypatch):
    monkeypatch.setattr(limits, "REFERRER_PAGES", 3)
    pages(registry, *[index_of()] * 4, link=lambda _: '<?last=1>; rel="next"')
    with pytest.raises(LimitError, match="too many referrers"):
        listed(here, f"{registry.host}/team/x", SUBJECT)


def test_an_answer_that_is_no_list_is_no_referrers_api(registry, here):
    registry.instead(
        "GET", "/referrers/", lambda e: e.reply(200, b"<html>", Content_Type="text/html")
    )
    registry.add_manifest("team/x", index_of(entry(7)), fallback_tag(SUBJECT), kind=OCI_INDEX)
    found = listed(here, f"{registry.host}/team/x", SUBJECT)
    assert [str(digest) for digest in found] == [entry(7)["digest"]]


def fallback(registry, subject=SUBJECT):
    raw, kind = registry.manifests["team/x", fallback_tag(subject)]
    assert kind == OCI_INDEX
    return json.loads(raw)


def about(registry):
    return Descriptor(OCI_MANIFEST, SUBJECT, 7)


def test_without_the_api_the_list_is_kept_under_a_tag(registry, here):
    value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry(7)], "x": "kept"}
    registry.add_manifest("team/x", canonical_json(value), fallback_tag(SUBJECT), kind=OCI_INDEX)
    manifest = refer(here, f"{registry.host}/team/x", about(registry))
    written = fallback(registry)
    assert written["x"] == "kept"
    assert written["manifests"][0] == entry(7)
    assert written["manifests"][1]["digest"] == str(manifest.digest)
    assert written["manifests"][1]["artifactType"] == SIGNATURE
    refer(here, f"{registry.host}/team/x", about(registry))
    assert fallback(registry) == written


def test_a_registry_that_knows_the_subject_needs_no_tag(registry, here):
    def answer(exchange):
        exchange.reply(201, OCI_Subject=str(SUBJECT))

    registry.instead("PUT", "/manifests/", answer)
    refer(here, f"{registry.host}/team/x", about(registry))
    assert ("team/x", fallback_tag(SUBJECT)) not in registry.manifests


def test_an_entry_that_another_writer_overwrote_is_added_again(registry, here):
    theirs = index_of(entry(9))

    def overwrite(exchange):
        registry.add_manifest("team/x", theirs, fallback_tag(SUBJECT), kind=OCI_INDEX)
        exchange.reply(201)

    registry.instead("PUT", fallback_tag(SUBJECT), overwrite, times=1)
    manifest = refer(here, f"{registry.host}/team/x", about(registry))
    digests = [item["digest"] for item in fallback(registry)["manifests"]]
    assert digests == [entry(9)["digest"], str(manifest.digest)]


def test_a_registry_that_forgets_the_list_is_an_error(registry, here, monkeypatch):
    monkeypatch.setattr("modelpack.registry.referrers._PAUSE_S", 0)
    registry.instead("PUT", fallback_tag(SUBJECT), lambda e: e.reply(201), times=99)
    with pytest.raises(RegistryError, match="did not keep"):
        refer(here, f"{registry.host}/team/x", about(registry))
    puts = [s for s in registry.seen if s.method == "PUT" and fallback_tag(SUBJECT) in s.path]
    assert len(puts) == limits.REFERRER_TRIES


def test_a_tag_that_is_no_list_is_not_overwritten(registry, here):
    registry.add_manifest("team/x", b'{"layers": []}', fallback_tag(SUBJECT))
    with pytest.raises(ManifestError):
        refer(here, f"{registry.host}/team/x", about(registry))
    assert registry.manifests["team/x", fallback_tag(SUBJECT)][0] == b'{"layers": []}'
