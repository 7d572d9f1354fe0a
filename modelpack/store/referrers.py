"""What refers to the models here: signatures, attestations and the like, one manifest a file.

They belong to a digest and not to a name, so they lie in a folder for each subject. One is alive
while its subject is: a model that some name has, or another referrer that is alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from modelpack import limits
from modelpack.content.disk import replacing
from modelpack.errors import ModelPackError, StoreError
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.store.errors import store_errors
from modelpack.store.paths import Layout, children, digest_of_file


class Referrer(NamedTuple):
    """One file among the referrers, by what its path says."""

    subject: Digest
    digest: Digest
    path: Path
    manifest: Manifest | None
    """None where it cannot be read, or is not what its path says."""
    problem: str = ""
    """Why it is None."""
    shut: bool = False
    """Nobody can read it; it may be what its path says."""


class Referrers:
    """The referrers below one folder; files that are none are passed over."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def add(self, subject: Digest, manifest: Manifest) -> None:
        """Keep *manifest*, which is about *subject*."""
        path = self.layout.referrer(subject, manifest.digest)
        with store_errors(self.layout):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.layout.ingest.mkdir(parents=True, exist_ok=True)
            with replacing(path, aside=self.layout.ingest) as file:
                file.write(manifest.raw)

    def of(self, subject: Digest) -> list[Referrer]:
        """Return what is about *subject*, that which is damaged, too.

        Raises:
            StoreError: nobody can tell.
        """

        def shut(error: OSError) -> None:
            raise StoreError(f"cannot read {error.filename}: {error.strerror}")

        found = map(_read, _files(self.layout.referrers_of(subject), shut))
        return [referrer for referrer in found if referrer is not None]

    def find(self, digest: Digest) -> Referrer | None:
        """Return the referrer *digest*, whatever it is about; one that can be read, if any."""
        damaged: Referrer | None = None
        for folder in children(self.layout.referrers):
            path = folder / f"sha256-{digest.hex}"
            found = _read(path) if _is_file(path) else None
            if found is not None and found.manifest is not None:
                return found
            damaged = found or damaged
        return damaged

    def all(self, shut: Callable[[OSError], None]) -> list[Referrer]:
        """Return every referrer; say to *shut* which folders cannot be read."""
        folders = children(self.layout.referrers, shut)
        found = (_read(path) for folder in folders for path in _files(folder, shut))
        return [referrer for referrer in found if referrer is not None]

    def remove(self, referrer: Referrer) -> None:
        """Forget *referrer*."""
        with store_errors(self.layout):
            referrer.path.unlink(missing_ok=True)
        with suppress(OSError):  # there are more about the same
            referrer.path.parent.rmdir()


def divide(
    named: Iterable[Digest], referrers: Iterable[Referrer]
) -> tuple[list[Referrer], list[Referrer]]:
    """Divide *referrers* into the living and the dead, where names have the digests *named*."""
    living: list[Referrer] = []
    subjects, left = set(named), list(referrers)
    while True:
        reached = [referrer for referrer in left if referrer.subject in subjects]
        if not reached:
            return living, left
        living += reached
        subjects = {referrer.digest for referrer in reached}
        left = [referrer for referrer in left if referrer.digest not in subjects]


def needs_of(referrers: Iterable[Referrer]) -> list[Manifest]:
    """Return the manifests of those of *referrers* that can be read."""
    return [referrer.manifest for referrer in referrers if referrer.manifest is not None]


def _read(path: Path) -> Referrer | None:
    """Read the file *path*; gives None where it is gone, or not called as a referrer is."""
    subject, digest = digest_of_file(path.parent.name), digest_of_file(path.name)
    if subject is None or digest is None:
        return None
    try:
        with path.open("rb") as file:
            raw = file.read(limits.MANIFEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Referrer(subject, digest, path, None, f"cannot be read: {error.strerror}", shut=True)
    if Digest.of(raw) != digest:
        return Referrer(subject, digest, path, None, "is damaged: its bytes have another digest")
    try:
        manifest = Manifest.parse(raw)
    except ModelPackError as error:
        return Referrer(subject, digest, path, None, f"is damaged: {error}")
    if manifest.subject is None or manifest.subject.digest != subject:
        return Referrer(subject, digest, path, None, "is damaged: it is about something else")
    return Referrer(subject, digest, path, manifest)


def _files(folder: Path, shut: Callable[[OSError], None] = lambda _error: None) -> Iterator[Path]:
    return (path for path in children(folder, shut) if _is_file(path))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its folder is shut: reading it will say so
        return True
