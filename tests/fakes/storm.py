"""A model that is pulled, pushed or copied while things go wrong, and what must hold meanwhile."""

from __future__ import annotations

import faulthandler
import json
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from fakes.faults import Place
from fakes.logins import pair
from fakes.models import ARTIFACT_TYPE, CONFIG_TYPE, WEIGHT_TYPE, context_at
from fakes.registry import OCI_MANIFEST, FakeRegistry, FakeTokens, digest_of
from support.models import assert_sound, leftovers

from modelpack.errors import ModelPackError
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context, Network
from modelpack.ops.copy import copy_model
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.progress import Event

Way = Literal["pull", "push", "copy"]
Auth = Literal["none", "basic", "tokens"]
WAYS: tuple[Way, ...] = ("pull", "push", "copy")
AUTHS: tuple[Auth, ...] = ("none", "basic", "tokens")
REPO, TAG = "team/model", "v1"
DEADLINE_S = 12.0
_CONFIG = b'{"descriptor":{},"config":{"format":"gguf"}}'


@dataclass
class Model:
    """A manifest and its blobs."""

    raw: bytes
    blobs: dict[str, bytes]

    @classmethod
    def of(cls, *layers: bytes) -> Model:
        items = [
            {
                **_described(layer, WEIGHT_TYPE),
                "annotations": {"org.cncf.model.filepath": f"{number}.gguf"},
            }
            for number, layer in enumerate(layers)
        ]
        value = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": ARTIFACT_TYPE,
            "config": _described(_CONFIG, CONFIG_TYPE),
            "layers": items,
        }
        blobs = {digest_of(data): data for data in (_CONFIG, *layers)}
        return cls(json.dumps(value).encode(), blobs)


