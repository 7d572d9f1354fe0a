"""What of a repository nobody needs any more: decided with values, without files or clocks.

A manifest needs its config and layers, an index its manifests. Whatever is young stays: a push
brings blobs before the manifest that needs them, and manifests before their index. What refers to
a subject stays whether or not the subject is there, as the specification has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelpack.server.registry.names import ContentDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one stored manifest keeps alive."""

    blobs: frozenset[ContentDigest] = frozenset()
    manifests: frozenset[ContentDigest] = frozenset()
    refers: bool = False
    """It has a subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a repository has; times are when each was last pushed, mounted or asked for."""

    manifests: Mapping[ContentDigest, Kept]
    pushed: Mapping[ContentDigest, float]
    """When each manifest came."""
    tagged: frozenset[ContentDigest]
    blobs: Mapping[ContentDigest, float]
    """The blobs, each with when it came."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """What can go."""

    manifests: frozenset[ContentDigest]
    blobs: frozenset[ContentDigest]

    def __bool__(self) -> bool:
        return bool(self.manifests or self.blobs)


def garbage_of(holdings: Holdings, before: float, *, untagged: bool) -> Garbage:
    """Return what came before the time *before* and is needed by nothing that stays.

    Manifests go only with *untagged*.
    """
    manifests = _unnamed(holdings, before) if untagged else frozenset()
    needed: set[ContentDigest] = set()
    for digest, manifest in holdings.manifests.items():
        if digest not in manifests:
            needed |= manifest.blobs
    old = (digest for digest, since in holdings.blobs.items() if since < before)
    return Garbage(manifests, frozenset(digest for digest in old if digest not in needed))


def _unnamed(holdings: Holdings, before: float) -> frozenset[ContentDigest]:
    reached: set[ContentDigest] = set()
    todo = [
        digest
        for digest, manifest in holdings.manifests.items()
        if digest in holdings.tagged or manifest.refers or holdings.pushed[digest] >= before
    ]
    while todo:
        digest = todo.pop()
        manifest = holdings.manifests.get(digest)
        if manifest is not None and digest not in reached:
            reached.add(digest)
            todo += manifest.manifests
    return frozenset(holdings.manifests.keys() - reached)
