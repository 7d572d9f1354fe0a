"""Uploads: chunks where they are wanted, and no byte twice that the registry has kept."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from fakes.models import context_at
from fakes.registry import digest_of
from fakes.web import says, switched_off
from support.models import manifest_of

from modelpack import limits
from modelpack.errors import IntegrityError, NetworkError, RegistryError
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context, Network
from modelpack.ops.push import push
from modelpack.registry.policy import UploadPolicy

SIZE = 3_000_017
WEIGHTS = random.Random(5).randbytes(SIZE)
LAYER = digest_of(WEIGHTS)
HEX = LAYER.partition(":")[2]
HALF = SIZE // 2


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    monkeypatch.setattr(limits, "UPLOADS_KEPT_FROM", 1_000)
    monkeypatch.setattr(limits, "SENT_PIECE", 65_536)
    monkeypatch.setattr(limits, "SENT_PIECES", 65_536)
    monkeypatch.setattr(limits, "RETRY_BASE_S", 0.001)
    monkeypatch.setattr(limits, "RETRY_CAP_S", 0.01)


@pytest.fixture
def here(here: Context) -> Context:
    """A store that holds the model `big`."""
    here.store.name(Reference.parse("big"), manifest_of(here.store, WEIGHTS))
    return here


@pytest.fixture
def send(registry, here):
    """Push `big`; returns what was said at the begin and end of its layer."""

    def pushing(network: Network | None = None, host: str = registry.host) -> list[str]:
        notes: list[str] = []
        context = replace(here, network=network) if network else here
        push(
            context,
            "big",
            f"{host}/team/big:1",
            lambda e: notes.append(e.note) if e.item == LAYER and e.note else None,
        )
        return notes

    return pushing


@pytest.fixture
def policy(monkeypatch):
    """Set what is known of every host."""

    def known(**said: object) -> None:
        monkeypatch.setattr("modelpack.registry.policy._KNOWN", {"*": UploadPolicy(**said)})

    return known


def assert_there(registry) -> None:
    assert registry.blobs[LAYER] == WEIGHTS
    assert ("team/big", "1") in registry.manifests
    assert registry.uploads.sessions == {}


def notes_in(context: Context) -> list[str]:
    return sorted(path.name for path in context.store.layout.ingest.glob("upload-*"))


def chunks(registry) -> list[int]:
    return [len(seen.body) for seen in registry.asked("PATCH", "/uploads/")]


def test_a_blob_goes_in_one_request(registry, send, here):
    assert send() == []
    assert_there(registry)
    assert chunks(registry) == []
    assert registry.uploads.received < SIZE + 1_000
    assert notes_in(here) == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("after", [0, 1, HALF, SIZE - 1])
def test_an_upload_that_broke_goes_on_at_its_byte(registry, send, policy, method, after):
    if method == "PATCH":
        policy(chunk=SIZE - 1)
    where = HEX if method == "PUT" else ""
    registry.instead(method, where, registry.uploads.cut(after), times=1, early=True)
    send()
    assert_there(registry)
    again = 1 if after == 1 else 0  # `Range: 0-0` may be nothing or one byte
    assert registry.uploads.received <= SIZE + 1_000 + again


def test_what_the_registry_lost_is_sent_again(registry, send):
    registry.uploads.keeps = False
    registry.instead("PUT", HEX, registry.uploads.cut(HALF), times=2, early=True)
    send()
    assert_there(registry)
    assert 2 * SIZE <= registry.uploads.received <= 2 * SIZE + 1_000


def test_a_registry_that_breaks_every_upload_gives_one_error(registry, send, here):
    registry.uploads.keeps = False
    registry.instead("PUT", HEX, registry.uploads.cut(HALF), early=True)
    with pytest.raises(NetworkError, match=f"the connection to {registry.host} broke"):
        send(Network(concurrency=1))
    assert registry.manifests == {}
    assert len(registry.asked("PUT", "/uploads/")) == limits.RETRIES


def test_a_later_push_goes_on_where_an_earlier_one_ended(registry, send, here):
    registry.instead("GET", "/uploads/", says(503))
    registry.instead("PUT", HEX, registry.uploads.cut(HALF), times=1, early=True)
    registry.instead("PATCH", "/uploads/", says(503))
    with pytest.raises(RegistryError):
        send()
    assert len(notes_in(here)) == 1
    assert "_state" in (here.store.layout.ingest / notes_in(here)[0]).read_text()
    registry.healthy()
    assert send() == ["resumed at 49 %"]
    assert_there(registry)
    assert registry.uploads.received <= SIZE + 1_000
    assert notes_in(here) == []


@pytest.fixture
def broken(registry, send):
    """An upload that has ended in the middle, of which there is a note."""
    registry.instead("GET", "/uploads/", says(503))
    registry.instead("PUT", HEX, registry.uploads.cut(HALF), early=True)
    with pytest.raises(RegistryError):
        send()
    registry.healthy()


@pytest.mark.usefixtures("broken")
def test_the_note_of_an_upload_that_arrived_after_all_is_removed(registry, send, here):
    assert len(notes_in(here)) == 1
    registry.add_blob(WEIGHTS)
    assert send() == ["exists"]
    assert notes_in(here) == []


@pytest.mark.parametrize("status", [401, 403, 500])
@pytest.mark.usefixtures("broken")
def test_an_upload_that_cannot_be_gone_on_with_begins_anew(registry, send, here, status):
    (old,) = registry.uploads.sessions
    registry.instead("GET", old, says(status))
    assert send() == []
    assert registry.blobs[LAYER] == WEIGHTS
    assert notes_in(here) == []


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/x", "http://[bad/x", "http://h:99999/"])
@pytest.mark.usefixtures("broken")
def test_an_upload_whose_place_is_gone_begins_anew(registry, send, here, location):
    note = here.store.layout.ingest / notes_in(here)[0]
    note.write_text(json.dumps(json.loads(note.read_text()) | {"location": location}))
    assert send() == []
    assert registry.blobs[LAYER] == WEIGHTS
    assert notes_in(here) == []


@pytest.mark.parametrize(
    "location", ["http://[bad/", "http://h:99999/", "http://h:abc/", "ftp://h/"]
)
def test_an_upload_that_is_nowhere_is_one_error(registry, send, location):
    registry.instead("POST", "/uploads/", says(202, Location=location))
    with pytest.raises(RegistryError, match="sent us to"):
        send()


def test_an_upload_elsewhere_that_is_not_there_is_named(registry, send):
    with switched_off() as nobody:
        registry.instead("POST", "/uploads/", says(202, Location=f"http://{nobody}/x"))
        with pytest.raises(NetworkError, match=rf"cannot reach {nobody} \(where {registry.host}"):
            send()


@pytest.mark.usefixtures("broken")
def test_a_note_is_its_owners_only(here):
    (name,) = notes_in(here)
    assert (here.store.layout.ingest / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"{}", b'{"version":1,"location":7}', b"[" * 9999]
)
@pytest.mark.usefixtures("broken")
def test_a_damaged_note_is_no_note(registry, send, here, raw):
    (here.store.layout.ingest / notes_in(here)[0]).write_bytes(raw)
    assert send() == []
    assert registry.blobs[LAYER] == WEIGHTS


def test_an_upload_with_wrong_bytes_at_the_registry_begins_anew(registry, send, here):
    def cut_and_damage(exchange):
        registry.uploads.cut(HALF)(exchange)
        for session in registry.uploads.sessions.values():
            session.data[:5] = b"wrong"

    registry.instead("PUT", HEX, cut_and_damage, times=1, early=True)
    send(Network(concurrency=1))
    assert_there(registry)


def test_chunks_follow_each_others_locations(registry, send, policy):
    policy(chunk=1_000_000)
    send()
    assert_there(registry)
    assert chunks(registry) == [1_000_000, 1_000_000, 1_000_000, 17]
    said = [s.headers["content-range"] for s in registry.asked("PATCH")]
    assert said[1] == "1000000-1999999"


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_chunk_may_be_taken_with_another_status(registry, send, policy, status):
    policy(chunk=1_000_000)
    registry.uploads.patched = status
    send()
    assert_there(registry)


def test_answers_without_a_range_are_believed(registry, send, policy):
    policy(chunk=1_000_000)
    registry.uploads.says_range = False
    send()
    assert_there(registry)


def test_the_registrys_smallest_chunk_is_respected(registry, send, monkeypatch):
    monkeypatch.setattr("modelpack.registry.policy.CHUNK", 100_000)
    registry.uploads.minimum = 1_200_000
    send()
    assert_there(registry)
    assert chunks(registry) == [1_200_000, 1_200_000]
    assert len(registry.asked("PUT", HEX)[0].body) == SIZE - 2_400_000


def test_a_registry_that_refuses_the_rest_in_one_chunk_gets_the_blob_in_one_request(registry, send):
    registry.uploads.chunk_limit = 1_000
    registry.instead("PUT", HEX, registry.uploads.cut(HALF), times=1, early=True)
    send()
    assert_there(registry)


def test_chunks_that_are_always_refused_give_one_error(registry, send, policy):
    policy(chunk=1_000_000)
    registry.uploads.chunk_limit = 1_000
    with pytest.raises(RegistryError, match="416"):
        send(Network(concurrency=1))
    assert registry.uploads.sessions == {}
    assert registry.manifests == {}


def test_where_chunks_are_never_taken_a_broken_upload_begins_anew(registry, send, policy):
    policy(chunks=False)
    registry.instead("PUT", HEX, registry.uploads.cut(HALF), times=1, early=True)
    send()
    assert_there(registry)
    assert chunks(registry) == []


def test_an_upload_whose_answer_was_lost_is_not_sent_again(registry, send):
    def take_and_hang_up(exchange):
        registry.add_blob(exchange.body)
        exchange.hang_up()

    registry.instead("PUT", HEX, take_and_hang_up, times=1)
    send()
    assert registry.blobs[LAYER] == WEIGHTS
    assert registry.uploads.received <= SIZE + 1_000


@pytest.mark.parametrize(("status", "cancelled"), [(413, 1), (409, 0)])
def test_an_upload_that_is_refused_is_cancelled_unless_others_have_it(
    registry, send, here, status, cancelled
):
    registry.instead("PUT", HEX, says(status))
    with pytest.raises(RegistryError, match=str(status)):
        send(Network(concurrency=1))
    assert len(registry.asked("DELETE", "/uploads/")) == cancelled
    assert len(registry.uploads.sessions) == len(notes_in(here)) == 1 - cancelled


def test_a_damaged_blob_is_noticed_before_it_is_sent(registry, send, here):
    path = next(p for p in here.store.layout.blobs.iterdir() if p.stat().st_size == SIZE)
    path.write_bytes(WEIGHTS[:-1])
    with pytest.raises(IntegrityError, match="3,000,016 bytes"):
        send(Network(concurrency=1))
    assert registry.uploads.received < 1_000
    assert registry.uploads.sessions == {}


def test_a_registry_that_wants_a_pause_gets_it(registry, here, monkeypatch):
    waited = []
    monkeypatch.setattr(
        "modelpack.registry.patience.Patience.pause", lambda _self, seconds: waited.append(seconds)
    )
    registry.instead("PUT", HEX, says(429, Retry_After="7"), times=1)
    push(replace(here, network=Network(concurrency=1)), "big", f"{registry.host}/team/big:1")
    assert waited == [7.0]
    assert_there(registry)


def test_a_layer_of_a_sister_repository_is_mounted(registry, send, here):
    manifest = here.store.resolve(Reference.parse("big"))
    registry.add_blob(WEIGHTS)
    here.store.name(Reference.parse(f"{registry.host}/team/base:1"), manifest)
    registry.instead("HEAD", "/blobs/", says(404))
    assert send() == ["mounted"]
    (asked,) = registry.asked("POST", LAYER.replace(":", "%3A"))
    assert "from=team%2Fbase" in asked.path
    assert registry.uploads.received < 1_000


@pytest.mark.parametrize("status", [400, 401, 404, 405, 500])
def test_a_mount_that_fails_is_followed_by_an_upload(registry, send, here, status):
    manifest = here.store.resolve(Reference.parse("big"))
    here.store.name(Reference.parse(f"{registry.host}/team/base:1"), manifest)
    registry.instead("POST", "mount=", says(status))
    assert send() == []
    assert_there(registry)


def test_a_mount_that_becomes_an_upload_is_used(registry, send, here):
    manifest = here.store.resolve(Reference.parse("big"))
    here.store.name(Reference.parse(f"{registry.host}/team/base:1"), manifest)
    registry.uploads.mounts = False
    send()
    assert_there(registry)
    assert len(registry.asked("POST")) == len(registry.asked("PUT", "/uploads/"))


SCRIPT = """
import sys
from modelpack import limits
from modelpack.ops.context import Context
from modelpack.ops.push import push

