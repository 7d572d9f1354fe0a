"""The abilities of a store of content, as small protocols.

The local store and a remote repository have the same four abilities: they give and take blobs,
and they give and take manifests under a name. Whatever only some can do is a protocol of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from modelpack.content.ranges import Ledger, Span
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference

Advance: TypeAlias = Callable[[int], None]
"""Called with the number of bytes that have moved since the last call."""


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most *size* bytes, empty at the end."""
        ...


@runtime_checkable
class Pouring(Protocol):
    """Optional: a stream that reads into memory of the caller's."""

    def readinto(self, room: memoryview, /) -> int:
        """Put what comes next into *room*; return how many bytes, 0 at the end."""
        ...


@runtime_checkable
class Seekable(Protocol):
    """Optional: a stream that can be read again from any byte on."""

    def seek(self, offset: int, /) -> int:
        """Go to the byte *offset*."""
        ...


@runtime_checkable
class Sent(Protocol):
    """Optional: a stream that knows who sends it, for errors."""

    origin: str
    """Such as the host of a registry."""


class BlobSource(Protocol):
    """Gives blobs."""

    def open(self, blob: Descriptor) -> AbstractContextManager[Readable]:
        """Open *blob* for reading; what comes is not verified yet."""
        ...


class BlobSink(Protocol):
    """Takes blobs."""

    def has(self, blob: Descriptor) -> bool:
        """Tell whether *blob* is there already."""
        ...

    def put(self, blob: Descriptor, body: Readable, advance: Advance) -> None:
        """Take *blob*; a reader sees all of it, verified, or none of it.

        Raises:
            IntegrityError: *body* is not what *blob* promises.
        """
        ...


class ManifestSource(Protocol):
    """Gives manifests by name."""

    def resolve(self, reference: Reference) -> Manifest:
        """Return the manifest of *reference*, checked against its digest where one is said.

        Raises:
            NotFoundError: there is none.
        """
        ...


class ManifestSink(Protocol):
    """Takes manifests under a name."""

    def name(self, reference: Reference, manifest: Manifest) -> None:
        """Let *reference* name *manifest*, all of whose blobs are there."""
        ...


class Source(BlobSource, ManifestSource, Protocol):
    """A place to copy from."""


class Sink(BlobSink, ManifestSink, Protocol):
    """A place to copy to."""


@runtime_checkable
class Mounter(Protocol):
    """Optional: a sink that can take a blob over from another repository of its own."""

    def mount(self, blob: Descriptor) -> bool:
        """Take *blob* over without moving bytes, if that is possible."""
        ...


@runtime_checkable
class Continuing(Protocol):
    """Optional: a sink that can go on with a blob of which it has a part already."""

    def resume(self, blob: Descriptor) -> int:
        """Return how many bytes of *blob* need not be sent again by the `put` that follows."""
        ...


class UploadNote(Protocol):
    """What is remembered of one upload, so that a later process can go on with it."""

    @property
    def location(self) -> str:
        """Where it goes on; empty if nothing is known."""
        ...

    @property
    def kept(self) -> bool:
        """Whether it outlives this process."""
        ...

    def keep(self, location: str) -> None:
        """Remember where it goes on."""
        ...

    def forget(self) -> None:
        """Remember nothing: it is done, or was given up."""
        ...


