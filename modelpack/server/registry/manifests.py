"""The endpoints of manifests, tags, referrers and the catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack import limits
from modelpack.oci.manifest import OCI_INDEX
from modelpack.server.registry import errors
from modelpack.server.registry.answers import (
    json_answer,
    next_link,
    page,
    read_body,
    repository,
)
from modelpack.server.registry.facts import ManifestFacts
from modelpack.server.registry.names import ContentDigest, check_tag, parse_reference
from modelpack.server.registry.storage.manifests import Manifests
from modelpack.server.registry.storage.referrers import Referrers

_TAGS_PER_PUT = 100


class ManifestEndpoints:
    """What answers under `manifests/`, `tags/`, `referrers/` and at `_catalog`."""

    def __init__(self, manifests: Manifests, referrers: Referrers) -> None:
        self._manifests = manifests
        self._referrers = referrers

    def routes(self) -> Iterable[Route]:
        """Return the routes."""
        manifest = "/v2/{name:path}/manifests/{reference}"
        yield Route("/v2/_catalog", self.catalogue, methods=["GET"])
        yield Route(manifest, self.get, methods=["GET", "HEAD"])
        yield Route(manifest, self.put, methods=["PUT"])
        yield Route(manifest, self.delete, methods=["DELETE"])
        yield Route("/v2/{name:path}/tags/list", self.tags, methods=["GET"])
        yield Route("/v2/{name:path}/referrers/{digest}", self.referrers, methods=["GET"])

    async def get(self, request: Request) -> Response:
        """Send a manifest exactly as it was pushed."""
        name, reference = repository(request), parse_reference(request.path_params["reference"])
        if request.method == "HEAD" and isinstance(reference, ContentDigest):
            await run_in_threadpool(self._manifests.keep, name, reference)
        found = await run_in_threadpool(self._manifests.get, name, reference)
        headers = {
            "Content-Type": found.media_type,
            "Docker-Content-Digest": str(found.digest),
            "ETag": f'"{found.digest}"',
        }
        return Response(found.raw, headers=headers)

    async def put(self, request: Request) -> Response:
        """Store a manifest under its digest, and under a tag if it was pushed to one."""
        name, reference = repository(request), parse_reference(request.path_params["reference"])
        tags = [check_tag(tag) for tag in request.query_params.getlist("tag")[:_TAGS_PER_PUT]]
        raw = await read_body(request, limits.MANIFEST, "the manifest")
        content_type = request.headers.get("content-type", "")
        return await run_in_threadpool(self._store, name, reference, raw, content_type, tags)

    async def delete(self, request: Request) -> Response:
        """Delete a tag, or a manifest."""
        name, reference = repository(request), parse_reference(request.path_params["reference"])
        await run_in_threadpool(self._manifests.delete, name, reference)
        return Response(status_code=202)

    async def tags(self, request: Request) -> Response:
        """List the tags of a repository."""
        name = repository(request)
        tags, headers = page(request, await run_in_threadpool(self._manifests.tags, name))
        return json_answer({"name": name, "tags": tags}, headers)

    async def catalogue(self, request: Request) -> Response:
        """List the repositories."""
        names, headers = page(request, await run_in_threadpool(self._manifests.repositories))
        return json_answer({"repositories": names}, headers)

    async def referrers(self, request: Request) -> Response:
        """List the manifests whose subject is the given digest, as an index."""
        name, query = repository(request), request.query_params
        subject = ContentDigest.parse(request.path_params["digest"])
        artifact_type = query.get("artifactType") or None
        found = await run_in_threadpool(
            self._referrers.list, name, subject, artifact_type, query.get("last", "")
        )
        headers = {}
        if artifact_type:
            headers["OCI-Filters-Applied"] = "artifactType"
        if found.last is not None:
            asked = {"artifactType": artifact_type} if artifact_type else {}
            headers["Link"] = next_link(request, **asked, last=found.last)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found.descriptors}
        return json_answer(index, headers, OCI_INDEX)

    def _store(
        self,
        name: str,
        reference: str | ContentDigest,
        raw: bytes,
        content_type: str,
        tags: list[str],
    ) -> Response:
        if isinstance(reference, ContentDigest):
            digest = ContentDigest.of(raw, reference.algorithm)
            if digest != reference:
                raise errors.digest_invalid(str(reference), "the manifest has another digest than")
        else:
            digest, tags = ContentDigest.of(raw), [reference, *tags]
        facts = ManifestFacts.parse(raw, content_type)
        self._manifests.put(name, raw, digest, facts, tags)
        headers = {
            "Location": f"/v2/{name}/manifests/{digest}",
            "Docker-Content-Digest": str(digest),
        }
        if facts.subject is not None:
            headers["OCI-Subject"] = str(facts.subject)
        if tags:
            headers["OCI-Tag"] = ", ".join(tags)
        return Response(status_code=201, headers=headers)
