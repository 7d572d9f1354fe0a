"""The only place where a digest or a name becomes a path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelpack.errors import DigestError, ModelPackError
from modelpack.oci.digest import Digest
from modelpack.oci.reference import Reference

LOCAL_HOST = "local"
"""The folder of names without a registry; no registry host can be called so."""

_UNTAGGED = "sha256-"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie below the folder *root*."""

    root: Path

    @property
    def blobs(self) -> Path:
        """The folder of finished blobs."""
        return self.root / "blobs"

    @property
    def ingest(self) -> Path:
        """The folder of blobs on their way in."""
        return self.root / "ingest"

    @property
    def manifests(self) -> Path:
        """The folder of names."""
        return self.root / "manifests"

    @property
    def lock(self) -> Path:
        """The file that builders, pullers and the collector lock."""
        return self.root / ".lock"

    def blob(self, digest: Digest) -> Path:
        """Return the file of the blob *digest*."""
        return Path(self.blob_name(digest))

    def blob_name(self, digest: Digest) -> str:
        """Return the file of the blob *digest* as text: for thousands of them, a `Path` is slow."""
        return f"{self.root}/blobs/sha256-{digest.hex}"

    @property
    def referrers(self) -> Path:
        """The folder of what refers to models, with a folder for each subject."""
        return self.root / "referrers"

    def referrers_of(self, subject: Digest) -> Path:
        """Return the folder of what is about *subject*."""
        return self.referrers / f"sha256-{subject.hex}"

    def referrer(self, subject: Digest, digest: Digest) -> Path:
        """Return the file of the manifest *digest*, which is about *subject*."""
        return self.referrers_of(subject) / f"sha256-{digest.hex}"

    @property
    def pulls(self) -> Path:
        """The folder of notes of pulls."""
        return self.root / "pulls"

    def pull(self, digest: Digest) -> Path:
        """Return the note of the pull of the manifest *digest*."""
        return self.pulls / f"sha256-{digest.hex}"

    def partial(self, digest: Digest) -> Path:
        """Return the file of the blob *digest* while it is on its way in."""
        return self.ingest / f"sha256-{digest.hex}.part"

    def repository(self, reference: Reference) -> Path:
        """Return the folder of the tags of *reference*'s repository."""
        return self.manifests / (reference.host or LOCAL_HOST) / reference.repository

    def manifest(self, reference: Reference) -> Path:
        """Return the file that *reference* names; a digest without a tag is its own tag."""
        tag = reference.tag or f"{_UNTAGGED}{reference.digest.hex if reference.digest else ''}"
        return self.repository(reference) / tag

    def reference(self, path: str) -> Reference | None:
        """Return the reference that is stored at *path*, or None where it cannot be one."""
        host, _, rest = path.removeprefix(f"{self.manifests}/").partition("/")
        repository, _, tag = rest.rpartition("/")
        if not repository:
            return None
        name = f"{repository}:{tag}"
        try:
            reference = Reference.parse(name if host == LOCAL_HOST else f"{host}/{name}")
        except ModelPackError:
            return None
        stored = (reference.host or LOCAL_HOST, reference.repository, reference.tag)
        return reference if stored == (host, repository, tag) else None


def _nobody(_error: OSError) -> None:
    pass


def children(folder: Path, shut: Callable[[OSError], None] = _nobody) -> list[Path]:
    """Return what is in *folder*, in order; nothing where it is not there, or *shut* is told."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        shut(error)
        return []


def digest_of_file(name: str) -> Digest | None:
    """Return the digest that a file called *name* should have, or None if it is not called so."""
    prefix, _, digits = name.partition("-")
    try:
        return Digest.parse(f"{prefix}:{digits}")
    except DigestError:
        return None
