"""A repository that keeps what refers to its manifests, with or without the registry's help.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
     https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
"""

from __future__ import annotations

import re
import time
from urllib.parse import urlencode

from modelpack import limits
from modelpack.content.referrers import chosen, fallback_tag, with_referrer
from modelpack.errors import LimitError, NotFoundError, RegistryError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import OCI_INDEX, Index, Manifest
from modelpack.oci.reference import Reference
from modelpack.registry.bodies import read_body
from modelpack.registry.exchange import Answer
from modelpack.registry.places import is_same, named
from modelpack.registry.repository import Repository
from modelpack.registry.session import Ask

_OK, _CREATED, _ACCEPTED = 200, 201, 202
_PAUSE_S = 0.05
_NO_API = (400, 405, 406, 501)
"""How registries without the referrers API refuse it, besides not knowing it."""
_LINK = r"<([^<>]*)>([^<]*)"
"""A target in a `Link` header, and its parameters."""


class ReferringRepository(Repository):
    """A repository whose referrers can be listed, and grow with what is pushed."""

    def name(self, reference: Reference, manifest: Manifest) -> None:
        """Let *reference* name *manifest*, and its subject know of it."""
        known = self._put_manifest(reference, manifest)
        if manifest.subject is not None and not known:
            self._add_to_fallback(manifest, manifest.subject.digest)

    def referrers(self, subject: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Return the manifests whose subject is *subject*, of one artifact type or of all."""
        entries = self._listed(subject, artifact_type)
        if entries is None:
            index = self._fallback(subject)
            entries = list(index.manifests) if index else []
        return chosen(entries, artifact_type)

    def _listed(self, subject: Digest, artifact_type: str) -> list[Descriptor] | None:
        """Return what the referrers API lists, or None where the registry has none."""
        query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
        url = self._session.url(f"referrers/{subject}{query}")
        entries: list[Descriptor] = []
        for page in range(limits.REFERRER_PAGES):
            ask = Ask("GET", url, f"the referrers of {subject}", headers={"Accept": OCI_INDEX})
            try:
                with self._session.request(ask, _OK) as response:
                    if not page and _media_type(response) != OCI_INDEX:
                        return None
                    entries += Index.parse(_body(response, self._session.host), OCI_INDEX).manifests
                    following = self._next(response)
            except (NotFoundError, RegistryError) as error:
                known = isinstance(error, NotFoundError) or error.status in _NO_API
                if page or not known:
                    raise
                return None
            if not following:
                return entries
            url = following
            if len(entries) > limits.REFERRERS:
                break
        raise LimitError(f"{self._session.host} lists too many referrers of {subject}")

    def _next(self, response: Answer) -> str:
        target = _next_in(response.headers.get("Link", ""))
        if target is None:
            return ""
        url = named(self._session.host, response.url, target)
        if not is_same(url, response.url):
            raise RegistryError(f"{self._session.host} continues its list of referrers elsewhere")
        return url

    def _fallback(self, subject: Digest) -> Index | None:
        """Return the index that clients keep where the registry keeps none."""
        tag = fallback_tag(subject)
        ask = Ask(
            "GET",
            self._session.url(f"manifests/{tag}"),
            f"the tag {tag}",
            headers={"Accept": OCI_INDEX},
        )
        try:
            with self._session.request(ask, _OK) as response:
                return Index.parse(_body(response, self._session.host), _media_type(response))
        except NotFoundError:
            return None

    def _add_to_fallback(self, manifest: Manifest, subject: Digest) -> None:
        """Put *manifest* into the index; somebody else may be writing it too, so look again."""
        tag = fallback_tag(subject)
        for attempt in range(limits.REFERRER_TRIES):
            time.sleep(_PAUSE_S * attempt)
            index = self._fallback(subject)
            if _holds(index, manifest):
                return
            self._put_fallback(tag, index, with_referrer(index, manifest))
        if not _holds(self._fallback(subject), manifest):
            raise RegistryError(
                f"{self._session.host} did not keep {manifest.digest} under the tag {tag}",
                hint="try again",
            )

    def _put_fallback(self, tag: str, index: Index | None, raw: bytes) -> None:
        if len(raw) > limits.MANIFEST:
            raise LimitError(f"the tag {tag} holds too many referrers")
        ask = Ask(
            "PUT",
            self._session.url(f"manifests/{tag}"),
            f"the tag {tag}",
            push=True,
            headers={"Content-Type": index.media_type if index else OCI_INDEX},
            body=raw,
            repeat=True,
        )
        with self._session.request(ask, _CREATED, _OK, _ACCEPTED):
            pass


def _next_in(link: str) -> str | None:
    """Return the target of the next page in a `Link` header; see RFC 8288, section 3."""
    for target, parameters in re.findall(_LINK, link):
        said = (part.strip(" \t,").lower().replace('"', "") for part in parameters.split(";"))
        if "rel=next" in said:
            return str(target)
    return None


def _holds(index: Index | None, manifest: Manifest) -> bool:
    return index is not None and manifest.digest in (e.digest for e in index.manifests)


def _media_type(response: Answer) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()


def _body(response: Answer, host: str) -> bytes:
    data = read_body(response, host, limits.MANIFEST)
    if len(data) > limits.MANIFEST:
        raise LimitError(f"the list of referrers is larger than {limits.MANIFEST:,} bytes")
    return data
