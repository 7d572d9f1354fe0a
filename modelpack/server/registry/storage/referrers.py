"""Referrers: which manifests name another one as their subject.

Written when the referrer is pushed, so that asking costs no search. A subject need not exist.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from modelpack import limits
from modelpack.server.registry.names import ContentDigest
from modelpack.server.registry.settings import PAGE
from modelpack.server.registry.storage.layout import Layout

_ENVELOPE = 1024
"""Bytes kept free in a page for what stands around the entries."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some referrers of a subject; *last* names where the next page begins, if there is one."""

    descriptors: list[object]
    last: str | None


class Referrers:
    """The referrers of all manifests in all repositories."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def add(
        self, repository: str, subject: ContentDigest, referrer: ContentDigest, entry: bytes
    ) -> None:
        """Remember that *referrer*, whose descriptor in JSON is *entry*, is about *subject*."""
        self._layout.write(self._folder(repository, subject) / _file_name(referrer), entry)

    def remove(self, repository: str, subject: ContentDigest, referrer: ContentDigest) -> None:
        """Forget what `add` remembered."""
        path = self._folder(repository, subject) / _file_name(referrer)
        path.unlink(missing_ok=True)

    def list(
        self, repository: str, subject: ContentDigest, artifact_type: str | None, after: str
    ) -> Page:
        """Return referrers of *subject*, of one artifact type or of all, behind the name *after*.

        A page holds what fits a manifest, since clients read it as one.
        """
        folder = self._folder(repository, subject)
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        found: list[object] = []
        last, room = "", limits.MANIFEST - _ENVELOPE
        for name in names:
            if name <= after:
                continue
            entry = _read(folder / name)
            value = json.loads(entry) if entry else {}
            if not value or (artifact_type and value.get("artifactType") != artifact_type):
                continue
            if found and (len(entry) > room or len(found) == PAGE):
                return Page(found, last)
            found.append(value)
            last, room = name, room - len(entry) - 1
        return Page(found, None)

    def _folder(self, repository: str, subject: ContentDigest) -> Path:
        return self._layout.repository(repository) / "referrers" / _file_name(subject)


def _file_name(digest: ContentDigest) -> str:
    return f"{digest.algorithm}.{digest.hex}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # deleted since the folder was listed
        return b""
