"""Read an OCI image layout, whatever its files lie in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from modelpack import limits
from modelpack.content.base import Readable
from modelpack.content.layout_index import INDEX, MARKER, LayoutIndex, blob_name, check_marker
from modelpack.content.referrers import chosen, described
from modelpack.content.verify import check_manifest, seek_in
from modelpack.errors import ManifestError, ModelPackError, NotFoundError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Index, Manifest, is_index
from modelpack.oci.reference import Reference

_NESTED = 3
_MARKER_SIZE = 4096


class LayoutFiles(Protocol):
    """The files of a layout, by their names below its root."""

    def read(self, name: str, limit: int) -> bytes:
        """Return the whole of a small file.

        Raises:
            NotFoundError: it is not there.
            LimitError: it is larger than *limit*.
        """
        ...

    def open(self, name: str) -> AbstractContextManager[Readable]:
        """Open a file for reading.

        Raises:
            NotFoundError: it is not there.
        """
        ...


class _Body:
    """A file of the layout *origin* as a stream."""

    def __init__(self, body: Readable, origin: str) -> None:
        self.origin = origin
        self._body = body

    def read(self, size: int = -1, /) -> bytes:
        return self._body.read(size)

    def seek(self, offset: int, /) -> int:
        """Go to *offset*, for an upload that begins again."""
        return seek_in(self._body, offset)


class LayoutSource:
    """An OCI image layout as a place to copy from; *where* names it in errors."""

    def __init__(self, files: LayoutFiles, where: str) -> None:
        self.where = self.origin = where
        self._files = files
        self._subjects: dict[Digest, tuple[Digest | None, Descriptor]] = {}
        try:
            check_marker(files.read(MARKER, _MARKER_SIZE), where)
        except NotFoundError:
            raise ManifestError(
                f"{where} is not an OCI image layout: it has no {MARKER} file"
            ) from None

    def index(self) -> LayoutIndex:
        """Return what the layout holds now."""
        return LayoutIndex.parse(self._files.read(INDEX, limits.MANIFEST), self.where)

    def models(self) -> list[tuple[str, Descriptor]]:
        """Return name and descriptor of every entry that is not about another one."""
        return [
            (name, entry)
            for name, entry in self.index().entries()
            if self._subject_of(entry)[0] is None
        ]

    def resolve(self, reference: Reference) -> Manifest:
        """Return the manifest of *reference*, following an index to the model in it.

        Raises:
            NotFoundError: the layout does not have it.
        """
        found = self._find(reference)
        for _ in range(_NESTED):
            raw = self._read(found.digest)
            if not is_index(raw, found.media_type):
                return Manifest.parse(raw, found.media_type)
            found = Index.parse(raw, found.media_type).choose()
        raise ManifestError(f"{reference} is an index within an index within an index")

    @contextmanager
    def open(self, blob: Descriptor) -> Iterator[Readable]:
        """Open *blob* for reading; the reader must verify it."""
        with self._files.open(blob_name(blob.digest)) as body:
            yield _Body(body, self.origin)

    def referrers(self, subject: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Return the manifests whose subject is *subject*, of one artifact type or of all."""
        known = (self._subject_of(entry) for _, entry in self.index().entries())
        return chosen((entry for about, entry in known if about == subject), artifact_type)

    def _find(self, reference: Reference) -> Descriptor:
        index = self.index()
        if reference.digest:
            known = index.holding(reference.digest)
            return known or Descriptor("", reference.digest, 0)
        found = index.named(reference.name)
        if found is None:
            raise NotFoundError(f"{self.where} does not have {reference}")
        return found

    def _read(self, digest: Digest) -> bytes:
        raw = self._files.read(blob_name(digest), limits.MANIFEST)
        check_manifest(raw, digest, self.where)
        return raw

    def _subject_of(self, entry: Descriptor) -> tuple[Digest | None, Descriptor]:
        """Return what *entry* is about, and its descriptor as a list of referrers has it."""
        if entry.digest not in self._subjects:
            try:
                manifest = Manifest.parse(self._read(entry.digest), entry.media_type)
            except ModelPackError:  # an index, or something that whoever wants it will hear of
                self._subjects[entry.digest] = (None, entry)
            else:
                about = manifest.subject.digest if manifest.subject else None
                self._subjects[entry.digest] = (about, described(manifest))
        return self._subjects[entry.digest]
