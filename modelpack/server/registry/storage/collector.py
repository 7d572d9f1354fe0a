"""The collector: takes from the registry's folder what `garbage` says, while requests go on.

It looks without a lock, decides, then holds `changing` for short steps, and in each looks and
decides again before it removes anything. A manifest never changes, so that only those that came
meanwhile are read then. Files leave by rename and are deleted outside the lock: whoever reads one
reads it to its end.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from modelpack.server.registry import errors
from modelpack.server.registry.facts import ManifestFacts
from modelpack.server.registry.names import ContentDigest, check_repository
from modelpack.server.registry.settings import STALE_TEMPORARY_S, STALE_UPLOAD_S
from modelpack.server.registry.storage.blobs import Blobs
from modelpack.server.registry.storage.garbage import Garbage, Holdings, Kept, garbage_of
from modelpack.server.registry.storage.layout import Layout, flat, unflat
from modelpack.server.registry.storage.manifests import Manifests
from modelpack.server.registry.storage.referrers import Referrers

_AT_A_TIME = 64
"""Blobs that are removed in one step under the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What may go, as seen at the time `now`."""

    now: float
    grace_s: float
    """Whatever came less than so many seconds ago stays."""
    untagged: bool = False
    """Manifests without a tag, an index or a subject go too."""
    dry_run: bool = False


@dataclass(slots=True)
class Collected:
    """What went, or would."""

    blobs: list[tuple[str, ContentDigest]] = field(default_factory=list)
    """Repository and blob; the repository is empty for content that none has."""
    contents: dict[ContentDigest, int] = field(default_factory=dict)
    """The blobs that no repository has any more, with their sizes."""
    manifests: list[tuple[str, ContentDigest]] = field(default_factory=list)
    unfinished: dict[Path, int] = field(default_factory=dict)
    """Uploads and temporary files that nobody will finish, with their sizes."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Repositories of which nothing is removed, because something there cannot be read; why."""

    @property
    def freed(self) -> int:
        """Bytes of contents and unfinished files."""
        return sum(self.contents.values()) + sum(self.unfinished.values())


def collect(layout: Layout, policy: Policy, going_on: Callable[[], bool]) -> Collected:
    """Remove what nobody needs, or only tell; end early where *going_on* says no."""
    return _Collecting(layout, policy, going_on).run()


