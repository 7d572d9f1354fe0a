"""Check a store: every blob is hashed again, every manifest compared with its blobs.

What is wrong is decided by `judge` from values; `examine` reads. Neither changes anything.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from modelpack import limits
from modelpack.content.base import Advance
from modelpack.errors import StoppedError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.progress import Event, Report, silent
from modelpack.store.paths import Layout
from modelpack.store.referrers import Referrer, divide

Kind: TypeAlias = Literal["damaged", "unreadable", "missing"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a blob is like on the disk."""

    size: int
    problem: str = ""
    """Why it is not known to be what its name says; empty where it is."""
    kind: Kind = "damaged"
    """Which sort of problem; what cannot be read may be sound."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One blob that is not as it should be."""

    kind: Kind | Literal["size"]
    """`size`: the blob is what its name says, but a manifest promises another size."""
    blob: Descriptor
    """As a manifest describes it, or as it lies there where none does."""
    problem: str
    models: tuple[str, ...]
    """The names that need it."""
    subject: Digest | None = None
    """What it refers to, where it is no blob but the manifest of a referrer."""

    def __str__(self) -> str:
        needed = ", needed by " + ", ".join(self.models) if self.models else ", no model needs it"
        return f"{self.blob.digest} {self.problem}{needed}"


def judge(
    needs: Mapping[str, Iterable[Descriptor]], conditions: Mapping[Digest, Condition]
) -> list[Trouble]:
    """Return what is wrong with the blobs that names need, and with any other that was examined."""
    users_of: dict[tuple[Digest, int], dict[str, Descriptor]] = {}
    for name, blobs in needs.items():
        for blob in blobs:
            users_of.setdefault((blob.digest, blob.size), {})[name] = blob
    found: list[Trouble] = []
    for (digest, _), users in users_of.items():
        trouble = _trouble(next(iter(users.values())), conditions.get(digest), tuple(users))
        if trouble is not None:
            found.append(trouble)
    needed = {digest for digest, _ in users_of}
    for digest, condition in conditions.items():
        if condition.problem and condition.kind != "missing" and digest not in needed:
            blob = Descriptor("", digest, condition.size)
            found.append(Trouble(condition.kind, blob, condition.problem, ()))
    return sorted(found, key=lambda trouble: trouble.blob.digest)


def lost(named: Mapping[str, Digest], referrers: Iterable[Referrer]) -> list[Trouble]:
    """Return what is wrong with those of *referrers* that are about names, with digests *named*."""
    users_of: dict[Referrer, list[str]] = {}
    for name, digest in named.items():
        for referrer in divide((digest,), referrers)[0]:
            if referrer.manifest is None:
                users_of.setdefault(referrer, []).append(name)
    return [
        Trouble(
            "unreadable" if referrer.shut else "damaged",
            Descriptor("", referrer.digest, 0),
            f"refers to {referrer.subject} and {referrer.problem}",
            tuple(users),
            referrer.subject,
        )
        for referrer, users in users_of.items()
    ]


def examine(
    layout: Layout, blobs: Mapping[Digest, int], report: Report = silent
) -> dict[Digest, Condition]:
    """Hash the files *blobs* (with their sizes), as many at a time as there are cores."""
    counter = _Counter(sum(blobs.values()), report)
    largest_first = sorted(blobs, key=lambda digest: (-blobs[digest], digest))
    workers = max(1, min(os.cpu_count() or 1, 32))
    with ThreadPoolExecutor(workers, "fsck") as pool:
        try:
            found = pool.map(
                lambda d: condition_of(layout.blob(d), d, counter.advance), largest_first
            )
            conditions = dict(zip(largest_first, found, strict=True))
        except BaseException:
            counter.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    counter.end()
    return conditions


def condition_of(path: Path, digest: Digest, advance: Advance = lambda _count: None) -> Condition:
    """Hash the file *path*, which should be *digest*; *advance* hears of bytes that were read."""
    seen, size, untold = hashlib.sha256(), 0, 0
    block = bytearray(limits.BLOCK)
    view = memoryview(block)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Condition(0, "cannot be read: not a file", "unreadable")
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(block):
                seen.update(view[:count])
                size += count
                untold += count
                if untold >= limits.TELL_EVERY:
                    advance(untold)
                    untold = 0
    except FileNotFoundError:
        return Condition(0, "is missing", "missing")
    except OSError as error:
        return Condition(size, f"cannot be read: {error.strerror}", "unreadable")
    advance(untold)
    if seen.hexdigest() == digest.hex:
        return Condition(size)
    return Condition(size, f"is damaged: its bytes have the digest sha256:{seen.hexdigest()[:12]}…")


def _trouble(
    blob: Descriptor, condition: Condition | None, models: tuple[str, ...]
) -> Trouble | None:
    if condition is None:
        return Trouble("missing", blob, "is missing", models)
    if condition.problem:
        return Trouble(condition.kind, blob, condition.problem, models)
    if condition.size != blob.size:
        problem = f"has {condition.size:,} bytes, but the manifest says {blob.size:,}"
        return Trouble("size", blob, problem, models)
    return None


class _Counter:
    """The bytes that all threads together have hashed."""

    def __init__(self, total: int, report: Report) -> None:
        self._total = total
        self._report = report
        self._done = 0
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def advance(self, count: int) -> None:
        """Count *count* bytes more."""
        if self.stopped.is_set():
            raise StoppedError("the check was ended")
        with self._lock:
            self._done += count
            self._say()

    def end(self) -> None:
        """Say that there is no more to come."""
        self._say(done=True)

    def _say(self, *, done: bool = False) -> None:
        self._report(
            Event(
                action="hash",
                item="blobs",
                total=self._total,
                completed=self._total if done else min(self._done, self._total),
                done=done,
            )
        )
