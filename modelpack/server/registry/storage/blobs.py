"""Blobs: content once, and which repositories have it.

A repository has a blob when somebody who held the content pushed or mounted it there; knowing the
digest is not enough. The content goes when the last repository lets it go. The mark of a repository
is as old as the last push, mount or question whether the blob is there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from modelpack.server.registry import errors
from modelpack.server.registry.names import ContentDigest
from modelpack.server.registry.storage.layout import Layout, flat


class Blobs:
    """All blobs of a registry."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def has(self, repository: str, digest: ContentDigest) -> bool:
        """Tell whether *repository* has the blob."""
        folder = self._layout.blob(digest)
        return (folder / "in" / flat(repository)).exists() and (folder / "data").exists()

    def path(self, digest: ContentDigest) -> Path:
        """Return the file of a blob, there or not."""
        return self._layout.blob(digest) / "data"

    def size(self, repository: str, digest: ContentDigest) -> int:
        """Return the size of a blob; refuse the request if *repository* does not have it."""
        try:
            (self._layout.blob(digest) / "in" / flat(repository)).stat()
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise errors.blob_unknown(digest) from None

    def read(self, repository: str, digest: ContentDigest, most: int) -> tuple[int, bytes | None]:
        """Return the size of a blob, and its content unless that is more than *most* bytes.

        Refuses as `size` does. Paths are strings here: making them takes longer than all the rest.
        """
        folder = self._layout.blob_name(digest)
        try:
            os.stat(f"{folder}/in/{flat(repository)}")  # noqa: PTH116
            file = os.open(f"{folder}/data", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise errors.blob_unknown(digest) from None
        try:
            size = os.fstat(file).st_size
            return size, os.read(file, size) if size <= most else None
        finally:
            os.close(file)

    def keep(self, repository: str, digest: ContentDigest) -> None:
        """Make the blob young, if it is there: who asks for it may be about to rely on it."""
        with self._layout.changing, contextlib.suppress(FileNotFoundError):
            os.utime(self._layout.blob(digest) / "in" / flat(repository))

    def commit(self, repository: str, digest: ContentDigest, content: Path) -> None:
        """Move *content*, whose digest the caller has checked and which is synced, into place."""
        folder = self._layout.blob(digest)
        with self._layout.changing:
            self._mark(repository, digest)
            content.replace(folder / "data")
        self._settle(digest)

    def mount(self, repository: str, digest: ContentDigest, source: str | None) -> bool:
        """Give *repository* a blob that *source* has, or that anybody has if it is None."""
        with self._layout.changing:
            found = self.path(digest).exists() if source is None else self.has(source, digest)
            if found:
                self._mark(repository, digest)
        if found:
            self._settle(digest)
        return found

    def delete(self, repository: str, digest: ContentDigest) -> None:
        """Take the blob from *repository*; refuse the request if it does not have it."""
        content = self.take(repository, digest)
        if content is not None:
            content.unlink(missing_ok=True)

    def take(self, repository: str, digest: ContentDigest) -> Path | None:
        """As `delete`, but leave it to the caller to remove the content that is returned, if any.

        Deleting a large file takes time that no request should wait for.
        """
        owners = self._layout.blob(digest) / "in"
        with self._layout.changing:
            try:
                (owners / flat(repository)).unlink()
            except FileNotFoundError:
                raise errors.blob_unknown(digest) from None
            return None if any(owners.iterdir()) else self.set_aside(digest)

    def set_aside(self, digest: ContentDigest) -> Path | None:
        """Move the content of a blob that no repository has out of the way; hold `changing`."""
        folder = self._layout.blob(digest)
        aside = self._layout.root / "temporary" / secrets.token_hex(16)
        there = (folder / "data").exists()
        if there:
            (folder / "data").replace(aside)
        for empty in (folder / "in", folder):
            with contextlib.suppress(OSError):
                empty.rmdir()
        return aside if there else None

    def _mark(self, repository: str, digest: ContentDigest) -> None:
        owners = self._layout.blob(digest) / "in"
        owners.mkdir(parents=True, exist_ok=True)
        (owners / flat(repository)).touch()

    def _settle(self, digest: ContentDigest) -> None:
        """Have it made durable that the blob is there, and who has it."""
        folder = self._layout.blob(digest)
        self._layout.settling.later(folder / "in", folder, folder.parent)
