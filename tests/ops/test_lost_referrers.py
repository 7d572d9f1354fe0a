"""What `push` and `save` do about signatures that the store has damaged or lost: they say so."""

from __future__ import annotations

import pytest
from fakes.models import build_model, context_at
from support.models import sign

from modelpack.content.layout import FolderLayout
from modelpack.content.tarball import TarLayout
from modelpack.errors import StoreError
from modelpack.oci.digest import Digest
from modelpack.ops.archive import save
from modelpack.ops.push import push
from modelpack.registry.referrers import ReferringRepository
from modelpack.server.registry import RegistrySettings, running


@pytest.fixture
def context(tmp_path):
    return context_at(tmp_path)


@pytest.fixture
def model(context, tmp_path):
    return build_model(context, tmp_path, "tiny")


@pytest.fixture
def host(tmp_path):
    with running(RegistrySettings(root=tmp_path / "registry", listen="127.0.0.1:0")) as url:
        yield url.removeprefix("http://")


@pytest.fixture
def sound(context, model):
    return sign(context.store, model, b"one")


@pytest.fixture
def other(context, model):
    return sign(context.store, model, b"two")


def manifest_damaged(context, lost):
    path = context.store.layout.referrer(lost.subject.digest, lost.digest)
    path.write_bytes(lost.raw.replace(b"layers", b"Layers"))


def manifest_of_another(context, lost):
    context.store.layout.referrer(lost.subject.digest, lost.digest).write_bytes(b"{}")


def blob_damaged(context, lost):
    context.store.path(lost.layers[0].digest).write_bytes(b"tWo")


def blob_cut_off(context, lost):
    context.store.path(lost.layers[0].digest).write_bytes(b"t")


def blob_missing(context, lost):
    context.store.path(lost.layers[0].digest).unlink()


LOSSES = [manifest_damaged, manifest_of_another, blob_damaged, blob_cut_off, blob_missing]


def sent(context, form, tmp_path, host, report) -> set[Digest]:
    """Send the model somewhere, and return what refers to it there."""
    if form == "registry":
        name = f"{host}/team/tiny:v1"
        _, manifest = push(context, "tiny", name, report)
        with ReferringRepository(context.parse(name), context.connection(host)) as repository:
            return {entry.digest for entry in repository.referrers(manifest.digest)}
    ((_, manifest),) = save(context, ["tiny"], tmp_path / form, report)
    if form == "folder":
        place = FolderLayout(tmp_path / form)
        return {entry.digest for entry in place.referrers(manifest.digest)}
    with TarLayout(tmp_path / form) as tar:
        return {entry.digest for entry in tar.referrers(manifest.digest)}


@pytest.mark.parametrize("form", ["registry", "folder", "x.tar"])
@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_signature_stays_behind_with_a_warning(
    context, model, sound, other, tmp_path, host, form, lose
):
    lose(context, other)
    said = []
    assert sent(context, form, tmp_path, host, said.append) == {sound.digest}
    (warning,) = (event.item for event in said if event.action == "warning")
    assert str(other.digest) in warning
    assert str(model.digest) in warning
    assert "fsck --repair" in warning


@pytest.mark.parametrize("form", ["registry", "folder", "x.tar"])
def test_what_is_sound_goes_without_a_warning(context, model, sound, other, tmp_path, host, form):
    said = []
    assert sent(context, form, tmp_path, host, said.append) == {sound.digest, other.digest}
    assert not [event for event in said if event.action == "warning"]


def test_where_nobody_can_tell_what_refers_to_a_model_nothing_is_saved(
    context, model, sound, tmp_path, monkeypatch
):
    folder = context.store.layout.referrers_of(model.digest)
    iterdir = type(folder).iterdir

    def shut(path):
        if path == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(type(folder), "iterdir", shut)
    with pytest.raises(StoreError, match="Permission denied"):
        save(context, ["tiny"], tmp_path / "x.tar")
    assert not (tmp_path / "x.tar").exists()
