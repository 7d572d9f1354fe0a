"""Collecting what nobody needs: what goes, what stays, beside requests and when it is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from server.conftest import OCI_INDEX, OCI_MANIFEST, Client, code_of, digest_of

from modelpack.errors import InputError, StoreError
from modelpack.server.registry import RegistrySettings, collect_garbage, running
from modelpack.server.registry.names import ContentDigest
from modelpack.server.registry.settings import STALE_TEMPORARY_S, STALE_UPLOAD_S
from modelpack.server.registry.storage.blobs import Blobs
from modelpack.server.registry.storage.collector import Collected, Policy, collect
from modelpack.server.registry.storage.layout import opened

LAYER = "application/x.layer"


@pytest.fixture
def served(root, session):
    """Return a function that serves the folder for the length of a `with` block."""

    class Served:
        def __init__(self, **settings):
            self._running = running(RegistrySettings(root=root, listen="127.0.0.1:0", **settings))

        def __enter__(self):
            return Client(self._running.__enter__(), session)

        def __exit__(self, *error):
            session.close()
            self._running.__exit__(*error)

    return Served


def layered(client, *contents, name="demo/a"):
    """Push *contents* and return a manifest of them."""
    layers = [
        {"mediaType": LAYER, "digest": client.push(data, name), "size": len(data)}
        for data in contents
    ]
    return client.manifest(name, layers=layers)


def collected(root, **options) -> Collected:
    return collect_garbage(root, **{"older_than_s": 0.0, **options})


def contents(root):
    """The digests of all blobs in the folder, each checked against its bytes."""
    found = set()
    for path in (root / "blobs").glob("*/*/*/data"):
        digest = f"{path.parts[-4]}:{path.parts[-2]}"
        assert digest_of(path.read_bytes(), path.parts[-4]) == digest
        found.add(digest)
    return found


def names_of(found):
    return [(name, str(digest)) for name, digest in found]


def test_what_a_deleted_manifest_needed_goes_and_what_others_need_stays(root, served):
    with served() as client:
        kept = layered(client, b"both", b"kept")
        gone = layered(client, b"both", b"gone")
        client.put_manifest(kept, "kept")
        client.put_manifest(gone, "gone")
        client.ask("DELETE", f"/v2/demo/a/manifests/{digest_of(gone)}")
    told = collected(root, dry_run=True)
    assert digest_of(b"gone") in contents(root)
    done = collected(root)
    assert names_of(done.blobs) == names_of(told.blobs) == [("demo/a", digest_of(b"gone"))]
    assert done.freed == told.freed == 4
    assert contents(root) == {digest_of(b"{}"), digest_of(b"both"), digest_of(b"kept")}
    assert (collected(root).blobs, collected(root).freed) == ([], 0)
    with served() as client:
        assert client.ask("GET", f"/v2/demo/a/blobs/{digest_of(b'kept')}").content == b"kept"
        answer = client.ask("GET", f"/v2/demo/a/blobs/{digest_of(b'gone')}")
        assert code_of(answer) == (404, "BLOB_UNKNOWN")


def test_content_stays_while_another_repository_has_it(root, served):
    with served() as client:
        client.put_manifest(layered(client, b"shared", name="demo/b"), "v1", "demo/b")
        client.push(b"shared")
    for dry_run in (True, False):
        done = collected(root, dry_run=dry_run)
        assert names_of(done.blobs) == [("demo/a", digest_of(b"shared"))]
        assert (done.contents, done.freed) == ({}, 0)
    with served() as client:
        path = f"blobs/{digest_of(b'shared')}"
        assert client.ask("GET", f"/v2/demo/b/{path}").content == b"shared"
        assert client.ask("HEAD", f"/v2/demo/a/{path}").status_code == 404


def test_what_is_younger_than_the_grace_period_stays(root, served):
    with served() as client:
        client.push(b"young")
    assert collect_garbage(root).blobs == []
    assert collected(root, older_than_s=3600.0).blobs == []
    assert len(collected(root).blobs) == 1


def age(path, seconds=3 * 86_400.0):
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize("ask", ["HEAD", "mount", "push"])
def test_whoever_is_told_that_a_blob_is_there_can_rely_on_it(root, served, ask):
    with served() as client:
        digest = client.push(b"old")
        (mark,) = root.glob("blobs/*/*/*/in/*")
        age(mark)
        if ask == "HEAD":
            assert client.ask("HEAD", f"/v2/demo/a/blobs/{digest}").status_code == 200
        elif ask == "mount":
            query = f"mount={digest}&from=demo/a"
            client.ask("POST", f"/v2/demo/a/blobs/uploads/?{query}")
        else:
            client.push(b"old")
    assert collect_garbage(root).blobs == []
    age(mark)
    assert len(collect_garbage(root).blobs) == 1


def test_untagged_manifests_go_only_when_asked_for(root, served):
    with served() as client:
        child = layered(client, b"child")
        lone = layered(client, b"lone")
        referrer = client.manifest(
            subject={"mediaType": OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1}
        )
        for raw in (child, lone, referrer):
            client.put_manifest(raw, digest_of(raw))
        entry = {"mediaType": OCI_MANIFEST, "digest": digest_of(child), "size": len(child)}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        client.put_manifest(json.dumps(index).encode(), "index", media_type=OCI_INDEX)
    assert (collected(root).manifests, collected(root).blobs) == ([], [])
    told = collected(root, untagged=True, dry_run=True)
    done = collected(root, untagged=True)
    assert names_of(done.manifests) == names_of(told.manifests) == [("demo/a", digest_of(lone))]
    assert names_of(done.blobs) == names_of(told.blobs) == [("demo/a", digest_of(b"lone"))]
    with served() as client:
        for raw in (child, referrer):
            assert client.ask("GET", f"/v2/demo/a/manifests/{digest_of(raw)}").content == raw
        found = client.ask("GET", f"/v2/demo/a/referrers/sha256:{'0' * 64}").json()["manifests"]
        assert [entry["digest"] for entry in found] == [digest_of(referrer)]


def test_layers_that_others_give_stay_when_they_are_here(root, served):
    with served() as client:
        layer = {"mediaType": LAYER, "digest": client.push(b"foreign"), "size": 7}
        raw = client.manifest(layers=[{**layer, "urls": ["https://example.com/x"]}])
        client.put_manifest(raw, "v1")
    assert collected(root).blobs == []


def test_a_damaged_manifest_keeps_all_of_its_repository(root, served):
    with served() as client:
        client.put_manifest(layered(client, b"needed"), "v1")
        client.push(b"not needed")
        client.push(b"not needed", "demo/b")
    (path,) = root.glob("repositories/demo,a/manifests/*/*")
    path.write_bytes(path.read_bytes().replace(b"sha256:", b"sha255:"))
    done = collected(root)
    assert list(done.skipped) == ["demo/a"]
    assert "damaged" in done.skipped["demo/a"]
    assert names_of(done.blobs) == [("demo/b", digest_of(b"not needed"))]
    assert digest_of(b"not needed") in contents(root)


def test_a_repository_whose_manifests_cannot_be_listed_keeps_everything(root, served):
    with served() as client:
        client.put_manifest(layered(client, b"needed"), "v1")
    folder = root / "repositories" / "demo,a" / "manifests" / "sha256"
    folder.rename(root / "elsewhere")
    folder.write_text("not a folder")
    assert list(collected(root).skipped) == ["demo/a"]
    folder.unlink()
    (root / "elsewhere").rename(folder)
    assert (collected(root).blobs, collected(root).skipped) == ([], {})


def test_uploads_and_temporary_files_go_when_they_are_stale(root, served):
    with served() as client:
        locations = [client.begin() for _ in range(2)]
        for location in locations:
            client.ask("PATCH", location, data=b"begun")
    (root / "temporary" / "old").write_bytes(b"12345")
    (root / "temporary" / "young").write_bytes(b"12345")
    age(root / "temporary" / "old", STALE_TEMPORARY_S + 60)
    stale = root / "uploads" / "demo,a" / locations[0].rsplit("/", 1)[1]
    age(stale, STALE_UPLOAD_S + 60)
    for dry_run in (True, False):
        done = collected(root, dry_run=dry_run)
        assert {path.name for path in done.unfinished} == {"old", stale.name}
        assert done.freed == 10
    assert {path.name for path in (root / "temporary").iterdir()} == {"young"}
    with served() as client:
        assert client.ask("GET", locations[0]).status_code == 404
        digest = digest_of(b"begun")
        assert client.ask("PUT", f"{locations[1]}?digest={digest}").status_code == 201


def test_an_old_upload_that_goes_on_is_young_again(root):
    with opened(root) as layout:
        from modelpack.server.registry.storage.uploads import Uploads

        uploads = Uploads(layout)
        name = uploads.start("demo/a")
        age(layout.uploads("demo/a") / name, 2 * STALE_UPLOAD_S)
        appending = uploads.append("demo/a", name)
        appending.close()
        assert not collect(layout, Policy(now=time.time(), grace_s=0.0), lambda: True).unfinished


def test_content_without_an_owner_and_marks_without_content_go(root, served):
    with served() as client:
        client.push(b"ownerless")
        client.push(b"contentless")
    (folder,) = root.glob(f"blobs/*/*/{digest_of(b'ownerless')[7:]}")
    (folder / "in" / "demo,a").unlink()
    next(root.glob(f"blobs/*/*/{digest_of(b'contentless')[7:]}/data")).unlink()
    assert collect_garbage(root).blobs == []
    told, done = collected(root, dry_run=True), collected(root)
    assert names_of(done.blobs) == names_of(told.blobs)
    assert {name for name, _ in done.blobs} == {"", "demo/a"}
    assert done.freed == told.freed == len(b"ownerless")
    assert [path for path in (root / "blobs").rglob("*") if path.is_file()] == []


def test_a_folder_that_is_served_is_left_alone(root, served):
    with served(), pytest.raises(StoreError, match="a registry serves") as caught:
        collect_garbage(root)
    assert "--gc-every" in caught.value.hint


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="no registry has its folder"):
        collect_garbage(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_gets_all_of_a_blob_that_is_collected_meanwhile(root, served):
    data = random.Random(3).randbytes(30_000_000)
    with served(gc_every_s=0.02, gc_grace_s=1.0) as client:
        digest = client.push(data)
        path = f"{client.base}/v2/demo/a/blobs/{digest}"
        with requests.get(path, stream=True, timeout=30) as answer:
            begun = answer.raw.read(1000)
            deadline = time.monotonic() + 20
            while contents(root):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert begun + answer.raw.read() == data
        assert requests.get(path, timeout=30).status_code == 404


def push_and_delete(client, seed, turns):
    """Push models that share layers, each readable as soon as it has a name, and delete some."""
    chance = random.Random(seed)
    name = f"demo/{'ab'[seed % 2]}"
    with requests.Session() as session:
        session.trust_env = False
        mine = Client(client.base, session)
        for turn in range(turns):
            layers = [b"layer %d" % (chance.randrange(6) + turn // 5) for _ in range(3)]
            for data in layers:
                there = mine.ask("HEAD", f"/v2/{name}/blobs/{digest_of(data)}")
                if there.status_code == 404:
                    mine.push(data, name)
            described = [
                {"mediaType": LAYER, "digest": digest_of(data), "size": len(data)}
                for data in layers
            ]
            raw = mine.manifest(name, layers=described, annotations={"turn": f"{seed}.{turn}"})
            assert mine.put_manifest(raw, f"t{seed}", name).status_code == 201
            for data in layers:
                answer = mine.ask("GET", f"/v2/{name}/blobs/{digest_of(data)}")
                assert answer.content == data, f"seed {seed}, turn {turn}"
            if chance.random() < 0.9:
                mine.ask("DELETE", f"/v2/{name}/manifests/{digest_of(raw)}")


def test_pushes_lose_nothing_to_the_collector_beside_them(root, served, monkeypatch):
    found = []
    monkeypatch.setattr("modelpack.server.registry.collecting._tell", found.append)
    with served(gc_every_s=0.001, gc_grace_s=1.5) as client, ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(push_and_delete, client, seed, 60) for seed in range(4)]:
            done.result()
        deadline = time.monotonic() + 20
        while not any(one.blobs for one in found):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert not any(one.skipped for one in found)
    contents(root)


def test_the_lock_is_held_for_short_steps_only(root):
    with opened(root) as layout:
        blobs = Blobs(layout)
        for number in range(2000):
            digest = ContentDigest.of(b"%d" % number)
            path = root / "temporary" / "x"
            path.write_bytes(b"%d" % number)
            blobs.commit("demo/a", digest, path)
        times, ended = 0, threading.Event()

        def take_the_lock():
            nonlocal times
            while not ended.is_set():
                with layout.changing:
                    times += 1
                time.sleep(0.001)

        watcher = threading.Thread(target=take_the_lock)
        watcher.start()
        done = collect(layout, Policy(now=time.time() + 9, grace_s=0.0), lambda: True)
        ended.set()
        watcher.join()
    assert len(done.contents) == 2000
    assert times > 9  # not only before and after


def test_ending_the_registry_ends_a_collection_between_its_steps(root):
    with opened(root) as layout:
        for name in ("demo/a", "demo/b"):
            path = root / "temporary" / "x"
            path.write_bytes(b"x")
            Blobs(layout).commit(name, ContentDigest.of(b"x"), path)
        answers = iter([True, True, False])
        done = collect(layout, Policy(now=time.time() + 9, grace_s=0.0), lambda: next(answers))
    assert names_of(done.blobs) == [("demo/a", digest_of(b"x"))]


KILLED = """
import os, sys, random
from pathlib import Path
from modelpack.server.registry import collect_garbage
from modelpack.server.registry.storage import collector

