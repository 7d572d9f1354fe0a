"""The local store as a place to copy from and to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from modelpack.content.base import Advance, Readable
from modelpack.content.referrers import chosen, described
from modelpack.content.verify import read_blob
from modelpack.errors import (
    InputError,
    IntegrityError,
    ManifestError,
    NotFoundError,
    StoreError,
)
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.store import locks
from modelpack.store.blobs import Blobs, ScratchFile
from modelpack.store.errors import store_errors
from modelpack.store.names import Entry, Listed, Names
from modelpack.store.partial import PartialFile, partial_file
from modelpack.store.paths import Layout
from modelpack.store.pulls import Pulls
from modelpack.store.referrers import Referrers, divide, needs_of

_REPAIR = "`modelpack fsck --repair` fetches it again, where its registry has it"


class LocalStore:
    """Blobs and names below one folder; implements the protocols of `modelpack.content.base`."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self._blobs = Blobs(self.layout)
        self._names = Names(self.layout)
        self._referrers = Referrers(self.layout)

    @property
    def identity(self) -> str:
        """What tells this store from others, on this machine and elsewhere; not where it lies."""
        machine = ""
        with suppress(OSError):
            machine = Path("/etc/machine-id").read_text().strip()
        place = f"{machine}:{os.uname().nodename}:{self.layout.root.resolve()}"
        return Digest.of(place.encode("utf-8", "surrogateescape")).short

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Hold off the collector while blobs are added that no name needs yet."""
        with locks.shared(self.layout.lock):
            yield

    @contextmanager
    def pulling(self) -> Iterator[Callable[[Manifest], None]]:
        """Be `adding`; yield what notes which manifest is pulled, so that a broken pull is kept."""
        with self.adding(), Pulls(self.layout).noting() as note:
            yield note

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold off the collector while blobs are read; a store that is read-only has none."""
        with ExitStack() as held:
            with suppress(StoreError):
                held.enter_context(locks.shared(self.layout.lock))
            yield

    def path(self, digest: Digest) -> Path:
        """Return the file of a blob."""
        return self._blobs.path(digest)

    def has(self, blob: Descriptor) -> bool:
        """Tell whether *blob* is there with the size it should have."""
        return self._blobs.has(blob)

    def open(self, blob: Descriptor) -> AbstractContextManager[Readable]:
        """Open *blob* for reading."""
        return self._blobs.open(blob)

    def read(self, blob: Descriptor, limit: int) -> bytes:
        """Return the whole of a small blob, verified."""
        with self._blobs.open(blob) as body:
            return read_blob(body, blob, limit=limit, origin="the local store")

    def put(self, blob: Descriptor, body: Readable, advance: Advance) -> None:
        """Store *body* as *blob*, verified before it becomes visible."""
        self._blobs.put(blob, body, advance)

    def look(self, blobs: Iterable[Descriptor], width: int) -> Iterator[tuple[Descriptor, bool]]:
        """Yield *blobs* with whether each is there."""
        del width
        return ((blob, self.has(blob)) for blob in blobs)

    def bring(self, blobs: Iterable[Descriptor], width: int) -> Iterator[tuple[Descriptor, bytes]]:
        """Yield the bytes of *blobs*, not verified yet."""
        del width
        for blob in blobs:
            with self._blobs.open(blob) as body:
                data = body.read(blob.size + 1)
            if len(data) == blob.size:
                yield blob, data

    def take(self, blobs: Iterable[tuple[Descriptor, bytes]], width: int) -> Iterator[Descriptor]:
        """Store *blobs*, and yield those that are what they should be."""
        del width
        with self._blobs.gathering() as gathering:
            for blob, data in blobs:
                if gathering.put(blob, data):
                    yield blob

    def partial(
        self, blob: Descriptor, waiting: Callable[[], None], *, anew: bool = False
    ) -> AbstractContextManager[PartialFile | None]:
        """Have *blob* for oneself, or get None if another process has brought it."""
        return partial_file(self.layout, blob, lambda: not anew and self.has(blob), waiting)

    def check(self, blob: Descriptor, advance: Advance) -> bool:
        """Tell whether *blob*, which is there, has the bytes that its digest promises."""
        from modelpack.store.fsck import condition_of

        return not condition_of(self._blobs.path(blob.digest), blob.digest, advance).problem

    def vouch(self, blob: Descriptor) -> None:
        """Read *blob*, so that it can be given.

        Raises:
            IntegrityError: it is damaged, missing, or cannot be read.
        """
        from modelpack.store.fsck import condition_of

        condition = condition_of(self._blobs.path(blob.digest), blob.digest)
        problem = condition.problem
        if not problem and condition.size != blob.size:
            problem = f"has {condition.size:,} bytes, and not {blob.size:,}"
        if problem:
            raise IntegrityError(f"blob {blob.digest} {problem}", hint=_REPAIR)

    def add(self, data: bytes) -> Digest:
        """Store a small blob and return its digest."""
        return self._blobs.add(data)

    def scratch(self) -> AbstractContextManager[ScratchFile]:
        """Begin a blob whose digest is not known yet."""
        return self._blobs.scratch()

    @contextmanager
    def spool(self) -> Iterator[BinaryIO]:
        """Yield a file for what must be read in another order than it comes; it has no name."""
        import tempfile

        with store_errors(self.layout):
            self.layout.ingest.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self.layout.ingest)  # noqa: SIM115 - just below
        with file:
            yield file

    def errors(self) -> AbstractContextManager[None]:
        """Turn what the file system says about the store into a `StoreError` with a hint."""
        return store_errors(self.layout)

    def remove_blob(self, digest: Digest) -> None:
        """Remove a blob that is not what its name says."""
        with store_errors(self.layout):
            self._blobs.path(digest).unlink(missing_ok=True)

    def find(self, reference: Reference) -> Entry | None:
        """Return what *reference* names, or None."""
        return self._names.read(reference)

    def resolve(self, reference: Reference) -> Manifest:
        """Return the manifest that *reference* names.

        Raises:
            NotFoundError: it names nothing here.
            ManifestError: it names what refers to a model, and is damaged.
        """
        entry = self._names.read(reference)
        if entry is not None:
            return entry.manifest
        referrer = self._referrers.find(reference.digest) if reference.digest else None
        if referrer is None:
            raise NotFoundError(f"model {str(reference)!r} is not in the store")
        if referrer.manifest is None:
            raise ManifestError(f"{referrer.path} {referrer.problem}", hint=_REPAIR)
        return referrer.manifest

    def name(self, reference: Reference, manifest: Manifest) -> None:
        """Let *reference* name *manifest*, all of whose blobs must be here.

        What refers to something and has no tag gets no name; it is found by what it refers to.
        """
        for blob in manifest.blobs:
            if not self._blobs.has(blob):
                raise IntegrityError(f"blob {blob.digest} of {reference} is not in the store")
        if manifest.blobs:
            self._blobs.sync()
        if manifest.subject is not None and not reference.tag:
            self._referrers.add(manifest.subject.digest, manifest)
        else:
            self._names.write(reference, manifest)

    def referrers(self, subject: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Return the manifests whose subject is *subject*, of one artifact type or of all.

        Those that cannot be read are among all of them; whoever wants one will hear of it.
        """
        found = self._referrers.of(subject)
        return chosen(
            (
                described(one.manifest) if one.manifest else Descriptor("", one.digest, 0)
                for one in found
            ),
            artifact_type,
        )

    def list(self, warn: Callable[[str], None]) -> Iterator[Entry]:
        """Yield every model that can be read; say to *warn* which files cannot."""
        return self._names.list(warn)

    def glance(self, warn: Callable[[str], None]) -> Iterator[Listed]:
        """Yield what a list shows of every model; say to *warn* which files cannot be read."""
        return self._names.glance(warn)

    def remove(self, references: Sequence[Reference]) -> int:
        """Forget *references*; return the bytes of blobs that nobody needs any more.

        Blobs stay when somebody is building or pulling, or when a name, or what refers to one,
        cannot be read: it might need them.
        """
        doomed: dict[Digest, int] = {}
        with locks.exclusive(self.layout.lock) as alone:
            for reference in references:
                try:
                    entry = self._names.read(reference)
                except InputError:  # a damaged manifest does not say what it needed
                    entry = None
                if entry is not None:
                    doomed.update((blob.digest, blob.size) for blob in entry.manifest.blobs)
                    Pulls(self.layout).forget(entry.manifest.digest)
                self._names.remove(entry.reference if entry else reference)
            return self._sweep(doomed) if alone else 0

    def _sweep(self, doomed: dict[Digest, int]) -> int:
        from modelpack.store.gc import unneeded

        doubts: list[str] = []
        named = [entry.manifest for entry in self._names.list(doubts.append)]
        referrers = self._referrers.all(lambda error: doubts.append(str(error)))
        if doubts:
            return 0
        living, dead = divide((manifest.digest for manifest in named), referrers)
        for manifest in needs_of(dead):
            doomed.update((blob.digest, blob.size) for blob in manifest.blobs)
        for referrer in dead:
            self._referrers.remove(referrer)
        if any(referrer.manifest is None for referrer in living):
            return 0
        free = unneeded(doomed, [*named, *needs_of(living)])
        for digest in free:
            self.remove_blob(digest)
        return sum(free.values())
