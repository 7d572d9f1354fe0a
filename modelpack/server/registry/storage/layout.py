"""Where things lie under the root, and how a file gets there.

::

    blobs/<algorithm>/<2 digits>/<digits>/data       content
    blobs/<algorithm>/<2 digits>/<digits>/in/<repo>  empty: this repository has the blob
    repositories/<repo>/manifests/<algorithm>/<digits>
    repositories/<repo>/tags/<tag>                   the digest that the tag names
    repositories/<repo>/referrers/<algorithm>.<digits>/<algorithm>.<digits>
                                                     subject / what refers to it: its descriptor
    uploads/<repo>/<upload>                          bytes received so far
    temporary/                                       files on their way to a name
    lock                                             held by the one registry that serves the root

`<repo>` is the repository's name with `/` written as `,`, which no name contains: repositories are
flat on disk, and no name can reach into another. A file appears by rename, whole and synced. Its
name is synced before anybody is told that it is there; that of a blob soon after, and before a
manifest is acknowledged.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from modelpack.content.disk import sync_folder
from modelpack.errors import StoreError
from modelpack.server.registry.names import ContentDigest
from modelpack.server.registry.settings import STALE_UPLOAD_S
from modelpack.server.registry.storage.settling import Settling

_UNABLE = (errno.EINVAL, errno.EOPNOTSUPP)
"""What a file system says that has no way to sync folders."""


class InUseError(StoreError):
    """Somebody else holds the folder."""


class Layout:
    """The folder of one registry, held open. Made with `open`, ended with `close`."""

    def __init__(self, root: Path, lock_file: int) -> None:
        self.root = root
        self.changing = threading.RLock()
        """Held while what belongs together changes: a blob and who has it, a tag and its target."""
        self._lock_file = lock_file
        self._lasting = {root}
        self.settling = Settling(self.sync)

    @classmethod
    def open(cls, root: Path, *, sweep: bool = True) -> Self:
        """Make and take the folder *root*, and *sweep* out what was left unfinished there.

        Raises:
            StoreError: it cannot be written, or another registry serves it.
        """
        try:
            for part in ("blobs", "repositories", "uploads", "temporary"):
                (root / part).mkdir(parents=True, exist_ok=True)
            layout = cls(root, _take(root / "lock"))
        except BlockingIOError:
            raise InUseError(
                f"another registry serves {root}", hint="stop it, or choose another --root"
            ) from None
        except OSError as error:
            raise _unwritable(root, error) from error
        try:
            layout.write(root / "temporary" / "probe", b"")
            (root / "temporary" / "probe").unlink()
            if sweep:
                layout._sweep(time.time() - STALE_UPLOAD_S)
        except OSError as error:
            layout.close()
            raise _unwritable(root, error) from error
        return layout

    def close(self) -> None:
        """Let go of the folder, once all in it is synced."""
        self.settling.end()
        os.close(self._lock_file)

    def blob(self, digest: ContentDigest) -> Path:
        """Return the folder of a blob."""
        return Path(self.blob_name(digest))

    def blob_name(self, digest: ContentDigest) -> str:
        """Return the name of that folder."""
        return f"{self.root}/blobs/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"

    def repository(self, name: str) -> Path:
        """Return the folder of the manifests and tags of the repository *name*."""
        return self.root / "repositories" / flat(name)

    def uploads(self, name: str) -> Path:
        """Return the folder of what is being uploaded to the repository *name*."""
        return self.root / "uploads" / flat(name)

    def repositories(self) -> list[str]:
        """Return the names of all repositories that ever had a manifest, sorted."""
        return sorted(unflat(path.name) for path in (self.root / "repositories").iterdir())

    def write(self, path: Path, data: bytes) -> None:
        """Write *data* to *path*: a reader sees all of it or the file that was there before."""
        scratch = self.root / "temporary" / secrets.token_hex(16)
        try:
            with scratch.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.replace(path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        self.sync(path.parent)

    def sync(self, *folders: Path) -> None:
        """Make the names in *folders*, each of which holds the one before, and those above durable.

        Those that are not there any more need nothing.
        """
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                _sync(folder)
        holder = folders[-1]
        while holder not in self._lasting:
            _sync(holder.parent)
            self._lasting.add(holder)
            holder = holder.parent

    def _sweep(self, before: float) -> None:
        for path in (self.root / "temporary").iterdir():
            path.unlink(missing_ok=True)
        for path in (self.root / "uploads").glob("*/*"):
            if path.stat().st_mtime < before:
                path.unlink(missing_ok=True)


def flat(name: str) -> str:
    """Return the repository *name* as the name of one file."""
    return name.replace("/", ",")


def unflat(name: str) -> str:
    """Return the repository whose file is called *name*."""
    return name.replace(",", "/")


def _take(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _sync(folder: Path) -> None:
    try:
        sync_folder(folder)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise


def _unwritable(root: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write the registry's folder {root}: {error.strerror}",
        hint="choose another folder with --root",
    )


@contextlib.contextmanager
def opened(root: Path, *, sweep: bool = True) -> Iterator[Layout]:
    """Hold the folder *root* for the length of a `with` block. As `Layout.open`."""
    layout = Layout.open(root, sweep=sweep)
    try:
        yield layout
    finally:
        layout.close()
