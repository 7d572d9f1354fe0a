"""One repository of a registry; implements the protocols of `modelpack.content.base`.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlencode, urlsplit

from modelpack import limits
from modelpack.content.base import Advance, Readable
from modelpack.content.verify import check_manifest
from modelpack.errors import IntegrityError, LimitError, NotFoundError, RegistryError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import INDEXES, MANIFESTS, Index, Manifest, is_index
from modelpack.oci.reference import Reference
from modelpack.registry.download import Download, readable
from modelpack.registry.problems import looks_like_html
from modelpack.registry.session import Answer, Ask, Body, Connection, Session

_ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
_OK, _CREATED, _ACCEPTED = 200, 201, 202


class Repository:
    """The repository of *reference* on its registry; close it, or use it in `with`."""

    def __init__(self, reference: Reference, connection: Connection) -> None:
        self._session = Session(reference.host, reference.repository, connection)
        self._host = self.origin = reference.host

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.close()

    def ping(self) -> None:
        """Ask the registry whether it is one and lets us in.

        Raises:
            AuthenticationError: the credentials are refused.
            RegistryError: it is not a registry.
        """
        ask = Ask("GET", f"{self._session.root}/v2/", "us to log in")
        with self._session.request(ask, _OK) as response:
            if looks_like_html(response.raw.read(limits.ERROR_BODY, decode_content=True)):
                raise _not_a_registry(self._host)

    def resolve(self, reference: Reference) -> Manifest:
        """Return the manifest of *reference*, following an index to the model in it."""
        raw, media_type = self._fetch_manifest(reference)
        for _ in range(2):
            if not is_index(raw, media_type):
                return Manifest.parse(raw, media_type)
            entry = Index.parse(raw, media_type).choose()
            inner = Reference(reference.host, reference.repository, "", entry.digest)
            raw, media_type = self._fetch_manifest(inner)
        raise RegistryError(f"{reference} is an index within an index within an index")

    def name(self, reference: Reference, manifest: Manifest) -> None:
        """Let *reference* name *manifest*, all of whose blobs are there."""
        self._put_manifest(reference, manifest)

    def _put_manifest(self, reference: Reference, manifest: Manifest) -> str:
        """Send *manifest*; return what the registry says of its subject, if anything."""
        ask = Ask(
            "PUT",
            self._session.url(f"manifests/{reference.tag or manifest.digest}"),
            f"the manifest of {reference}",
            push=True,
            headers={"Content-Type": manifest.media_type},
            body=manifest.raw,
        )
        with self._session.request(ask, _CREATED, _OK, _ACCEPTED) as response:
            return str(response.headers.get("OCI-Subject", ""))

    def has(self, blob: Descriptor) -> bool:
        """Tell whether *blob* is there already."""
        ask = Ask("HEAD", self._blob_url(blob), f"blob {blob.digest}", push=True)
        try:
            with self._session.request(ask, _OK) as response:
                return response.headers.get("Content-Length") in (None, str(blob.size))
        except NotFoundError:
            return False

    @contextmanager
    def open(self, blob: Descriptor) -> Iterator[Readable]:
        """Open *blob* for reading; the reader must verify it."""
        with Download(self._session, self._ask_for(blob), blob) as download:
            yield download

    @contextmanager
    def open_range(self, blob: Descriptor, start: int, stop: int) -> Iterator[Readable | None]:
        """Open the bytes from *start* up to *stop* of *blob*; the reader must verify them.

        Gives None where the registry has blobs only whole.
        """
        with Download(self._session, self._ask_for(blob), blob, (start, stop)) as download:
            yield readable(download)

    def interrupt(self) -> None:
        """Let everything that is under way fail at once, and begin nothing more."""
        self._session.interrupt()

    def put(self, blob: Descriptor, body: Readable, advance: Advance) -> None:
        """Upload *blob* in one streamed request; the registry verifies the digest."""
        start = Ask("POST", self._session.url("blobs/uploads/"), "an upload", push=True)
        with self._session.request(start, _ACCEPTED) as response:
            location = self._session.follow(response)
        separator = "&" if urlsplit(location).query else "?"
        upload = _Upload(body, blob, advance)
        ask = Ask(
            "PUT",
            f"{location}{separator}{urlencode({'digest': str(blob.digest)})}",
            f"blob {blob.digest}",
            push=True,
            headers={"Content-Type": "application/octet-stream"},
            body=Body(upload.rewind, blob.size),
        )
        with self._session.request(ask, _CREATED):
            pass

    def _ask_for(self, blob: Descriptor) -> Ask:
        return Ask("GET", self._blob_url(blob), f"blob {blob.digest}")

    def _blob_url(self, blob: Descriptor) -> str:
        return self._session.url(f"blobs/{blob.digest}")

    def _fetch_manifest(self, reference: Reference) -> tuple[bytes, str]:
        ask = Ask(
            "GET",
            self._session.url(f"manifests/{reference.locator}"),
            f"model {str(reference)!r}",
            headers={"Accept": _ACCEPT},
        )
        with self._session.request(ask, _OK) as response:
            raw = _read_manifest(response, reference)
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if looks_like_html(raw):
            raise _not_a_registry(self._host)
        check_manifest(raw, reference.digest, self._host)
        return raw, media_type


class _Upload:
    """A blob on its way out: counts what is read, and can begin again."""

    def __init__(self, body: Readable, blob: Descriptor, advance: Advance) -> None:
        self._body = body
        self._blob = blob
        self._advance = advance
        self._sent = 0
        self._furthest = 0

    def rewind(self) -> Readable:
        if self._sent:
            seek = getattr(self._body, "seek", None)
            if seek is None:
                raise RegistryError("the upload was interrupted and cannot begin again")
            seek(0)
            self._sent = 0
        return self

    def __len__(self) -> int:
        return self._blob.size

    def read(self, size: int = limits.BLOCK, /) -> bytes:
        data = self._body.read(min(size, limits.BLOCK) if size > 0 else limits.BLOCK)
        self._sent += len(data)
        if not data and self._sent != self._blob.size:
            raise IntegrityError(
                f"blob {self._blob.digest} has {self._sent:,} bytes, not {self._blob.size:,}",
                hint="the local store is damaged; build or pull the model again",
            )
        if self._sent > self._furthest:
            self._advance(self._sent - self._furthest)
            self._furthest = self._sent
        return data


def _not_a_registry(host: str) -> RegistryError:
    return RegistryError(
        f"{host} answered with an HTML page", hint="is that really an OCI registry?"
    )


def _read_manifest(response: Answer, reference: Reference) -> bytes:
    data = bytearray()
    while block := response.raw.read(limits.BLOCK, decode_content=True):
        data += block
        if len(data) > limits.MANIFEST:
            raise LimitError(
                f"the manifest of {reference} is larger than {limits.MANIFEST:,} bytes"
            )
    return bytes(data)
