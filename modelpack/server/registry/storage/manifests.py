"""Manifests, and the tags that name them."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from modelpack.server.registry import errors
from modelpack.server.registry.facts import ManifestFacts, media_type_of
from modelpack.server.registry.names import ContentDigest
from modelpack.server.registry.storage.blobs import Blobs
from modelpack.server.registry.storage.layout import Layout
from modelpack.server.registry.storage.referrers import Referrers


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it was pushed."""

    raw: bytes
    digest: ContentDigest
    media_type: str


class Manifests:
    """The manifests and tags of all repositories."""

    def __init__(self, layout: Layout, blobs: Blobs, referrers: Referrers) -> None:
        self._layout = layout
        self._blobs = blobs
        self._referrers = referrers

    def put(
        self,
        repository: str,
        raw: bytes,
        digest: ContentDigest,
        facts: ManifestFacts,
        tags: list[str],
    ) -> None:
        """Store *raw*, then point *tags* at it; refuse it where something it needs is not there."""
        self._layout.settling.wait()  # so that no blob that it needs can be lost
        with self._layout.changing:
            for needed in facts.blobs:
                if not self._blobs.has(repository, needed):
                    raise errors.manifest_blob_unknown(needed)
            for needed in facts.manifests:
                if not self._path(repository, needed).exists():
                    raise errors.manifest_blob_unknown(needed)
            if facts.subject is not None:
                entry = json.dumps(facts.descriptor(digest, len(raw))).encode()
                self._referrers.add(repository, facts.subject, digest, entry)
            self._layout.write(self._path(repository, digest), raw)
            for tag in tags:
                self._layout.write(self._tag(repository, tag), f"{digest}\n".encode())

    def get(self, repository: str, reference: str | ContentDigest) -> StoredManifest:
        """Return the manifest that a tag or digest names, or refuse the request."""
        try:
            digest = self._resolve(repository, reference)
            raw = self._path(repository, digest).read_bytes()
        except FileNotFoundError:
            raise self._unknown(repository, reference) from None
        return StoredManifest(raw, digest, media_type_of(raw))

    def delete(self, repository: str, reference: str | ContentDigest) -> None:
        """Delete a tag; or a manifest, its place among referrers, and the tags that name it."""
        with self._layout.changing:
            if isinstance(reference, str):
                try:
                    self._tag(repository, reference).unlink()
                except FileNotFoundError:
                    raise self._unknown(repository, reference) from None
                return
            self.get(repository, reference)  # or refuse the request
            for tag in self.tags(repository):
                if self._resolve(repository, tag) == reference:
                    self._tag(repository, tag).unlink()
            self.remove(repository, reference)

    def remove(self, repository: str, digest: ContentDigest) -> None:
        """Delete a manifest that no tag names, and its place among referrers; hold `changing`."""
        subject = ManifestFacts.parse(self.get(repository, digest).raw).subject
        self._path(repository, digest).unlink()
        if subject is not None:
            self._referrers.remove(repository, subject, digest)

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository, sorted, or refuse the request if it is not there."""
        if not self._layout.repository(repository).exists():
            raise errors.name_unknown(repository)
        folder = self._layout.repository(repository) / "tags"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def tagged(self, repository: str) -> frozenset[ContentDigest]:
        """Return what the tags of *repository* name; nothing where there is none."""
        folder = self._layout.repository(repository) / "tags"
        paths = sorted(folder.iterdir()) if folder.exists() else []
        found = []
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                found.append(self._resolve(repository, path.name))
        return frozenset(found)

    def keep(self, repository: str, digest: ContentDigest) -> None:
        """Make a manifest young, if it is there: who asks for it may be about to rely on it."""
        with self._layout.changing, contextlib.suppress(FileNotFoundError):
            os.utime(self._path(repository, digest))

    def repositories(self) -> list[str]:
        """Return the names of all repositories that ever had a manifest, sorted."""
        return self._layout.repositories()

    def _resolve(self, repository: str, reference: str | ContentDigest) -> ContentDigest:
        if isinstance(reference, ContentDigest):
            return reference
        return ContentDigest.parse(self._tag(repository, reference).read_text().strip())

    def _path(self, repository: str, digest: ContentDigest) -> Path:
        folder = self._layout.repository(repository) / "manifests"
        return folder / digest.algorithm / digest.hex

    def _tag(self, repository: str, tag: str) -> Path:
        return self._layout.repository(repository) / "tags" / tag

    def _unknown(self, repository: str, reference: str | ContentDigest) -> errors.RefusedError:
        if not self._layout.repository(repository).exists():
            return errors.name_unknown(repository)
        return errors.manifest_unknown(reference)
