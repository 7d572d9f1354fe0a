"""What each name costs on the disk: blobs that several names need are counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Cost:
    """What one name costs, in bytes."""

    name: str
    shared: int
    """Of blobs that other names need too."""
    unique: int
    """Of blobs that go when the name goes."""

    @property
    def size(self) -> int:
        """Bytes of all its blobs, each counted once."""
        return self.shared + self.unique


@dataclass(frozen=True, slots=True)
class Usage:
    """What a store costs, in bytes."""

    models: tuple[Cost, ...]
    """The largest first."""
    needed: int
    """Blobs of all names, each counted once."""
    unneeded: int
    """Blobs that no name needs."""
    leftovers: int
    """Unfinished files."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.needed + self.unneeded + self.leftovers


def measure(
    needs: Mapping[str, Iterable[Descriptor]],
    blobs: Mapping[Digest, int],
    unfinished: Iterable[int],
) -> Usage:
    """Return what the names that have *needs* cost where the files *blobs* and *unfinished* lie.

    A blob that is not there costs nothing.
    """
    digests_of = {name: {blob.digest for blob in needed} for name, needed in needs.items()}
    users = Counter(digest for digests in digests_of.values() for digest in digests)
    costs = []
    for name, digests in digests_of.items():
        unique = sum(blobs.get(digest, 0) for digest in digests if users[digest] == 1)
        shared = sum(blobs.get(digest, 0) for digest in digests if users[digest] > 1)
        costs.append(Cost(name, shared, unique))
    needed = sum(size for digest, size in blobs.items() if digest in users)
    return Usage(
        tuple(sorted(costs, key=lambda cost: (-cost.size, cost.name))),
        needed,
        sum(blobs.values()) - needed,
        sum(unfinished),
    )
