"""The pulls that did not end: the manifest of each, so that its finished blobs are not pruned.

A note is written when a blob is lacking and goes when the model has its name. It is of no other
use: a pull goes on without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from modelpack import limits
from modelpack.errors import ModelPackError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.store.paths import Layout, children, digest_of_file


@dataclass(frozen=True, slots=True)
class Pull:
    """The note of one pull."""

    path: Path
    size: int
    """Bytes of the note."""
    modified: float
    """Seconds since 1970 when the pull began, or failed."""
    manifest: Manifest | None
    """None where the note is damaged."""

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs that the model needs."""
        return self.manifest.blobs if self.manifest else ()


class Pulls:
    """The notes of a store."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @contextmanager
    def noting(self) -> Iterator[Callable[[Manifest], None]]:
        """Yield what notes the manifest to be pulled; the note goes if the block ends well.

        It goes after a failure, too, where nothing was brought that it could keep.
        """
        noted: list[Manifest] = []

        def note(manifest: Manifest) -> None:
            if any(not self.layout.blob(blob.digest).exists() for blob in manifest.blobs):
                noted.append(manifest)
                self._write(manifest)

        try:
            yield note
        except BaseException:
            for manifest in noted:
                self._leave(manifest)
            raise
        for manifest in noted:
            self.forget(manifest.digest)

    def all(self) -> list[Pull]:
        """Return every note."""
        found: list[Pull] = []
        for path in children(self.layout.pulls):
            with suppress(OSError):  # gone meanwhile
                status = path.stat()
                found.append(Pull(path, status.st_size, status.st_mtime, _read(path)))
        return found

    def forget(self, digest: Digest) -> None:
        """Remove the note of the manifest *digest*, if there is one."""
        path = self.layout.pull(digest)
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # where it was the last one

    def _write(self, manifest: Manifest) -> None:
        path = self.layout.pull(manifest.digest)
        aside = path.with_suffix(".new")
        with suppress(OSError):  # a store that cannot be written says so when a blob comes
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(manifest.raw)
            aside.replace(path)

    def _leave(self, manifest: Manifest) -> None:
        places = (
            place(blob.digest)
            for blob in manifest.blobs
            for place in (self.layout.blob, self.layout.partial)
        )
        if any(place.exists() for place in places):
            with suppress(OSError):
                os.utime(self.layout.pull(manifest.digest))
        else:
            self.forget(manifest.digest)


def _read(path: Path) -> Manifest | None:
    try:
        with path.open("rb") as file:
            manifest = Manifest.parse(file.read(limits.MANIFEST + 1))
    except (OSError, ModelPackError):
        return None
    return manifest if manifest.digest == digest_of_file(path.name) else None
