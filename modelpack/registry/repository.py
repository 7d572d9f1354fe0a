"""One repository of a registry; implements the protocols of `modelpack.content.base`.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from typing import Self, TypeAlias
from urllib.parse import urlencode

from modelpack import limits
from modelpack.content.base import Advance, Readable, UploadJournal
from modelpack.content.verify import VerifyingReader, check_manifest
from modelpack.errors import DigestError, LimitError, NetworkError, NotFoundError, RegistryError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import INDEXES, MANIFESTS, Index, Manifest, is_index
from modelpack.oci.reference import Reference
from modelpack.registry.bodies import read_body, start_of
from modelpack.registry.download import Download, readable
from modelpack.registry.exchange import Answer
from modelpack.registry.outgoing import Outgoing
from modelpack.registry.policy import policy_for
from modelpack.registry.problems import looks_like_html, not_a_registry
from modelpack.registry.session import Ask, Connection, Session
from modelpack.registry.small import SmallBlobs
from modelpack.registry.upload import Forgetful, Upload

Sisters: TypeAlias = Callable[[Digest], Sequence[str]]
"""Names repositories of the same registry that should have a blob, the likeliest first."""

_ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
_OK, _CREATED, _ACCEPTED = 200, 201, 202


class Repository:
    """The repository of *reference* on its registry; close it, or use it in `with`."""

    def __init__(
        self,
        reference: Reference,
        connection: Connection,
        journal: UploadJournal | None = None,
        sisters: Sisters = lambda _digest: (),
    ) -> None:
        self._session = Session(reference.host, reference.repository, connection)
        self._host = self.origin = reference.host
        self._place = f"{reference.host}/{reference.repository}"
        self._policy = connection.policy or policy_for(reference.host)
        self._journal = journal or Forgetful()
        self._sisters = sisters
        self._uploads: dict[Digest, tuple[Upload, ExitStack]] = {}
        self._small = SmallBlobs(self._session, self._policy, self._begun)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for _, held in self._uploads.values():
            held.close()
        self._small.close()
        self._session.close()

    def ping(self) -> None:
        """Ask the registry whether it is one and lets us in.

        Raises:
            AuthenticationError: the credentials are refused.
            RegistryError: it is not a registry.
        """
        ask = Ask("GET", f"{self._session.root}/v2/", "us to log in")
        with self._session.request(ask, _OK) as response:
            if looks_like_html(start_of(response, self._host)):
                raise not_a_registry(self._host)

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
            repeat=True,
        )
        with self._session.request(ask, _CREATED, _OK, _ACCEPTED) as response:
            return str(response.headers.get("OCI-Subject", ""))

    def has(self, blob: Descriptor) -> bool:
        """Tell whether *blob* is there already."""
        ask = Ask("HEAD", self._blob_url(blob), f"blob {blob.digest}", push=True)
        try:
            with self._session.request(ask, _OK) as response:
                there = response.headers.get("Content-Length") in (None, str(blob.size))
        except NotFoundError:
            return False
        if there:  # an earlier upload may have ended without our hearing of it
            self._upload(blob).forget()
            self._end(blob)
        return there

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

    def look(self, blobs: Iterable[Descriptor], width: int) -> Iterator[tuple[Descriptor, bool]]:
        """Yield *blobs* with whether each is there; the first is asked for on its own.

        So the others have the token that it takes.
        """
        others = iter(blobs)
        for first in others:
            yield first, self.has(first)
            yield from self._small.look(others, width)

    def bring(self, blobs: Iterable[Descriptor], width: int) -> Iterator[tuple[Descriptor, bytes]]:
        """Yield the bytes of *blobs*, not verified."""
        return self._small.bring(blobs, width)

    def take(self, blobs: Iterable[tuple[Descriptor, bytes]], width: int) -> Iterator[Descriptor]:
        """Send *blobs*, but for those that may be mounted; the registry verifies, and so do we."""
        sound = (
            (blob, data)
            for blob, data in blobs
            if Digest.of(data) == blob.digest and not self._sisters(blob.digest)
        )
        return self._small.take(sound, width)

    def mount(self, blob: Descriptor) -> bool:
        """Take *blob* over from a repository of this registry that should have it, if one does."""
        sisters = self._sisters(blob.digest)[: limits.MOUNT_TRIES]
        if not sisters or self._upload(blob).is_begun:
            return False
        if any(self._mount(blob, sister) for sister in sisters):
            self._end(blob)
            return True
        return False

    def _mount(self, blob: Descriptor, sister: str) -> bool:
        query = urlencode({"mount": str(blob.digest), "from": sister})
        url = self._session.url(f"blobs/uploads/?{query}")
        ask = Ask("POST", url, f"a mount from {sister}", push=True, source=sister)
        try:
            with self._session.request(ask, _CREATED, _ACCEPTED) as response:
                if response.status_code == _CREATED:
                    return True
                location = self._session.follow(response)
                headers = response.headers
        except NetworkError:
            raise
        except (RegistryError, NotFoundError):  # it does not mount, or not for us
            return False
        self._upload(blob).take(location, headers)  # it has begun an upload instead
        return False

    def resume(self, blob: Descriptor) -> int:
        """Return how many bytes of *blob* need not be sent again by the `put` that follows."""
        return self._upload(blob).resume()

    def put(self, blob: Descriptor, body: Readable, advance: Advance) -> None:
        """Send *blob*; the registry verifies it, and so do we unless it is a file of ours."""
        if not isinstance(body, FileIO):
            body = VerifyingReader(body, blob)
        upload = self._upload(blob)
        try:
            upload.run(Outgoing(body, blob, advance, upload.resume()))
        finally:
            self._end(blob)

    def _upload(self, blob: Descriptor) -> Upload:
        with self._lock:
            if blob.digest not in self._uploads:
                held = ExitStack()
                note = held.enter_context(self._journal.note(self._place, blob))
                upload = Upload(self._session, blob, self._policy, note)
                self._uploads[blob.digest] = (upload, held)
            return self._uploads[blob.digest][0]

    def _begun(self, blob: Descriptor, location: str, minimum: str, sent: bool) -> None:
        """Go on with an upload of *blob* later, or end it if some of it was *sent* in vain."""
        upload = self._upload(blob)
        upload.take(location, {"OCI-Chunk-Min-Length": minimum})
        if sent:
            upload.cancel()

    def _end(self, blob: Descriptor) -> None:
        with self._lock:
            _, held = self._uploads.pop(blob.digest)
        held.close()

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
            said = response.headers.get("Docker-Content-Digest", "")
        if looks_like_html(raw):
            raise not_a_registry(self._host)
        check_manifest(raw, reference.digest or _digest_in(said), self._host)
        return raw, media_type


def _digest_in(said: str) -> Digest | None:
    """Return the digest that a registry says, where it is one that we can check."""
    with suppress(DigestError):
        return Digest.parse(said)
    return None


def _read_manifest(response: Answer, reference: Reference) -> bytes:
    data = read_body(response, reference.host, limits.MANIFEST)
    if len(data) > limits.MANIFEST:
        raise LimitError(f"the manifest of {reference} is larger than {limits.MANIFEST:,} bytes")
    return data
