"""What an interrupted pull has brought stays until it goes on, or a week has passed."""

from __future__ import annotations

import os
import time

import pytest
from fakes.models import WEIGHTS, context_at, files_in
from fakes.registry import digest_of
from fakes.web import html
from support.models import add_blob, blob_names

from modelpack.errors import ModelPackError
from modelpack.ops.care import fsck, prune
from modelpack.ops.models import remove
from modelpack.ops.pull import pull
from modelpack.store.gc import RESUMABLE_S, collect


@pytest.fixture
def model(registry):
    return f"{registry.host}/team/tiny:v1"


@pytest.fixture
def context(tmp_path):
    return context_at(tmp_path)


@pytest.fixture
def brought(registry, context, model):
    """The blobs that a pull brought before it was interrupted: all but the weights."""
    for digest, data in registry.blobs.items():
        if digest != digest_of(WEIGHTS):
            context.store.add(data)
    registry.instead("GET", f"/blobs/{digest_of(WEIGHTS)}", html(502), times=1_000)
    with pytest.raises(ModelPackError):
        pull(context, model)
    registry.seen.clear()
    return blob_names(context.store.layout.root)


def prune_after(context, seconds, **how):
    return collect(context.store.layout, time.time() + seconds, dry_run=False, **how)


def test_a_prune_keeps_what_an_interrupted_pull_has_brought(registry, context, model, brought):
    stray = add_blob(context.store, b"stray").digest
    pruned = prune(context)
    assert (pruned.blobs, pruned.awaited > 0) == ({stray: 5}, True)
    assert blob_names(context.store.layout.root) == brought
    assert fsck(context).unreferenced == {}
    registry.healthy()
    pull(context, model)
    asked = {seen.path.rpartition("/")[2] for seen in registry.asked("GET", "/blobs/")}
    assert asked == {digest_of(WEIGHTS)}
    assert not context.store.layout.pulls.exists()


@pytest.mark.parametrize("how", [{"seconds": RESUMABLE_S + 60}, {"seconds": 0, "unfinished": True}])
def test_it_goes_after_a_week_or_when_that_is_asked_for(context, brought, how):
    assert len(prune_after(context, **how).blobs) == len(brought)
    assert files_in(context) == []


def test_it_stays_as_long_as_a_partial_file(context, brought):
    part = context.store.layout.ingest / f"sha256-{digest_of(WEIGHTS).removeprefix('sha256:')}.part"
    part.write_bytes(b"weights")
    later = time.time() + RESUMABLE_S
    os.utime(part, (later, later))
    assert prune_after(context, RESUMABLE_S + 60).blobs == {}
    assert len(prune_after(context, 2 * RESUMABLE_S + 60).blobs) == len(brought)


def test_a_model_that_was_removed_is_pruned_at_once(registry, context, model, brought):
    registry.healthy()
    pull(context, model)
    with context.store.adding():  # so that the blobs stay
        remove(context, [model])
    assert prune(context).awaited == 0
    assert files_in(context) == []


def test_a_pull_that_brought_nothing_leaves_nothing(registry, context, model):
    registry.instead("GET", "/blobs/", html(), times=1_000)
    with pytest.raises(ModelPackError):
        pull(context, model)
    assert files_in(context) == []


def test_a_damaged_note_keeps_nothing(context, brought):
    (note,) = context.store.layout.pulls.iterdir()
    note.write_bytes(b"{")
    assert len(prune(context).blobs) == len(brought)
    assert files_in(context) == []


def test_a_store_that_cannot_have_notes_is_pulled_into_all_the_same(context, model):
    context.store.layout.blobs.mkdir(parents=True)
    context.store.layout.pulls.write_text("in the way")
    pull(context, model)
    assert context.find(model)
