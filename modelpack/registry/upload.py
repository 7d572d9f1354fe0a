"""One blob on its way to a registry; what broke off goes on where the registry says it stands.

One streamed PUT is the rule, `policy` knows the exceptions. When a request fails, the registry is
asked what it has; the rest follows in PATCH requests. Where it has lost the upload, or what it has
turns out wrong, the blob is sent from its beginning.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlencode, urlsplit

from modelpack import limits
from modelpack.content.base import UploadNote
from modelpack.errors import (
    AuthenticationError,
    IntegrityError,
    ModelPackError,
    NetworkError,
    NotFoundError,
    RegistryError,
)
from modelpack.oci.descriptor import Descriptor
from modelpack.registry.exchange import Answer, Body
from modelpack.registry.heads import number_in
from modelpack.registry.outgoing import Outgoing
from modelpack.registry.patience import jitter
from modelpack.registry.places import named
from modelpack.registry.policy import UploadPolicy
from modelpack.registry.retry import TEMPORARY, pause_after
from modelpack.registry.session import Ask, Session

_OK, _CREATED, _ACCEPTED, _NO_CONTENT = 200, 201, 202, 204
_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _OUT_OF_RANGE = 400, 404, 409, 416
_RECEIVED = r"\s*(?:bytes[ =])?0-(\d{1,19})\s*"
_BYTES = {"Content-Type": "application/octet-stream"}


class Upload:
    """The upload of *blob* through *session*; *note* outlives the process."""

    def __init__(
        self, session: Session, blob: Descriptor, policy: UploadPolicy, note: UploadNote
    ) -> None:
        self._session = session
        self._blob = blob
        self._policy = policy
        self._note = note
        self._location = ""
        self._at = 0
        self._minimum = 0
        self._continued = False
        self._tries = _Tries()

    @property
    def is_begun(self) -> bool:
        """Whether an earlier attempt may have left something at the registry."""
        return bool(self._location or self._note.location)

    def resume(self) -> int:
        """Return how many bytes the registry has of an earlier attempt."""
        if not self._location and self._note.location:
            self._return_to(self._note.location)
        self._tries.reached(self._at)
        return self._at

    def take(self, location: str, answer: Mapping[str, str]) -> None:
        """Go on with the upload at *location*, which the registry has just begun."""
        self._location, self._at, self._continued = location, 0, False
        self._minimum = number_in(answer.get("OCI-Chunk-Min-Length", "")) or 0
        self._note.keep(location)

    def forget(self) -> None:
        """Remember nothing of earlier attempts: the registry has the blob."""
        self._note.forget()

    def run(self, body: Outgoing) -> None:
        """Send what is missing of *body*; the registry checks the digest.

        Raises:
            RegistryError: the registry refuses, or going on did not help.
        """
        try:
            while not self._attempt(body):
                pass
        except (RegistryError, NotFoundError, IntegrityError) as error:
            superseded = getattr(error, "status", None) == _CONFLICT  # it is somebody else's now
            if not superseded and not (_may_pass(error) and self._note.kept):
                self.cancel()
            raise
        self._note.forget()

    def cancel(self) -> None:
        """Tell the registry that nothing more will come."""
        if self._location:
            with suppress(ModelPackError):
                ask = Ask(
                    "DELETE",
                    self._location,
                    "the end of an upload",
                    push=True,
                    timeout_s=limits.CANCEL_TIMEOUT_S,
                )
                with self._session.request(ask, _OK, _ACCEPTED, _NO_CONTENT):
                    pass
        self._location, self._at = "", 0
        self._note.forget()

    def _attempt(self, body: Outgoing) -> bool:
        """Send until the end or an error; tells whether that was the end."""
        if not self._location:
            self._start()
        try:
            self._send(body)
        except (RegistryError, NotFoundError) as error:
            return self._go_on(error)
        return True

    def _start(self) -> None:
        ask = Ask("POST", self._session.url("blobs/uploads/"), "an upload", push=True, repeat=True)
        with self._session.request(ask, _ACCEPTED) as response:
            self.take(self._session.follow(response), response.headers)

    def _send(self, body: Outgoing) -> None:
        size = self._blob.size
        chunk = self._policy.chunk_of(size, self._minimum)
        if self._at or chunk:
            self._continued = self._continued or self._at > 0
            chunk = chunk or self._policy.rest_of(size, self._at)
            while size - self._at >= max(min(chunk, self._minimum), 1):
                self._patch(body, min(self._at + chunk, size))
        self._close(body)

    def _close(self, body: Outgoing) -> None:
        """Send what is left, with the digest."""
        separator = "&" if urlsplit(self._location).query else "?"
        query = urlencode({"digest": str(self._blob.digest)})
        ask = Ask(
            "PUT",
            f"{self._location}{separator}{query}",
            f"blob {self._blob.digest}",
            push=True,
            headers=self._headers(self._blob.size) if self._at else _BYTES,
            body=self._body(body, self._blob.size),
            timeout_s=self._patience(),
        )
        with self._session.request(ask, _CREATED, _NO_CONTENT, _OK):
            pass

    def _patch(self, body: Outgoing, stop: int) -> None:
        """Send one chunk; some registries answer 201, which only says that they have it."""
        ask = Ask(
            "PATCH",
            self._location,
            f"a part of blob {self._blob.digest}",
            push=True,
            headers=self._headers(stop),
            body=self._body(body, stop),
            timeout_s=self._patience(),
        )
        with self._session.request(ask, _ACCEPTED, _CREATED, _NO_CONTENT, _OK) as response:
            self._moved_on(response)
            taken = _received(response)
        if not taken or taken > stop:
            taken = stop
        if taken <= self._at:
            raise RegistryError(
                f"{self._session.host} takes nothing more of blob {self._blob.digest}",
                status=_OUT_OF_RANGE,
            )
        self._at = taken
        self._tries.reached(taken)

    def _headers(self, stop: int) -> dict[str, str]:
        if stop == self._at:
            return _BYTES
        return _BYTES | {"Content-Range": f"{self._at}-{stop - 1}"}

    def _body(self, body: Outgoing, stop: int) -> Body | bytes:
        start = self._at
        return Body(lambda: body.pieces(start, stop), stop - start) if stop > start else b""

    def _go_on(self, error: RegistryError | NotFoundError) -> bool:
        """Find out where to go on after *error*, or raise it; tells whether the blob is there."""
        status = error.status if isinstance(error, RegistryError) else _NOT_FOUND
        wrong = status == _BAD_REQUEST and self._continued
        if not (_may_pass(error) or wrong or status in (_NOT_FOUND, _OUT_OF_RANGE)):
            raise error
        pause = self._tries.pause(getattr(error, "retry_after", None))
        if pause is None:
            raise error
        self._session.pause(pause)
        if self._has():  # only the answer was lost
            return True
        before = self._at
        if wrong or not self._policy.chunks:
            self.cancel()
        else:
            self._look()
        if status == _OUT_OF_RANGE and self._at == before:  # it wants something else than a chunk
            self.cancel()
        self._tries.reached(self._at)
        return False

    def _return_to(self, location: str) -> None:
        """Go on at *location*, of an earlier run; whatever keeps us from it, begin anew.

        It may be on a host that is gone, or good for a time only. The note is kept until another
        upload has begun, or else the registry is in trouble and may know of this one later.
        """
        try:
            self._location = named(self._session.host, "", location)
            self._ask()
        except (RegistryError, NotFoundError):
            self._location, self._at = "", 0

    def _look(self) -> None:
        """Ask where the upload stands; one that the registry does not know begins anew."""
        try:
            self._ask()
        except (RegistryError, NotFoundError) as error:
            if isinstance(error, AuthenticationError) or _may_pass(error):
                raise
            self._location, self._at = "", 0
            self._note.forget()

    def _has(self) -> bool:
        url = self._session.url(f"blobs/{self._blob.digest}")
        with (
            suppress(NotFoundError),
            self._session.request(
                Ask("HEAD", url, f"blob {self._blob.digest}", push=True), _OK
            ) as response,
        ):
            return response.headers.get("Content-Length") in (None, str(self._blob.size))
        return False

    def _ask(self) -> None:
        """Ask the registry what it has of the upload."""
        ask = Ask("GET", self._location, "the upload", push=True)
        with self._session.request(ask, _NO_CONTENT, _OK, _ACCEPTED) as response:
            taken = _received(response)
            self._moved_on(response)
        if not taken or taken > self._blob.size:
            self.cancel()
            return
        self._at = taken

    def _moved_on(self, response: Answer) -> None:
        """Use the newest location: some registries write into it how far the upload is."""
        if response.headers.get("Location"):
            self._location = self._session.follow(response)
            self._note.keep(self._location)

    def _patience(self) -> float:
        return limits.READ_TIMEOUT_S + self._blob.size / limits.SLOWEST_COMMIT


class Forgetful:
    """A journal that remembers nothing across processes."""

    @contextmanager
    def note(self, place: str, blob: Descriptor) -> Iterator[UploadNote]:
        """Return the note of an upload that ends with this process."""
        del place, blob
        yield _Passing()


class _Passing:
    location = ""
    kept = False

    def keep(self, location: str) -> None:
        """Do without: whoever sends the blob knows it."""

    def forget(self) -> None:
        """Do nothing: nothing was remembered."""


class _Tries:
    """How often sending one blob may fail: as often as `retry` says without going further."""

    def __init__(self) -> None:
        self._furthest = 0
        self._failed = 0
        self._waited = 0.0

    def reached(self, at: int) -> None:
        """Count anew if the registry has more than ever."""
        if at > self._furthest:
            self._furthest, self._failed, self._waited = at, 0, 0.0

    def pause(self, asked: float | None) -> float | None:
        """Count a failure; return how long to wait, or None to give up."""
        self._failed += 1
        pause = pause_after(self._failed, self._waited, jitter(), asked)
        self._waited += pause or 0.0
        return pause


def _may_pass(error: ModelPackError) -> bool:
    """Tell whether *error* may be gone next time."""
    return isinstance(error, NetworkError) or getattr(error, "status", None) in TEMPORARY


def _received(response: Answer) -> int | None:
    """Return how many bytes the answer says have come, or None if it does not say."""
    match = re.fullmatch(_RECEIVED, response.headers.get("Range", ""))
    if match is None:
        return None
    last = int(match[1])
    return last + 1 if last else 0  # `0-0` is how nothing is written, too
