"""What is killed at any moment, how often, and what a store must be like afterwards.

MODELPACK_KILLS sets how often all kill tests kill together, MODELPACK_KILL_SEED when.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

from support.models import assert_sound, blob_names, context_in, leftovers

from modelpack import limits
from modelpack.builder.plan import Cut
from modelpack.ops.build import BuildOptions, build
from modelpack.ops.care import fsck
from modelpack.ops.context import Context
from modelpack.ops.models import remove
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.store.gc import RESUMABLE_S, collect

KILLS = int(os.environ.get("MODELPACK_KILLS", "200"))
SEED = os.environ.get("MODELPACK_KILL_SEED", "1")
SMALL = {
    "RANGES_FROM": limits.BLOCK,
    "RANGE_PART": limits.BLOCK,
    "RANGE_BLOCK": 16 * limits.KiB,
    "JOURNAL_EVERY_S": 0.0,
    "UPLOADS_KEPT_FROM": 64 * limits.KiB,
    "SENT_PIECE": 64 * limits.KiB,
    "SENT_PIECES": 64 * limits.KiB,
    "RETRY_BASE_S": 0.001,
}
"""Limits with which a few megabytes are ranges, journals and uploads to go on with."""
WARM = (
    "support.kills", "modelpack.registry.referrers",
)  # fmt: skip
"""What the works import."""


def share_of(part: float) -> int:
    """Return how often the test kills whose share of all kills is *part*."""
    return max(2, round(KILLS * part))


def building(root: str, folder: str, seed: str) -> None:
    """Build, remove and prune without an end."""
    context = context_in(Path(root))
    for turn in itertools.count(int(seed)):
        name = ("a", "b", "both")[turn % 3]
        text = f"FROM {name}.gguf\nSYSTEM {turn}\n"
        tags = [name, f"x/{name}"]
        options = BuildOptions(context=Path(folder), tags=tags, cut=Cut(size=700_000))
        build(context, text.encode(), options)
        if turn % 2:
            remove(context, [name])
        else:
            context.store.layout.manifest(context.parse(f"x/{name}")).unlink()
        prune_later(context)


def pulling(root: str, seed: str, *names: str) -> None:
    """Pull and remove the models *names* without an end."""
    _be_small()
    context = context_in(Path(root))
    for turn in itertools.count(int(seed)):
        name = names[turn % len(names)]
        pull(context, name)
        remove(context, [name])


def pushing(root: str, home: str, model: str, place: str) -> None:
    """Push *model* to one new repository below *place* after the other."""
    _be_small()
    context = context_in(Path(root), HOME=home)
    for turn in itertools.count():
        push(context, model, f"{place}/{turn}:v1")


def _be_small() -> None:
    for name, value in SMALL.items():
        setattr(limits, name, value)


def prune_later(context: Context) -> None:
    """Prune as if it were long after."""
    collect(context.store.layout, time.time() + 2 * RESUMABLE_S, dry_run=False)


def assert_undamaged(context: Context, where: str) -> None:
    """Check that nothing visible in the store is damaged or strange."""
    checkup = fsck(context)
    assert (checkup.troubles, checkup.unreadable, checkup.foreign) == ((), (), ()), where
    assert_sound(context.store.layout.root)


def assert_nothing_stays(context: Context) -> None:
    """Check that a later prune leaves just what the names in the store need."""
    prune_later(context)
    needed = set()
    for entry in context.store.list(_unreadable):
        needed |= {f"sha256-{blob.digest.hex}" for blob in entry.manifest.blobs}
    root = context.store.layout.root
    assert blob_names(root) == needed
    assert leftovers(root) == []
    assert_sound(root)


def _unreadable(warning: str) -> None:
    raise AssertionError(warning)
