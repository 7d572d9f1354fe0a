"""The many small blobs of a model: they move together, and what goes wrong moves on its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.answers import blob as serving
from fakes.answers import flipped, gone, in_pieces, packed, unmeasured
from fakes.crowds import BIG, CONFIG, Crossing, crowd, keep, manifest_of, offer
from fakes.logins import logged_in
from fakes.models import context_at, files_in
from fakes.proxy import ForwardProxy
from fakes.registry import FakeRegistry, FakeTokens, basic, digest_of
from fakes.web import html, says
from support.models import assert_sound, leftovers

from modelpack import limits
from modelpack.errors import IntegrityError, ModelPackError
from modelpack.oci.reference import Reference
from modelpack.ops.context import Network
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.progress import TOTAL
from modelpack.registry.policy import UploadPolicy
from modelpack.registry.session import Session
from modelpack.registry.wire import Sockets

NAME = "registry.example"
LAYERS = crowd()
COUNT = len(LAYERS) + 1
USERS = {"ann": "s3cret"}
SECRET = basic("ann", "s3cret")


@pytest.fixture
def elsewhere():
    with FakeRegistry() as elsewhere:
        yield elsewhere


@pytest.fixture
def tokens():
    with FakeTokens(USERS) as tokens:
        yield tokens


def assert_here(context, layers=LAYERS):
    """Check that all blobs of the model with *layers* are in the store."""
    manifest = manifest_of(layers)
    for blob, data in zip(manifest.layers, layers, strict=True):
        assert context.store.path(blob.digest).read_bytes() == data
    assert context.store.has(manifest.config)
    assert leftovers(context.store.layout.root) == []
    assert_sound(context.store.layout.root)


def assert_sent(registry, layers=LAYERS):
    """Check that all of the model with *layers* is in *registry*."""
    manifest = manifest_of(layers)
    assert registry.manifests["team/many", "v1"][0] == manifest.raw
    assert set(registry.blobs) == {str(blob.digest) for blob in manifest.blobs}


def counted(registry, method, part="/blobs/"):
    """Return how often each path with *part* was asked for."""
    paths = [seen.path for seen in registry.asked(method, part)]
    return {path: paths.count(path) for path in paths}


def noting(notes):
    """Return what keeps the note of each blob that has ended."""
    return lambda event: (
        notes.append(event.note)
        if event.done and event.item != TOTAL and event.action != "status"
        else None
    )


def test_many_small_blobs_make_the_round_trip(real, here, there, request):
    built = keep(here, LAYERS)
    name = f"{real}/{request.node.name.partition('[')[0].replace('_', '-')}:v1"
    push(here, "many", name)
    assert pull(there, name)[1].raw == built.raw
    assert_here(there)
    for again in (lambda say: push(here, "many", name, say), lambda say: pull(there, name, say)):
        notes: list[str] = []
        again(noting(notes))
        assert notes == ["exists"] * COUNT
    assert leftovers(here.store.layout.root) == []


def test_a_pull_asks_once_for_each_blob(registry, there):
    offer(registry, LAYERS)
    name = f"{registry.host}/team/many:v1"
    notes: list[str] = []
    pull(there, name, noting(notes))
    assert notes == [""] * COUNT
    assert_here(there)
    assert list(counted(registry, "GET").values()) == [1] * COUNT
    pull(there, name)
    assert len(registry.asked("GET", "/blobs/")) == COUNT
    assert registry.asked("HEAD") == []


def test_a_push_asks_three_times_for_each_blob_and_then_once(registry, here):
    keep(here, LAYERS)
    name = f"{registry.host}/team/many:v1"
    push(here, "many", name)
    assert_sent(registry)
    assert list(counted(registry, "HEAD").values()) == [1] * COUNT
    assert len(registry.asked("POST")) == len(registry.asked("PUT", "/uploads/")) == COUNT
    before = len(registry.seen)
    push(here, "many", name)
    again = [seen.method for seen in registry.seen[before:] if "/blobs/" in seen.path]
    assert again == ["HEAD"] * COUNT


def test_one_token_does_for_all(tokens, here, there, clean_environment):
    logged_in(clean_environment, tokens.host)
    with FakeRegistry(tokens=tokens) as registry:
        logged_in(clean_environment, registry.host)
        keep(here, LAYERS)
        name = f"{registry.host}/team/many:v1"
        push(here, "many", name)
        assert_sent(registry)
        assert len(tokens.seen) == 1
        assert len(registry.asked("POST")) == len(registry.asked("PUT", "/uploads/")) == COUNT
        assert len(registry.asked("HEAD")) <= COUNT + 2
        pull(there, name)
        assert_here(there)
        assert len(tokens.seen) == 2
        assert list(counted(registry, "GET").values()) == [1] * COUNT
        assert SECRET not in {seen.authorization for seen in registry.seen}
        assert set(tokens.given.values()) == {
            "repository:team/many:pull,push", "repository:team/many:pull",
        }  # fmt: skip


@pytest.mark.parametrize("elsewhere_too", [False, True])
def test_a_password_goes_to_its_registry_only(
    elsewhere, here, there, clean_environment, elsewhere_too
):
    with FakeRegistry(users=USERS) as registry:
        logged_in(clean_environment, registry.host)
        keep(here, LAYERS)
        if elsewhere_too:
            registry.uploads.base = elsewhere.url
            elsewhere.uploads = registry.uploads
        name = f"{registry.host}/team/many:v1"
        push(here, "many", name)
        assert_sent(registry)
        if elsewhere_too:
            elsewhere.blobs.update(registry.blobs)
            where = elsewhere.url
            registry.instead("GET", "/blobs/", lambda e: e.reply(307, Location=where + e.path))
        pull(there, name)
        assert_here(there)
        assert {seen.authorization for seen in elsewhere.seen} <= {""}
        assert len(elsewhere.asked("GET")) == (COUNT if elsewhere_too else 0)
        assert len(elsewhere.asked("PUT")) == (COUNT if elsewhere_too else 0)
        asked = registry.asked("GET", "/blobs/")
        assert len(asked) <= COUNT + limits.LINES_TROUBLE + 4 * limits.LINES_EACH
        assert {seen.authorization for seen in asked} == {SECRET}
        assert all(seen.path.startswith("/v2/") for seen in registry.seen)


def test_small_blobs_move_over_tls(secure, authority, tmp_path):
    network = Network(ca_file=str(authority / "ca.pem"))
    here, there = context_at(tmp_path / "here", network), context_at(tmp_path / "there", network)
    keep(here, LAYERS)
    secure.blobs.clear()
    name = f"{secure.host}/team/many:v1"
    push(here, "many", name)
    assert_sent(secure)
    crossing = Crossing(meet=4 * limits.LINES_EACH)
    secure.instead("GET", "/blobs/", crossing.guarding(secure.answer))
    secure.instead("GET", digest_of(BIG), secure.answer)
    pull(there, name)
    assert crossing.most == 4 * limits.LINES_EACH
    assert_here(there)
    assert list(counted(secure, "GET").values()) == [1] * COUNT


def test_a_stranger_s_certificate_is_not_trusted_by_lines_either(
    secure, authority, tmp_path, monkeypatch
):
    seen = []
    connect = Sockets.connect
    monkeypatch.setattr(
        Sockets, "connect", lambda *given: (seen.append(given[-1]), connect(*given))[1]
    )
    offer(secure, LAYERS)
    there = context_at(tmp_path / "there", Network(ca_file=str(authority / "ca.pem")))
    pull(there, f"{secure.host}/team/many:v1")
    plain, *others = seen  # a loopback host is first asked whether it speaks plain HTTP
    assert plain is None
    assert others
    assert all(context is not None and context.check_hostname for context in others)


def test_a_proxy_is_not_gone_around(tmp_path, monkeypatch):
    direct = []
    monkeypatch.setattr(Sockets, "connect", lambda *given: direct.append(given))
    with FakeRegistry() as registry, ForwardProxy() as proxy:
        offer(registry, LAYERS)
        proxy.places.update({f"{NAME}:443": registry.host, NAME: registry.host})
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        here = context_at(tmp_path / "here", Network(insecure=True))
        pull(here, f"{NAME}/team/many:v1")
        assert_here(here)
        registry.blobs.clear()
        push(here, f"{NAME}/team/many:v1")
        assert_sent(registry)
    assert direct == []
    assert len([wanted for wanted in proxy.wanted if wanted.startswith("PUT")]) == COUNT + 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST PUT"])
def test_so_many_are_asked_for_at_a_time(registry, here, there, method):
    crossing = Crossing(meet=limits.LINES_EACH)
    one = Network(concurrency=1)
    layers = crowd(big=b"")
    registry.instead(method, "/blobs/", crossing.guarding(registry.answer))
    registry.instead("HEAD", digest_of(CONFIG), registry.answer)  # the first, on its own
    if method == "GET":
        offer(registry, layers)
        pull(replace(there, network=one), f"{registry.host}/team/many:v1")
    else:
        keep(here, layers)
        push(replace(here, network=one), "many", f"{registry.host}/team/many:v1")
    assert crossing.most == limits.LINES_EACH


def test_few_small_blobs_move_one_by_one(registry, there, monkeypatch):
    lines = []
    monkeypatch.setattr(Session, "line", lambda *given: lines.append(given))
    layers = crowd(limits.SMALL_FROM - 2)
    offer(registry, layers)
    pull(there, f"{registry.host}/team/many:v1")
    assert_here(there, layers)
    assert lines == []


@pytest.mark.parametrize("minimum", [1, 1_000, 1_000_000])
def test_a_registry_that_wants_chunks_gets_them(registry, here, minimum):
    registry.uploads.minimum = minimum
    keep(here, LAYERS)
    push(here, "many", f"{registry.host}/team/many:v1")
    assert_sent(registry)
    assert len(registry.asked("POST")) == COUNT  # uploads that were begun are gone on with
    assert registry.uploads.sessions == {}


def test_a_host_that_is_known_to_want_chunks_gets_no_more_at_a_time(registry, here, monkeypatch):
    monkeypatch.setattr("modelpack.registry.policy._KNOWN", {"*": UploadPolicy(chunk=700)})
    layers = crowd(big=b"")
    keep(here, layers)
    push(here, "many", f"{registry.host}/team/many:v1")
    assert_sent(registry, layers)
    sent = registry.asked("PATCH") + registry.asked("PUT", "/uploads/")
    assert max(len(seen.body) for seen in sent) == 700


@pytest.mark.parametrize(
    ("method", "part", "answer"),
    [
        ("PUT", "/uploads/", says(500)),
        ("PUT", "/uploads/", gone),
        ("PUT", "/uploads/", html(201)),
        ("POST", "/uploads/", html(202)),
        ("HEAD", "/blobs/", says(200, Content_Length="")),
    ],
    ids=["500", "gone", "page", "page for an upload", "no length"],
)
def test_uploads_that_go_wrong_at_first_end_well(registry, here, method, part, answer):
    layers = crowd(big=b"")
    registry.instead(method, part, answer, times=5)
    keep(here, layers)
    push(here, "many", f"{registry.host}/team/many:v1")
    assert_sent(registry, layers)
    assert registry.uploads.sessions == {}
    assert leftovers(here.store.layout.root) == []


def test_an_upload_may_lead_to_a_whole_url_of_the_registry(registry, here):
    registry.uploads.base = registry.url
    keep(here, LAYERS)
    push(here, "many", f"{registry.host}/team/many:v1")
    assert_sent(registry)
    assert len(registry.asked("POST")) == len(registry.asked("PUT", "/uploads/")) == COUNT


@pytest.mark.parametrize("kind", [packed, unmeasured, in_pieces, serving])
def test_answers_that_are_framed_otherwise_are_read_all_the_same(registry, there, kind):
    layers = crowd(big=b"")
    offer(registry, layers)
    registry.instead("GET", "/blobs/", kind(registry), times=5)
    pull(there, f"{registry.host}/team/many:v1")
    assert_here(there, layers)


def test_what_is_said_to_be_compressed_is_asked_for_again(registry, there):
    def said(exchange):
        data = registry.blobs[exchange.path.rpartition("/")[2]]
        exchange.reply(200, data, Content_Encoding="gzip")

    layers = crowd(big=b"")
    offer(registry, layers)
    registry.instead("GET", "/blobs/", said, times=5)
    pull(there, f"{registry.host}/team/many:v1")
    assert_here(there, layers)
    assert len(registry.asked("GET", "/blobs/")) == len(layers) + 1 + 5


def test_a_damaged_small_blob_is_refused(registry, there):
    offer(registry, LAYERS)
    registry.instead("GET", digest_of(LAYERS[7]), serving(registry, flipped(3)))
    with pytest.raises(IntegrityError):
        pull(there, f"{registry.host}/team/many:v1")
    assert not any(file.startswith("manifests/") for file in files_in(there))
    assert not there.store.path(manifest_of(LAYERS).layers[7].digest).exists()
    assert leftovers(there.store.layout.root) == []
    registry.healthy()
    pull(there, f"{registry.host}/team/many:v1")
    assert_here(there)


def test_a_small_blob_that_is_damaged_once_is_fetched_again(registry, there):
    offer(registry, LAYERS)
    registry.instead("GET", digest_of(LAYERS[7]), serving(registry, flipped(3)), times=1)
    pull(there, f"{registry.host}/team/many:v1")
    assert_here(there)
    assert sum(counted(registry, "GET").values()) == COUNT + 1


def test_a_damaged_small_blob_is_not_sent(registry, here):
    keep(here, LAYERS)
    blob = manifest_of(LAYERS).layers[7]
    damaged = flipped(3)(LAYERS[7])
    here.store.path(blob.digest).write_bytes(damaged)
    with pytest.raises(ModelPackError):
        push(here, "many", f"{registry.host}/team/many:v1")
    assert [seen.body for seen in registry.asked("PUT")].count(damaged) <= 1  # not with the others
    assert registry.manifests == {}
    assert str(blob.digest) not in registry.blobs


def test_verifying_repairs_a_damaged_small_blob(registry, there):
    offer(registry, LAYERS)
    name = f"{registry.host}/team/many:v1"
    pull(there, name)
    path = there.store.path(manifest_of(LAYERS).layers[7].digest)
    path.write_bytes(flipped(3)(LAYERS[7]))
    pull(there, name)
    assert path.read_bytes() != LAYERS[7]
    before = len(registry.asked("GET", "/blobs/"))
    pull(there, name, verify=True)
    assert_here(there)
    assert len(registry.asked("GET", "/blobs/")) == before + 1


def test_small_blobs_of_a_sister_repository_are_mounted(registry, here):
    manifest = keep(here, LAYERS)
    offer(registry, LAYERS)
    here.store.name(Reference.parse(f"{registry.host}/team/base:1"), manifest)
    registry.instead("HEAD", "/blobs/", says(404))
    notes: list[str] = []
    push(here, "many", f"{registry.host}/team/many:v1", noting(notes))
    assert notes == ["mounted"] * COUNT
    assert registry.uploads.received == 0
    assert registry.uploads.count == 0
