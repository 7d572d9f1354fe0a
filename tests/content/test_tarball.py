"""An OCI image layout as a tar: the same bytes each time, and hostile ones refused."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import threading

import pytest
from support.models import manifest_of

from modelpack import limits
from modelpack.content.layout import FolderLayout
from modelpack.content.tarball import TarLayout, TarWriter
from modelpack.content.transfer import CopyOptions, copy
from modelpack.errors import (
    InputError,
    IntegrityError,
    LimitError,
    ManifestError,
    NotFoundError,
    StoreError,
)
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.reference import Reference
from modelpack.store.local import LocalStore

NAME = Reference.parse("ghcr.io/team/model:1")
OTHER = Reference.parse("other:2")
HOW = CopyOptions(action="push", concurrency=1)
MARKER = ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
EMPTY = ("index.json", b'{"schemaVersion":2,"manifests":[]}')


@pytest.fixture
def source(tmp_path):
    store = LocalStore(tmp_path / "source")
    store.name(NAME, manifest_of(store, b"a" * 300_000, b"b", b""))
    store.name(OTHER, manifest_of(store, b"a" * 300_000, b"c" * 512))
    return store


def saved(source, *names):
    out = io.BytesIO()
    writer = TarWriter(out)
    for name in names:
        copy(source, writer, (name, name), HOW)
    writer.finish()
    return out.getvalue()


def tar_of(path, *members, **options):
    """Write a tar of (name or TarInfo, bytes) pairs with Python's own writer."""
    with tarfile.open(path, "w", **options) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def special(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info, b""


def test_a_model_goes_through_a_tar_and_back(source, tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(saved(source, NAME, OTHER))
    back = LocalStore(tmp_path / "back")
    with TarLayout(path) as layout:
        for name in (NAME, OTHER):
            manifest = copy(layout, back, (name, name), CopyOptions(action="pull"))
            assert manifest.raw == source.resolve(name).raw
            for blob in manifest.blobs:
                assert back.read(blob, 10**6) == source.read(blob, 10**6)


def test_the_same_models_give_the_same_bytes(source, tmp_path):
    first = saved(source, NAME, OTHER)
    again = LocalStore(tmp_path / "again")
    for name in (OTHER, NAME):
        copy(source, again, (name, name), HOW)
    assert saved(again, NAME, OTHER) == first


def test_the_index_comes_last_and_each_blob_once(source):
    with tarfile.open(fileobj=io.BytesIO(saved(source, NAME, OTHER))) as tar:
        members = tar.getmembers()
    names = [member.name for member in members]
    assert names[:3] == ["oci-layout", "blobs", "blobs/sha256"]
    assert names[-1] == "index.json"
    assert len(set(names)) == len(names)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.mode for m in members if m.isfile()} == {0o644}


def test_what_tar_unpacks_is_a_layout(source, tmp_path):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "-xf", "-"], cwd=folder, input=saved(source, NAME), check=True)
    assert FolderLayout(folder).resolve(NAME).raw == source.resolve(NAME).raw


@pytest.mark.parametrize("style", ["gnu", "pax", "ustar"])
def test_what_tar_packed_is_read(source, tmp_path, style):
    layout = FolderLayout.create(tmp_path / "layout")
    copy(source, layout, (NAME, NAME), HOW)
    path = tmp_path / "x.tar"
    words = ["tar", f"--format={style}", "-cf", path, "-C", layout.root, "."]
    subprocess.run(words, check=True)
    with TarLayout(path) as tar:
        assert tar.resolve(NAME).raw == source.resolve(NAME).raw
        with tar.open(source.resolve(NAME).layers[0]) as body:
            assert body.read() == b"a" * 300_000


def test_sizes_and_names_in_extended_headers_count(tmp_path):
    blob = Descriptor.of(b"x" * 700, "a/b")
    info = tarfile.TarInfo("ignored")
    info.pax_headers = {"path": f"blobs/sha256/{blob.digest.hex}", "size": "700", "mtime": "1.5"}
    path = tar_of(tmp_path / "x.tar", MARKER, (info, b"x" * 700), EMPTY, format=tarfile.PAX_FORMAT)
    with TarLayout(path) as layout, layout.open(blob) as body:
        assert body.read(1000) == b"x" * 700


@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_more_than_eight_gigabytes_are_found(tmp_path, style):
    info = tarfile.TarInfo(f"blobs/sha256/{'0' * 64}")
    info.size = 9 * limits.GiB
    path = tmp_path / "x.tar"
    with path.open("wb") as file:
        file.write(info.tobuf(style))
        file.seek(info.size, io.SEEK_CUR)
        for name, data in (MARKER, EMPTY):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.write(member.tobuf() + data + bytes(-len(data) % 512))
    with TarLayout(path) as layout:
        assert layout.models() == []
    path.unlink()


