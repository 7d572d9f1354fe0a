"""`pull --verify`: what is in the store already has to be sound, not only of the right size."""

from __future__ import annotations

import pytest
from fakes.models import WEIGHTS, context_at
from support.models import assert_sound

from modelpack import limits
from modelpack.ops.pull import pull


@pytest.fixture
def context(registry, tmp_path):
    context = context_at(tmp_path)
    pull(context, f"{registry.host}/team/tiny:v1")
    registry.seen.clear()
    return context


def weights_of(context):
    return next(p for p in context.store.layout.blobs.iterdir() if p.stat().st_size > 1_000)


def damage(context) -> None:
    weights_of(context).write_bytes(WEIGHTS.replace(b"w", b"v", 1))


def test_a_damaged_blob_of_the_right_size_is_fetched_anew(registry, context):
    damage(context)
    said = []
    pull(context, f"{registry.host}/team/tiny:v1", said.append, verify=True)
    assert weights_of(context).read_bytes() == WEIGHTS
    assert any("is damaged here" in event.item for event in said)
    assert_sound(context.store.layout.root)


def test_a_big_one_is_fetched_anew_in_ranges(registry, context, monkeypatch):
    monkeypatch.setattr(limits, "RANGES_FROM", 1_000)
    damage(context)
    pull(context, f"{registry.host}/team/tiny:v1", verify=True)
    assert weights_of(context).read_bytes() == WEIGHTS


def test_sound_blobs_are_hashed_and_not_fetched(registry, context):
    said = []
    pull(context, f"{registry.host}/team/tiny:v1", said.append, verify=True)
    assert registry.asked("GET", "/blobs/") == []
    assert {event.action for event in said if event.item.startswith("sha256:")} == {"hash", "pull"}


def test_without_it_the_size_is_enough(registry, context):
    damage(context)
    pull(context, f"{registry.host}/team/tiny:v1")
    assert registry.asked("GET", "/blobs/") == []
