"""The client against registries that others use too."""

from __future__ import annotations

import io
import shutil
import subprocess

import pytest
from fakes.debian import docker_registry
from fakes.models import build_model, context_at, files_in
from support.models import LAYERED, leftovers

from modelpack.errors import AuthenticationError, IntegrityError, NotFoundError, RegistryError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.reference import Reference
from modelpack.ops.login import login, logout
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.progress import TOTAL
from modelpack.server.registry import RegistrySettings, running


def repo(request):
    """A repository of its own for each test, since registries are shared."""
    return f"tests/{request.node.name.split('[')[0].replace('_', '-')}"


def test_a_layered_model_makes_the_round_trip(real, here, there, tmp_path, request):
    built = build_model(here, tmp_path, "tiny", cut=LAYERED)
    name = f"{real}/deeply/nested/{repo(request)}:v1"
    push(here, "tiny", name)
    _, pulled = pull(there, name)
    assert pulled.raw == built.raw
    for blob in pulled.blobs:
        there_file, here_file = (c.store.path(blob.digest) for c in (there, here))
        assert there_file.read_bytes() == here_file.read_bytes()
    assert leftovers(there.store.layout.root) == []


def test_a_second_push_finds_everything_there(real, here, tmp_path, request):
    build_model(here, tmp_path, "tiny", cut=LAYERED)
    name = f"{real}/{repo(request)}"
    notes = []
    push(here, "tiny", f"{name}:v1", lambda event: notes.append(event.note))
    assert set(notes) == {""}
    notes.clear()
    push(here, "tiny", f"{name}:v2", lambda e: e.done and e.item != TOTAL and notes.append(e.note))
    assert set(notes) == {"exists"}


def test_a_digest_is_pulled(real, here, there, tmp_path, request):
    built = build_model(here, tmp_path, "tiny")
    push(here, "tiny", f"{real}/{repo(request)}:v1")
    _, pulled = pull(there, f"{real}/{repo(request)}@{built.digest}")
    assert pulled.raw == built.raw


def test_a_blob_is_there_after_it_was_put(real, here, request):
    blob = Descriptor.of(b"weights", "application/x")
    with here.repository(Reference.parse(f"{real}/{repo(request)}")) as repository:
        assert not repository.has(blob)
        repository.put(blob, io.BytesIO(b"weights"), lambda _count: None)
        assert repository.has(blob)
        with repository.open(blob) as body:
            assert body.read() == b"weights"


def test_other_bytes_than_promised_are_refused_by_the_registry(real, here, tmp_path, request):
    blob = Descriptor.of(b"weights", "application/x")
    (tmp_path / "file").write_bytes(b"heights")
    with here.repository(Reference.parse(f"{real}/{repo(request)}")) as repository:
        with (
            (tmp_path / "file").open("rb", buffering=0) as body,
            pytest.raises(RegistryError, match=r"400.*DIGEST_INVALID"),
        ):
            repository.put(blob, body, lambda _count: None)
        assert not repository.has(blob)


def test_other_bytes_than_promised_are_noticed_where_they_are_no_file(real, here, request):
    blob = Descriptor.of(b"weights", "application/x")
    with here.repository(Reference.parse(f"{real}/{repo(request)}")) as repository:
        with pytest.raises(IntegrityError, match="sent bytes with the digest"):
            repository.put(blob, io.BytesIO(b"heights"), lambda _count: None)
        assert not repository.has(blob)


@pytest.mark.parametrize("tail", [":missing", f"@sha256:{'0' * 64}"])
def test_a_model_that_is_not_there_is_not_found(real, there, request, tail):
    with pytest.raises(NotFoundError, match="does not have model"):
        pull(there, f"{real}/{repo(request)}{tail}")
    assert files_in(there) == []


@pytest.fixture(params=["embedded", pytest.param("debian", marks=pytest.mark.registry)])
def guarded(request, tmp_path):
    """The `host:port` of a registry that lets in only `ann`, whose password is `s3cret`."""
    program = shutil.which("htpasswd")
    if program is None:
        pytest.skip("htpasswd is not installed")
    users = tmp_path / "htpasswd"
    subprocess.run([program, "-cbB", "-C", "4", users, "ann", "s3cret"], check=True,
                   capture_output=True)  # fmt: skip
    if request.param == "debian":
        with docker_registry(tmp_path / "debian", users) as host:
            yield host
        return
    settings = RegistrySettings(root=tmp_path / "served", listen="127.0.0.1:0", htpasswd=users)
    with running(settings) as base:
        yield base.removeprefix("http://")


def test_a_guarded_registry_wants_a_login(guarded, here, there, tmp_path):
    built = build_model(here, tmp_path, "tiny")
    name = f"{guarded}/team/tiny:v1"
    with pytest.raises(AuthenticationError) as caught:
        push(here, "tiny", name)
    assert caught.value.hint == f"modelpack login {guarded}"
    with pytest.raises(AuthenticationError):
        login(here, guarded, "ann", "wrong")
    login(here, guarded, "ann", "s3cret")
    push(here, "tiny", name)
    _, pulled = pull(there, name)
    assert pulled.raw == built.raw
    assert logout(here, guarded)
    with pytest.raises(AuthenticationError):
        pull(context_at(tmp_path / "third"), name)
