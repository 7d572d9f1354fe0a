"""What is acknowledged outlives a power failure: files are synced, and what names them."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from server.conftest import digest_of
from server.test_zerocopy import comes_true


class Disk:
    """What was synced, and how the disk behaves when a folder is to be."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.synced: list[str] = []
        self.error = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._fsync = os.fsync

    def fsync(self, file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            path = Path(f"/proc/self/fd/{file}").readlink()
            if path.is_relative_to(self.root / "blobs"):
                assert self.may_go_on.wait(20)
            if self.error:
                raise OSError(self.error, os.strerror(self.error))
            self.synced.append(str(path.relative_to(self.root)))
        self._fsync(file)


@pytest.fixture
def disk(root, client, monkeypatch):
    disk = Disk(root)
    monkeypatch.setattr(os, "fsync", disk.fsync)
    yield disk
    disk.may_go_on.set()


def test_a_tag_is_acknowledged_when_all_that_leads_to_it_is_synced(client, disk):
    raw = client.manifest()
    assert client.put_manifest(raw, "v1").status_code == 201
    config = digest_of(b"{}").removeprefix("sha256:")
    blob = f"blobs/sha256/{config[:2]}/{config}"
    repository = "repositories/demo,a"
    assert set(disk.synced) == {
        f"{blob}/in", blob, f"blobs/sha256/{config[:2]}", "blobs/sha256", "blobs", ".",
        f"{repository}/manifests/sha256", f"{repository}/manifests", f"{repository}/tags",
        repository, "repositories",
    }  # fmt: skip
    assert disk.synced.index(f"{repository}/manifests/sha256") < disk.synced.index(
        f"{repository}/tags"
    )


def test_what_is_named_anew_is_synced_anew(client, disk):
    raw = client.manifest()
    client.put_manifest(raw, "v1")
    disk.synced.clear()
    client.put_manifest(raw, "v2")
    assert "repositories/demo,a/tags" in disk.synced


def test_a_mounted_blob_is_synced_too(client, disk):
    digest = client.push(b"content")
    client.put_manifest(client.manifest(), "v1")
    disk.synced.clear()
    path = f"/v2/demo/b/blobs/uploads/?mount={digest}&from=demo/a"
    assert client.ask("POST", path).status_code == 201
    hexadecimal = digest.removeprefix("sha256:")
    assert comes_true(lambda: f"blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/in" in disk.synced)


def test_a_blob_need_not_wait_but_its_manifest_does(client, disk):
    disk.may_go_on.clear()
    raw = client.manifest()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(client.put_manifest(raw, "v1")))
    thread.start()
    thread.join(0.3)
    assert not answers
    assert not any(disk.root.glob("repositories/*/tags/*"))
    disk.may_go_on.set()
    thread.join(20)
    assert answers[0].status_code == 201


def test_many_blobs_do_not_wait_without_end(client, disk, monkeypatch):
    monkeypatch.setattr("modelpack.server.registry.storage.settling._BEHIND", 2)
    disk.may_go_on.clear()
    client.push(b"1")
    client.push(b"2")
    thread = threading.Thread(target=client.push, args=(b"3",))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    disk.may_go_on.set()
    thread.join(20)
    assert not thread.is_alive()


def test_a_disk_that_fails_is_told_with_the_manifest(client, disk):
    raw = client.manifest()
    client.put_manifest(raw, "v1")
    disk.error = errno.EIO
    client.push(b"content")
    assert client.put_manifest(raw, "v2").status_code == 500
    assert client.ask("GET", "/v2/demo/a/manifests/v2").status_code == 404
    disk.error = 0
    assert client.put_manifest(raw, "v2").status_code == 201


def test_a_file_system_that_cannot_sync_folders_is_served(client, disk):
    disk.error = errno.EINVAL
    assert client.put_manifest(client.manifest(), "v1").status_code == 201
