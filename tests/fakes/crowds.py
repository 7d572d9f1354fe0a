"""Models of many small blobs, and a registry's answers that many conversations wait for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fakes.models import ARTIFACT_TYPE, CONFIG_TYPE, WEIGHT_TYPE
from fakes.registry import OCI_MANIFEST, FakeRegistry
from fakes.web import Answer, Exchange

from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import Manifest, canonical_json
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context

CONFIG = json.dumps({"descriptor": {}, "config": {"format": "gguf"}}).encode()
BIG = bytes(range(256)) * 800


def crowd(count: int = 60, *, big: bytes = BIG) -> list[bytes]:
    """Return *count* small layers, one of them empty, and a big one in their midst."""
    small = [b"%d " % number * (number * 17) for number in range(count)]
    return [*small[: count // 2], *([big] if big else []), *small[count // 2 :]]


def manifest_of(layers: list[bytes]) -> Manifest:
    """Return the manifest of a model with *layers*."""
    described = [
        Descriptor.of(data, WEIGHT_TYPE, {"org.cncf.model.filepath": f"{number}.gguf"})
        for number, data in enumerate(layers)
    ]
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": Descriptor.of(CONFIG, CONFIG_TYPE).to_json(),
        "layers": [layer.to_json() for layer in described],
    }
    return Manifest.parse(canonical_json(value))


def keep(context: Context, layers: list[bytes], name: str = "many") -> Manifest:
    """Put a model with *layers* into the store of *context*."""
    for data in (CONFIG, *layers):
        context.store.add(data)
    manifest = manifest_of(layers)
    context.store.name(Reference.parse(name), manifest)
    return manifest


def offer(registry: FakeRegistry, layers: list[bytes]) -> Manifest:
    """Put a model with *layers* into *registry* as `team/many:v1`."""
    for data in (CONFIG, *layers):
        registry.add_blob(data)
    manifest = manifest_of(layers)
    registry.add_manifest("team/many", manifest.raw, "v1")
    return manifest


class Crossing:
    """Counts who is inside at once; with *meet*, holds them until so many are inside."""

    def __init__(self, meet: int = 0) -> None:
        self._lock = threading.Lock()
        self._met = threading.Event()
        self._meet = meet
        self._inside = 0
        self.most = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
            last = self._inside == self._meet and not self._met.is_set()
        if last:
            self._met.wait(0.1)  # so that one more would have come
            self._met.set()
        elif self._meet:
            self._met.wait(5)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1

    def guarding(self, answer: Answer) -> Answer:
        """Let *answer* be given inside."""

        def guarded(exchange: Exchange) -> None:
            with self.inside():
                pass
            answer(exchange)

        return guarded
