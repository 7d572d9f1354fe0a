"""Names: one file each, holding the manifest's bytes as they were built or received.

A name is written aside, made durable and renamed, so that no reader ever sees half a manifest.
A file that is not one of ours is reported and hides no other model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from modelpack import limits
from modelpack.content.disk import replacing
from modelpack.errors import ModelPackError, NotFoundError, StoreError
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest, total_size
from modelpack.oci.reference import Reference
from modelpack.store.errors import store_errors
from modelpack.store.paths import Layout

_SMALL = 64 * 1024
"""Bytes of manifests that are kept parsed."""


class Entry(NamedTuple):
    """One name in the store."""

    reference: Reference
    manifest: Manifest
    modified: float
    """Seconds since 1970 when the name was last written."""


class Listed(NamedTuple):
    """One name as a list shows it; its manifest is not checked beyond its sizes."""

    name: str
    digest: Digest
    size: int
    """Bytes of layers and config."""
    modified: float
    """Seconds since 1970 when the name was last written."""


class Names:
    """The names below one folder."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def read(self, reference: Reference) -> Entry | None:
        """Return what *reference* names, or None if it names nothing.

        Raises:
            ManifestError: the file there is damaged.
        """
        if reference.digest is not None:
            return self._by_digest(reference, reference.digest)
        return self._load(reference, self.layout.manifest(reference))

    def write(self, reference: Reference, manifest: Manifest) -> None:
        """Let *reference* name *manifest*."""
        path = self.layout.manifest(reference)
        with store_errors(self.layout):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise _in_the_way(path) from None
            if path.is_dir():
                raise _in_the_way(path)
            self.layout.ingest.mkdir(parents=True, exist_ok=True)
            with replacing(path, aside=self.layout.ingest) as file:
                file.write(manifest.raw)

    def remove(self, reference: Reference) -> None:
        """Forget *reference*, and folders that are empty without it."""
        path = self.layout.manifest(reference)
        with store_errors(self.layout):
            path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.layout.manifests:
                break
            with suppress(OSError):  # it is not empty, or gone
                folder.rmdir()

    def list(self, warn: Callable[[str], None]) -> Iterator[Entry]:
        """Yield every name that can be read; say to *warn* which files cannot."""
        for path in _files(self.layout.manifests, warn):
            reference = self.layout.reference(path)
            if reference is None:
                warn(f"not a model name, skipped: {path}")
                continue
            try:
                entry = self._load(reference, Path(path))
            except ModelPackError as error:
                warn(f"damaged manifest, skipped: {path}: {error}")
                continue
            if entry is not None:
                yield entry

    def glance(self, warn: Callable[[str], None]) -> Iterator[Listed]:
        """Yield every name with what a list shows; say to *warn* which files cannot be read."""
        for path in _files(self.layout.manifests, warn):
            reference = self.layout.reference(path)
            if reference is None:
                warn(f"not a model name, skipped: {path}")
                continue
            try:
                raw, modified = _read(path)
                size = total_size(raw)
            except (ModelPackError, OSError) as error:
                warn(f"damaged manifest, skipped: {path}: {error}")
                continue
            yield Listed(reference.name, Digest.of(raw), size, modified)

    def _by_digest(self, reference: Reference, digest: Digest) -> Entry | None:
        for path in sorted(_plain_files(self.layout.repository(reference))):
            stored = self.layout.reference(str(path))
            if stored is None:
                continue
            try:
                entry = self._load(replace(stored, digest=digest), path)
            except ModelPackError:
                continue
            if entry is not None and entry.manifest.digest == digest:
                return entry
        return None

    def _load(self, reference: Reference, path: Path) -> Entry | None:
        try:
            raw, modified = _read(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise NotFoundError(f"cannot read {path}: {error.strerror}") from None
        manifest = _parsed(raw) if len(raw) <= _SMALL else Manifest.parse(raw)
        return Entry(reference, manifest, modified)


@lru_cache(maxsize=64)
def _parsed(raw: bytes) -> Manifest:
    """Parse *raw*; a server finds the same names again and again."""
    return Manifest.parse(raw)


def _read(path: Path | str) -> tuple[bytes, float]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        return os.read(descriptor, min(status.st_size, limits.MANIFEST) + 1), status.st_mtime
    finally:
        os.close(descriptor)


def _plain_files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []


def _files(root: Path, warn: Callable[[str], None]) -> Iterator[str]:
    """Yield the files below *root*, folder by folder; say to *warn* which folders are shut."""
    pending = [str(root)]
    while pending:
        folder = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            warn(f"cannot read {folder}: {error.strerror}")
            continue
        yield from (entry.path for entry in entries if _is_file(entry))
        pending += [e.path for e in reversed(entries) if e.is_dir(follow_symlinks=False)]


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link in a circle: reading it will say so
        return True


def _in_the_way(path: Path) -> StoreError:
    return StoreError(
        f"cannot store the name {path.name}: a tag and a repository cannot have the same path",
        hint="choose another tag, or remove the name that is in the way",
    )