stop = int(sys.argv[2])
steps = 0
def trace(event, arguments):
    global steps
    if event in ("os.rename", "os.remove", "os.rmdir"):
        steps += 1
        if steps > stop:
            os.kill(os.getpid(), 9)
sys.addaudithook(trace)
collect_garbage(Path(sys.argv[1]), older_than_s=0.0, untagged=True)
"""


def test_a_collector_that_is_killed_damages_nothing(root, served):
    with served() as client:
        kept = layered(client, b"both", b"kept")
        client.put_manifest(kept, "kept")
        client.push(b"both", "demo/b")
        client.push(b"orphan", "demo/b")
        for number in range(4):
            raw = layered(client, b"both", b"gone %d" % number)
            client.put_manifest(raw, digest_of(raw))
    for step in range(0, 40, 2):
        process = subprocess.run(
            [sys.executable, "-c", KILLED, str(root), str(step % 7)], timeout=60, check=False
        )
        contents(root)
        with served() as client:
            assert client.ask("GET", "/v2/demo/a/manifests/kept").content == kept
            for data in (b"{}", b"both", b"kept"):
                assert client.ask("GET", f"/v2/demo/a/blobs/{digest_of(data)}").content == data
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    else:
        pytest.fail("the collector never came to its end")
    assert step > 0
    assert collected(root, untagged=True).freed == 0
    assert contents(root) == {digest_of(data) for data in (b"{}", b"both", b"kept")}
    assert list((root / "temporary").iterdir()) == []
