"""How a registry wants blobs sent: in one request, or in chunks of which size.

One streamed PUT is the rule. The table holds the registries that are known to want something else;
the user's configuration overrides it, and `OCI-Chunk-Min-Length` counts wherever it comes. Pure.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from modelpack.limits import GiB, MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPolicy:
    """What one registry takes; sizes are in bytes, and 0 means none is known."""

    chunk: int = 0
    """Send blobs in chunks of this size."""
    put_limit: int = 0
    """A larger blob cannot be sent in one request."""
    chunk_limit: int = 0
    """A larger chunk is refused."""
    chunk_minimum: int = 0
    """A smaller chunk is refused, unless it is the last one."""
    chunks: bool = True
    """Whether it takes chunks at all; where not, a broken upload begins anew."""

    def chunk_of(self, size: int, minimum: int = 0) -> int:
        """Return the size of the chunks in which to send *size* bytes, 0 for one request.

        Args:
            size: bytes of the blob.
            minimum: what the registry said in `OCI-Chunk-Min-Length`.
        """
        too_large = 0 < self.put_limit < size
        if not self.chunks or not (self.chunk or minimum or too_large):
            return 0
        chunk = max(self._bounded(self.chunk or CHUNK), minimum)
        return chunk if chunk < size else 0

    def rest_of(self, size: int, at: int) -> int:
        """Return the size of the chunks in which *size* bytes that broke off at *at* go on."""
        rest = size - at
        return self._bounded(self.chunk or (CHUNK if 0 < self.put_limit < rest else rest))

    def told(self, chunk: int | None, put_limit: int | None) -> UploadPolicy:
        """Return the policy with what the user says; a *chunk* of 0 means none ever."""
        told = self
        if chunk is not None:
            told = replace(told, chunk=chunk, chunks=chunk > 0)
        return told if put_limit is None else replace(told, put_limit=put_limit)

    def _bounded(self, chunk: int) -> int:
        chunk = max(chunk, self.chunk_minimum)
        return min(chunk, self.chunk_limit) if self.chunk_limit else chunk


CHUNK = 64 * MiB
"""A chunk, where chunks are wanted and nobody says how large."""

_KNOWN = {
    "ghcr.io": UploadPolicy(chunk_limit=4 * MiB),
    "quay.io": UploadPolicy(put_limit=18 * GiB),
    "public.ecr.aws": UploadPolicy(chunks=False),
    "*.dkr.ecr.*.amazonaws.com": UploadPolicy(chunk_minimum=5 * MiB),
    "*.pkg.dev": UploadPolicy(chunks=False),
    "gcr.io": UploadPolicy(chunks=False),
    "*.gcr.io": UploadPolicy(chunks=False),
}


def policy_for(host: str) -> UploadPolicy:
    """Return what is known of the registry *host*."""
    for pattern, policy in _KNOWN.items():
        if fnmatchcase(host.lower(), pattern):
            return policy
    return UploadPolicy()