class UploadJournal(Protocol):
    """Remembers uploads across processes."""

    def note(self, place: str, blob: Descriptor) -> AbstractContextManager[UploadNote]:
        """Have the note of the upload of *blob* to *place* (`host/repository`) for oneself."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """Optional: a source or sink whose transfers can be broken off from another thread."""

    def interrupt(self) -> None:
        """Let everything that is under way fail at once, and begin nothing more."""
        ...


@runtime_checkable
class RangeSource(Protocol):
    """Optional: a source that can give a part of a blob."""

    def open_range(
        self, blob: Descriptor, start: int, stop: int
    ) -> AbstractContextManager[Readable | None]:
        """Open the bytes from *start* up to *stop* of *blob*, which are not verified yet.

        Gives None where the other side has blobs only whole.
        """
        ...


class Filling(Protocol):
    """A part of a blob on its way into a store; one thread fills it."""

    def room(self) -> memoryview:
        """Return where the next bytes go; it is empty when all have come."""
        ...

    def filled(self, count: int) -> int:
        """Say that *count* bytes of the room were filled; return how many are handed on now."""
        ...


class Partial(Protocol):
    """A blob on its way into a store, whose parts may come in any order; threads may share it."""

    def begin(self) -> Ledger:
        """Make room for the blob and return what an earlier attempt left of it."""
        ...

    def lane(self, span: Span) -> AbstractContextManager[Filling]:
        """Fill *span*, from its beginning; what has come at the end is kept."""
        ...

    def is_starved(self) -> bool:
        """Tell whether more bytes could be taken than come."""
        ...

    def commit(self) -> bool:
        """Make the blob visible if all its bytes are there and are the right ones."""
        ...

    def clear(self) -> None:
        """Forget all bytes: what is there is wrong, or cannot be gone on with."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """Optional: a sink that takes blobs in parts, and keeps what came of one that broke off."""

    def partial(
        self, blob: Descriptor, waiting: Callable[[], None], *, anew: bool = False
    ) -> AbstractContextManager[Partial | None]:
        """Have *blob* for oneself, or get None if somebody else has brought it.

        Calls *waiting* again and again while somebody else is bringing it. *anew* is for a blob
        that is there and damaged.
        """
        ...


@runtime_checkable
class Checking(Protocol):
    """Optional: a sink that can read what it has."""

    def check(self, blob: Descriptor, advance: Advance) -> bool:
        """Tell whether *blob*, which is there, has the bytes that its digest promises."""
        ...


@runtime_checkable
class Vouching(Protocol):
    """Optional: a source that can read what it has before it gives it."""

    def vouch(self, blob: Descriptor) -> None:
        """Read *blob*, so that it can be given.

        Raises:
            IntegrityError: it is not what its digest promises, or not there.
        """
        ...


@runtime_checkable
class Bringing(Protocol):
    """Optional: a source that gives many small blobs sooner than one after the other."""

    def bring(self, blobs: Iterable[Descriptor], width: int) -> Iterator[tuple[Descriptor, bytes]]:
        """Yield those of *blobs* that come as they should, not verified yet, in any order.

        *width* of them are asked for at a time.
        """
        ...


@runtime_checkable
class Taking(Protocol):
    """Optional: a sink that takes many small blobs sooner than one after the other."""

    def look(self, blobs: Iterable[Descriptor], width: int) -> Iterator[tuple[Descriptor, bool]]:
        """Yield *blobs*, in any order, with whether each is there; not those that are in doubt."""
        ...

    def take(self, blobs: Iterable[tuple[Descriptor, bytes]], width: int) -> Iterator[Descriptor]:
        """Take *blobs*, and yield those that are what they should be and went in without trouble.

        They are all there for readers at the end.
        """
        ...


class Scratch(Protocol):
    """A blob on its way into a store, as a file that nobody else sees yet."""

    @property
    def path(self) -> Path:
        """The file to write; it exists and is empty."""
        ...

    def commit(self, digest: Digest) -> None:
        """Make the file durable and visible as the blob *digest*, which the caller computed.

        It takes the place of one that is there and has other bytes.
        """
        ...


class BlobFiles(Protocol):
    """A store whose blobs are files."""

    def path(self, digest: Digest) -> Path:
        """Return the file of a blob."""
        ...

    def scratch(self) -> AbstractContextManager[Scratch]:
        """Begin a blob whose digest is not known yet; gone at the end if not committed."""
        ...

    def add(self, data: bytes) -> Digest:
        """Store a small blob and return its digest."""
        ...