def _described(data: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


@dataclass
class Storm:
    """One model on its way; `source` and `sink` are there where they are registries."""

    way: Way
    model: Model
    context: Context
    elsewhere: FakeRegistry
    source: FakeRegistry | None = None
    sink: FakeRegistry | None = None
    places: list[Place] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """What was said about progress and cannot be."""

    def place(self, way: str) -> Place | None:
        """Return where mishaps of that *way* happen."""
        registry = self.source if way == "pull" else self.sink
        if registry is None:
            return None
        self.places.append(Place(registry, self.elsewhere, self.model.blobs))
        return self.places[-1]

    def heal(self) -> None:
        """Let all be well again."""
        for place in self.places:
            place.heal()

    def go(self) -> ModelPackError | None:
        """Let the model move; returns what came of it.

        Anything that is not an error of ours is raised, and a hang fails the test.
        """
        error = within(DEADLINE_S, self._move)
        if error is not None and not isinstance(error, ModelPackError):
            raise error
        if error is not None:
            assert str(error).strip()
            assert f"{error}{error.hint or ''}".isprintable(), repr(error)
            assert len(str(error)) < 600
        self.check(arrived=error is None)
        return error

    def check(self, *, arrived: bool) -> None:
        """Check that nothing wrong is to be seen, and that all is there if it *arrived*."""
        assert self.odd == [], self.odd
        self._check_secrets()
        root = self.context.store.layout.root
        if (root / "blobs").exists():
            assert_sound(root)
        if self.way == "pull":
            entry = self.context.store.find(self._name(self.source))
            named = entry.manifest.raw if entry else None
            blobs = {
                digest: path.read_bytes()
                for digest in self.model.blobs
                if (path := root / "blobs" / digest.replace(":", "-")).exists()
            }
        else:
            assert self.sink
            named = self.sink.manifests.get((REPO, TAG), (None, ""))[0]
            blobs = self.sink.blobs
        assert named in (None, self.model.raw)
        if arrived or named is not None:
            assert named == self.model.raw
            wrong = [d for d, data in self.model.blobs.items() if blobs.get(d) != data]
            assert wrong == [], wrong
        wanted = ("upload-",) if self.way == "push" else ("sha256-",)
        left = leftovers(root)
        assert [name for name in left if not name.startswith(wanted)] == [], left
        assert left == [] or not arrived, left
        assert self.way != "copy" or not root.exists()

    def _check_secrets(self) -> None:
        """Check that nobody was told what is for somebody else."""
        servers = [s for s in (self.source, self.sink, self.elsewhere) if s]
        for server in servers:
            foreign = [secret for s in servers if s is not server for secret in _secrets(s)]
            for asked in (*server.seen, *(server.tokens.seen if server.tokens else ())):
                shown = f"{asked.path} {asked.headers} {asked.body[:2_000]!r}"
                assert [secret for secret in foreign if secret in shown] == [], shown
                assert server is not self.elsewhere or not asked.authorization, shown

    def _move(self) -> None:
        if self.way == "pull":
            pull(self.context, str(self._name(self.source)), self._hear)
        elif self.way == "push":
            push(self.context, "model", str(self._name(self.sink)), self._hear)
        else:
            names = str(self._name(self.source)), str(self._name(self.sink))
            copy_model(self.context, *names, self._hear)

    def _name(self, registry: FakeRegistry | None) -> Reference:
        assert registry
        return Reference.parse(f"{registry.host}/{REPO}:{TAG}")

    def _hear(self, event: Event) -> None:
        if not 0 <= event.completed <= event.total:
            self.odd.append(f"{event.completed} of {event.total} bytes of {event.item}")


def _secrets(server: FakeRegistry) -> list[str]:
    """Return what only *server* and its token service may be told."""
    users = {**server.users, **(server.tokens.users if server.tokens else {})}
    found = [text for user, secret in users.items() for text in (secret, pair(user, secret))]
    return found + list(server.tokens.given if server.tokens else ())


def within(seconds: float, work: Callable[[], None]) -> BaseException | None:
    """Return what *work* raises; fail with the stacks of all threads if it does not end."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - whoever asked looks at it
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not raised:
        with tempfile.TemporaryFile("w+") as file:
            faulthandler.dump_traceback(file)
            file.seek(0)
            pytest.fail(f"it hung for {seconds} s:\n{file.read()}")
    return raised[0]


@contextmanager
def storm(
    way: Way, model: Model, auth: Auth, folders: tuple[Path, Path], concurrency: int = 4
) -> Iterator[Storm]:
    """Have everything that *way* needs; *folders* are a home and one for the store."""
    home, folder = folders
    with ExitStack() as held:
        context = context_at(folder, Network(concurrency=concurrency))
        now = Storm(way, model, context, held.enter_context(FakeRegistry()))
        if way != "push":
            now.source = held.enter_context(_registry("source", auth, held))
            now.source.blobs.update(model.blobs)
            now.source.add_manifest(REPO, model.raw, TAG)
        else:
            for data in model.blobs.values():
                context.store.add(data)
            context.store.name(Reference.parse("model"), Manifest.parse(model.raw, OCI_MANIFEST))
        if way != "pull":
            now.sink = held.enter_context(_registry("sink", auth, held))
        _log_in(home, [r for r in (now.source, now.sink) if r])
        held.callback(now.heal)
        yield now


def _registry(name: str, auth: Auth, held: ExitStack) -> FakeRegistry:
    users = {f"ann-{name}": f"s3cret-of-{name}"}
    if auth != "tokens":
        return FakeRegistry(users=users if auth == "basic" else None)
    tokens = held.enter_context(FakeTokens(users, anonymous=random.Random(name).random() < 0.5))
    tokens.prefix = f"token-of-{name}"
    return FakeRegistry(tokens=tokens)


def _log_in(home: Path, registries: list[FakeRegistry]) -> None:
    auths = {}
    for registry in registries:
        users = {**registry.users, **(registry.tokens.users if registry.tokens else {})}
        for login in users.items():
            auths[registry.host] = {"auth": pair(*login)}
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
