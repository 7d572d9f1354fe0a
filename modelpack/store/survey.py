"""What lies in a store: names that can be read and those that cannot, blobs, leftovers.

Looks only; what to do about it is decided in `gc`, `fsck` and `usage`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelpack.errors import ModelPackError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.store.names import Names
from modelpack.store.paths import Layout, children, digest_of_file
from modelpack.store.pulls import Pull, Pulls
from modelpack.store.referrers import Referrer, Referrers, divide, needs_of

_OURS = ("blobs", "ingest", "manifests", "pulls", "referrers", ".lock")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder among the names and what refers to them that nobody can read."""

    path: str
    name: str
    """The model it should be, empty where it is no model's name."""
    problem: str
    subject: Digest | None = None
    """What it should refer to, where it is no model's name but a referrer's."""

    def __str__(self) -> str:
        if self.subject is not None:
            return f"what refers to {self.subject} {self.problem}: {self.path}"
        if self.name:
            return f"cannot read the name {self.name} ({self.path}): {self.problem}"
        return f"not a model name: {self.path}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file in the ingest folder."""

    path: Path
    size: int
    modified: float
    """Seconds since 1970 when it was last written."""
    held: bool
    """Somebody has locked it, or it is not ours to ask."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one look at a store found."""

    manifests: dict[str, Manifest]
    """The manifest of every name that can be read."""
    unreadable: tuple[Unreadable, ...]
    blobs: dict[Digest, int]
    """The size of every file that is called like a blob."""
    foreign: tuple[Path, ...]
    """Files that are no part of a store."""
    referrers: tuple[Referrer, ...] = ()
    """Everything that refers to something."""

    pulls: tuple[Pull, ...] = ()
    """The notes of pulls that did not end."""

    @property
    def doubts(self) -> tuple[Unreadable, ...]:
        """What cannot be read and may need any blob: names, and what refers to those that can."""
        named = (manifest.digest for manifest in self.manifests.values())
        lost = (one for one in divide(named, self.referrers)[0] if one.manifest is None)
        return (
            *self.unreadable,
            *(Unreadable(str(one.path), "", one.problem, one.subject) for one in lost),
        )

    def needs(self) -> dict[str, tuple[Descriptor, ...]]:
        """Return the blobs that each name needs: its own and those of what refers to it."""
        return {
            name: tuple(
                blob
                for each in (
                    manifest,
                    *needs_of(divide((manifest.digest,), self.referrers)[0]),
                )
                for blob in each.blobs
            )
            for name, manifest in self.manifests.items()
        }


def survey(layout: Layout) -> Survey:
    """Look at the names first and the blobs then, so that no new name lacks its blobs."""
    manifests, unreadable = _names(layout)
    blobs, strangers = _blobs(layout.blobs)
    strangers += [path for path in children(layout.root) if path.name not in _OURS]
    strangers += [Path(u.path) for u in unreadable if not u.name and Path(u.path).is_file()]
    referrers = tuple(Referrers(layout).all(_noting(unreadable)))
    return Survey(
        manifests,
        tuple(unreadable),
        blobs,
        tuple(sorted(strangers)),
        referrers,
        tuple(Pulls(layout).all()),
    )


def leftovers(layout: Layout) -> list[Leftover]:
    """Return the files in the ingest folder; locks each for an instant to learn if that works."""
    found: list[Leftover] = []
    for path in children(layout.ingest):
        with suppress(OSError):  # gone meanwhile
            if path.is_file():
                status = path.stat()
                found.append(Leftover(path, status.st_size, status.st_mtime, _is_held(path)))
    return found


def unfinished(layout: Layout) -> list[int]:
    """Return the sizes of the files in the ingest folder, without a look at their locks."""
    sizes: list[int] = []
    for path in children(layout.ingest):
        with suppress(OSError):
            if path.is_file():
                sizes.append(path.stat().st_size)
    return sizes


def empty_folders(layout: Layout) -> list[Path]:
    """Return the folders among the names without a name in them, innermost first."""
    found: dict[str, None] = {}
    for folder, folders, files in os.walk(layout.manifests, topdown=False):
        inner = (str(Path(folder, name)) for name in folders)
        if not files and folder != str(layout.manifests) and all(i in found for i in inner):
            found[folder] = None
    return [Path(folder) for folder in found]


def _names(layout: Layout) -> tuple[dict[str, Manifest], list[Unreadable]]:
    manifests: dict[str, Manifest] = {}
    unreadable: list[Unreadable] = []
    for path in _name_files(layout.manifests, unreadable):
        reference = layout.reference(path)
        if reference is None:
            unreadable.append(Unreadable(path, "", "its path has no host, repository and tag"))
            continue
        try:
            entry = Names(layout).read(reference)
        except ModelPackError as error:
            unreadable.append(Unreadable(path, reference.name, str(error)))
            continue
        if entry is not None:
            manifests[reference.name] = entry.manifest
    return manifests, unreadable


def _name_files(root: Path, shut: list[Unreadable]) -> Iterator[str]:
    for folder, folders, files in os.walk(root, onerror=_noting(shut)):
        folders.sort()
        yield from (str(Path(folder, name)) for name in sorted(files))


def _noting(shut: list[Unreadable]) -> Callable[[OSError], None]:
    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            shut.append(Unreadable(str(error.filename), "", str(error.strerror)))

    return note


def _blobs(folder: Path) -> tuple[dict[Digest, int], list[Path]]:
    blobs: dict[Digest, int] = {}
    strangers: list[Path] = []
    for path in children(folder):
        digest = digest_of_file(path.name)
        try:
            if digest is None or not path.is_file():
                strangers.append(path)
            else:
                blobs[digest] = path.stat().st_size
        except OSError:  # it went away, or its folder is shut
            strangers.append(path)
    return blobs, strangers


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
