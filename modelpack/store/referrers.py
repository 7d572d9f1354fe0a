"""What refers to the models here: signatures, attestations and the like, one manifest a file.

They belong to a digest and not to a name, so they lie in a folder for each subject. One is alive
while its subject is: a model that some name has, or another referrer that is alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from modelpack import limits
from modelpack.content.disk import replacing
from modelpack.errors import ModelPackError
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.store.errors import store_errors
from modelpack.store.paths import Layout, digest_of_file


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

    def of(self, subject: Digest) -> list[Manifest]:
        """Return the manifests about *subject*."""
        found = map(_read, _files(self.layout.referrers_of(subject)))
        return [manifest for manifest in found if manifest is not None]

    def find(self, digest: Digest) -> Manifest | None:
        """Return the referrer *digest*, whatever it is about."""
        for folder in _children(self.layout.referrers):
            with suppress(OSError):
                path = folder / f"sha256-{digest.hex}"
                if path.is_file():
                    return _read(path)
        return None

    def all(self) -> list[Manifest]:
        """Return every referrer."""
        folders = _children(self.layout.referrers)
        found = (_read(path) for folder in folders for path in _files(folder))
        return [manifest for manifest in found if manifest is not None]

    def remove(self, manifest: Manifest) -> None:
        """Forget *manifest*."""
        assert manifest.subject is not None  # noqa: S101 - it would not be here
        path = self.layout.referrer(manifest.subject.digest, manifest.digest)
        with store_errors(self.layout):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # there are more about the same
            path.parent.rmdir()


def divide(
    named: Iterable[Digest], referrers: Iterable[Manifest]
) -> tuple[list[Manifest], list[Manifest]]:
    """Divide *referrers* into the living and the dead, where names have the digests *named*."""
    living: list[Manifest] = []
    subjects, left = set(named), list(referrers)
    while True:
        reached = [m for m in left if m.subject is not None and m.subject.digest in subjects]
        if not reached:
            return living, left
        living += reached
        subjects = {manifest.digest for manifest in reached}
        left = [m for m in left if m.digest not in subjects]


def _read(path: Path) -> Manifest | None:
    try:
        with path.open("rb") as file:
            manifest = Manifest.parse(file.read(limits.MANIFEST + 1))
    except (OSError, ModelPackError):
        return None
    named = (digest_of_file(path.name), digest_of_file(path.parent.name))
    said = (manifest.digest, manifest.subject.digest if manifest.subject else None)
    return manifest if named == said else None


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in _children(folder) if path.is_file())


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