def test_threads_read_one_tar_side_by_side(source, tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(saved(source, NAME))
    seen = []
    with TarLayout(path) as layout:
        (blob, *_) = layout.resolve(NAME).layers

        def read():
            with layout.open(blob) as body:
                seen.append(b"".join(iter(lambda: body.read(1000), b"")))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [b"a" * 300_000] * 4


def test_a_part_can_be_read_again_from_its_beginning(source, tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(saved(source, NAME))
    with TarLayout(path) as layout, layout.open(layout.resolve(NAME).layers[1]) as body:
        assert (body.read(), body.read(), body.seek(0), body.read()) == (b"b", b"", 0, b"b")


def test_a_tar_with_damaged_bytes_is_never_finished(source, tmp_path):
    manifest = source.resolve(NAME)
    source.path(manifest.layers[0].digest).write_bytes(b"x" * 300_000)
    out = io.BytesIO()
    with pytest.raises(IntegrityError):
        copy(source, TarWriter(out), (NAME, NAME), HOW)
    path = tmp_path / "x.tar"
    path.write_bytes(out.getvalue())
    with pytest.raises((NotFoundError, InputError)), TarLayout(path) as layout:
        layout.resolve(NAME)


def test_a_manifest_without_its_blobs_gets_no_name(source):
    with pytest.raises(IntegrityError):
        TarWriter(io.BytesIO()).name(NAME, source.resolve(NAME))


def test_a_pipe_that_breaks_is_an_error_of_ours():
    class Broken(io.RawIOBase):
        """Takes nothing."""

        def write(self, _data):
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(StoreError, match="Broken pipe"):
        TarWriter(Broken())


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (special("blobs/x", tarfile.SYMTYPE), "link"),
        (special("blobs/x", tarfile.LNKTYPE), "link"),
        (special("blobs/x", tarfile.CHRTYPE), "link"),
        (special("blobs/x", tarfile.FIFOTYPE), "link"),
        (special("blobs/x", tarfile.GNUTYPE_SPARSE), "link"),
        (("/etc/passwd", b"x"), "outside"),
        (("../x", b"x"), "outside"),
        (("blobs/../../x", b"x"), "outside"),
        (("blobs//x", b"x"), "outside"),
        (("index.json", b"{}"), "twice"),
        (("./index.json", b"{}"), "twice"),
    ],
)
def test_what_has_no_place_in_a_layout_is_refused(tmp_path, member, why):
    path = tar_of(tmp_path / "x.tar", MARKER, EMPTY, member)
    with pytest.raises(InputError, match=why):
        TarLayout(path)


def test_a_member_beyond_the_end_of_the_file_is_refused(tmp_path):
    path = tar_of(tmp_path / "x.tar", MARKER, EMPTY)
    info = tarfile.TarInfo("blobs/x")
    info.size = 10**15
    path.write_bytes(path.read_bytes()[:2048] + info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(InputError, match="beyond the end"):
        TarLayout(path)


@pytest.mark.parametrize(
    "pax", [b"99 path=x\n", b"x path=y\n", b"9 path=xy", b"12 size=zzz\n", b"9 size=-1\n", b"\0"]
)
def test_a_damaged_extended_header_is_refused(tmp_path, pax):
    info = tarfile.TarInfo("PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(pax)
    raw = info.tobuf() + pax + bytes(-len(pax) % 512)
    raw += tarfile.TarInfo("x").tobuf() + bytes(1024)
    path = tmp_path / "x.tar"
    path.write_bytes(raw)
    with pytest.raises(InputError):
        TarLayout(path)


def test_an_extended_header_has_a_bound(tmp_path):
    info = tarfile.TarInfo("PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, limits.TAR_HEADER + 1
    path = tmp_path / "x.tar"
    path.write_bytes(info.tobuf() + bytes(2 * limits.TAR_HEADER))
    with pytest.raises(LimitError):
        TarLayout(path)


def test_members_have_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "TAR_MEMBERS", 5)
    path = tar_of(tmp_path / "x.tar", MARKER, EMPTY, *((f"a{i}", b"") for i in range(4)))
    with pytest.raises(LimitError, match="more than 5 members"):
        TarLayout(path)


@pytest.mark.parametrize("raw", [b"", b"\x1f\x8b" + b"x" * 600, b"x" * 100, bytes(10_240)])
def test_what_is_no_tar_is_refused(tmp_path, raw):
    path = tmp_path / "x.tar"
    path.write_bytes(raw)
    with pytest.raises(InputError, match="not a tar"):
        TarLayout(path)


def test_a_tar_of_something_else_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="not an OCI image layout"):
        TarLayout(tar_of(tmp_path / "x.tar", ("manifest.json", b"[]")))
    with pytest.raises(NotFoundError):
        TarLayout(tmp_path / "missing.tar")
    with pytest.raises(InputError):
        TarLayout(tmp_path)


def test_an_index_in_a_tar_is_read_within_bounds(tmp_path):
    path = tar_of(tmp_path / "x.tar", MARKER, ("index.json", bytes(limits.MANIFEST + 1)))
    with TarLayout(path) as layout, pytest.raises(LimitError):
        layout.index()


def test_names_are_kept_in_full(source):
    with tarfile.open(fileobj=io.BytesIO(saved(source, NAME, OTHER))) as tar:
        file = tar.extractfile("index.json")
        assert file is not None
        entries = json.load(file)["manifests"]
    assert [e["annotations"]["org.opencontainers.image.ref.name"] for e in entries] == [
        "ghcr.io/team/model:1",
        "other:2",
    ]