limits.UPLOADS_KEPT_FROM = 1000
def tell(event):
    if event.total > 1000 and event.completed > event.total // 2:
        print("half", flush=True)
        sys.stdin.read()
push(Context.create(), "big", sys.argv[1], tell)
"""


def test_a_push_that_was_killed_is_gone_on_with(real, here, tmp_path):
    name = f"{real}/tests/killed:1"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, name],
        env={"MODELPACK_MODELS": str(here.store.layout.root), "HOME": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert len(notes_in(here)) == 1
    push(here, "big", name)
    there = context_at(tmp_path / "there")
    with there.repository(Reference.parse(name)) as repository:
        assert repository.resolve(Reference.parse(name)).layers
    assert notes_in(here) == []


def test_the_configuration_file_says_how_blobs_are_sent(registry, send, here, clean_environment):
    folder = clean_environment / ".modelpack"
    folder.mkdir()
    config = {"registries": {registry.host: {"chunk-size": "1MB"}}}
    (folder / "config.yaml").write_text(json.dumps(config))
    context = Context.create(None, None)
    context.store.name(Reference.parse("big"), manifest_of(context.store, WEIGHTS))
    push(context, "big", f"{registry.host}/team/big:1")
    assert chunks(registry) == [1_000_000, 1_000_000, 1_000_000, 17]