class _Collecting:
    """One collection."""

    def __init__(self, layout: Layout, policy: Policy, going_on: Callable[[], bool]) -> None:
        self._layout = layout
        self._policy = policy
        self._going_on = going_on
        self._before = policy.now - policy.grace_s
        self._blobs = Blobs(layout)
        self._manifests = Manifests(layout, self._blobs, Referrers(layout))
        self._read: dict[Path, Kept] = {}
        self._collected = Collected()

    def run(self) -> Collected:
        """Do it."""
        owned, ownerless = self._survey()
        names = {*owned, *(n for n in self._layout.repositories() if self._policy.untagged)}
        taken: dict[ContentDigest, set[str]] = {}
        for name in sorted(names):
            if not self._going_on():
                return self._collected
            self._read.clear()
            try:
                self._repository(name, owned.get(name, set()), taken)
            except (errors.RefusedError, OSError) as error:
                self._collected.skipped[name] = str(error)
        for digest in ownerless:
            self._ownerless(digest)
        if self._policy.dry_run:
            self._foresee(owned, taken)
        self._unfinished(self._layout.root.glob("uploads/*/*"), STALE_UPLOAD_S)
        self._unfinished(self._layout.root.glob("temporary/*"), STALE_TEMPORARY_S)
        return self._collected

    def _survey(self) -> tuple[dict[str, set[ContentDigest]], list[ContentDigest]]:
        """Return the blobs of each repository, and those that none has."""
        owned: dict[str, set[ContentDigest]] = {}
        ownerless: list[ContentDigest] = []
        for folder in (self._layout.root / "blobs").glob("*/*/*"):
            digest = _digest_of(folder.parent.parent.name, folder.name)
            if digest is None:
                continue
            owners = [unflat(path.name) for path in _children(folder / "in")]
            for name in owners:
                owned.setdefault(name, set()).add(digest)
            if not owners:
                ownerless.append(digest)
        return owned, ownerless

    def _repository(
        self, name: str, blobs: set[ContentDigest], taken: dict[ContentDigest, set[str]]
    ) -> None:
        check_repository(name)
        garbage = self._decide(name, blobs)
        if self._policy.dry_run:
            self._collected.manifests += [(name, digest) for digest in sorted(garbage.manifests)]
            self._collected.blobs += [(name, digest) for digest in sorted(garbage.blobs)]
            for digest in garbage.blobs:
                taken.setdefault(digest, set()).add(name)
            return
        for batch in _batches(sorted(garbage.manifests)):
            self._remove(name, batch)
        for batch in _batches(sorted(garbage.blobs)):
            if not self._going_on():
                return
            self._take(name, batch)

    def _decide(self, name: str, blobs: Iterable[ContentDigest]) -> Garbage:
        holdings = self._look(name, blobs)
        return garbage_of(holdings, self._before, untagged=self._policy.untagged)

    def _look(self, name: str, blobs: Iterable[ContentDigest]) -> Holdings:
        kept: dict[ContentDigest, Kept] = {}
        pushed: dict[ContentDigest, float] = {}
        for path in _grandchildren(self._layout.repository(name) / "manifests"):
            digest = _digest_of(path.parent.name, path.name)
            if digest is not None:
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    pushed[digest] = path.stat().st_mtime
                    kept[digest] = self._kept(path, digest)
        marks: dict[ContentDigest, float] = {}
        for digest in blobs:
            with contextlib.suppress(FileNotFoundError):
                mark = self._layout.blob(digest) / "in" / flat(name)
                marks[digest] = mark.stat().st_mtime
        tagged = self._manifests.tagged(name) if self._policy.untagged else frozenset()
        return Holdings(manifests=kept, pushed=pushed, tagged=tagged, blobs=marks)

    def _kept(self, path: Path, digest: ContentDigest) -> Kept:
        known = self._read.get(path)
        if known is None:
            raw = path.read_bytes()
            if ContentDigest.of(raw, digest.algorithm) != digest:
                raise errors.manifest_invalid(f"the manifest {digest} is damaged")
            facts = ManifestFacts.parse(raw)
            known = self._read[path] = Kept(
                blobs=facts.blobs | facts.optional,
                manifests=facts.manifests,
                refers=facts.subject is not None,
            )
        return known

    def _remove(self, name: str, batch: list[ContentDigest]) -> None:
        with self._layout.changing:
            for digest in sorted(self._decide(name, ()).manifests.intersection(batch)):
                self._manifests.remove(name, digest)
                self._collected.manifests.append((name, digest))

    def _take(self, name: str, batch: list[ContentDigest]) -> None:
        moved: list[Path] = []
        with self._layout.changing:
            for digest in sorted(self._decide(name, batch).blobs):
                size = _size(self._layout.blob(digest) / "data")
                content = self._blobs.take(name, digest)
                self._collected.blobs.append((name, digest))
                if content is not None:
                    self._collected.contents[digest] = size
                    moved.append(content)
        for path in moved:
            path.unlink(missing_ok=True)

    def _ownerless(self, digest: ContentDigest) -> None:
        folder = self._layout.blob(digest)
        with self._layout.changing:
            if any(_children(folder / "in")) or not _is_older(folder / "data", self._before):
                return
            self._collected.blobs.append(("", digest))
            self._collected.contents[digest] = _size(folder / "data")
            content = None if self._policy.dry_run else self._blobs.set_aside(digest)
        if content is not None:
            content.unlink(missing_ok=True)

    def _foresee(
        self, owned: dict[str, set[ContentDigest]], taken: dict[ContentDigest, set[str]]
    ) -> None:
        """Say of which blobs the content would go: those that nobody keeps."""
        for digest, names in taken.items():
            if not any(digest in held for name, held in owned.items() if name not in names):
                self._collected.contents[digest] = _size(self._layout.blob(digest) / "data")

    def _unfinished(self, files: Iterable[Path], keep_s: float) -> None:
        for path in files:
            with self._layout.changing:  # who adds to an upload makes it young under this lock
                if not _is_older(path, self._policy.now - keep_s):
                    continue
                size, aside = _size(path), self._layout.root / "temporary" / secrets.token_hex(16)
                if not self._policy.dry_run:
                    path.replace(aside)
            aside.unlink(missing_ok=True)
            self._collected.unfinished[path] = size


def _batches(items: list[ContentDigest]) -> Iterator[list[ContentDigest]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, _AT_A_TIME)):
        yield batch


def _digest_of(algorithm: str, digits: str) -> ContentDigest | None:
    try:
        return ContentDigest.parse(f"{algorithm}:{digits}")
    except errors.RefusedError:
        return None


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _grandchildren(folder: Path) -> list[Path]:
    """Return what lies in the folders of *folder*; unlike a glob, raise where one is shut."""
    return [path for child in _children(folder) for path in _children(child)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_older(path: Path, time: float) -> bool:
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mtime < time
