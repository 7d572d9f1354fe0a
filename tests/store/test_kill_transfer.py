"""A process that pulls or pushes may be killed at any moment, and the next one goes on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from fakes.debian import docker_registry
from support.ggufs import write_model
from support.kills import (
    SEED,
    SMALL,
    WARM,
    assert_nothing_stays,
    assert_undamaged,
    share_of,
)
from support.models import context_in, leftovers, make
from support.nursery import Nursery

from modelpack import limits
from modelpack.builder.plan import Cut
from modelpack.ops.models import remove
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.server.registry import RegistrySettings, running

KILLS = share_of(0.15)
LONGEST_S = 0.3
RESUMABLE = re.compile(r"(sha256-[0-9a-f]{64}\.(part|json)|upload-[0-9a-f]{64}\.json)\Z")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(limits, name, value)


@pytest.fixture(params=["embedded", pytest.param("debian", marks=pytest.mark.registry)])
def host(request, tmp_path) -> Iterator[str]:
    """The `host:port` of a real registry: ours, then Debian's."""
    with contextlib.ExitStack() as held:
        if request.param == "debian":
            yield held.enter_context(docker_registry(tmp_path / "debian"))
        else:
            settings = RegistrySettings(root=tmp_path / "embedded", listen="127.0.0.1:0")
            yield held.enter_context(running(settings)).removeprefix("http://")


@pytest.fixture
def here(tmp_path):
    """A store with the models `a` and `b`, of a few layers each."""
    context = context_in(tmp_path / "here" / "models")
    for name, blocks in (("a", 2), ("b", 3)):
        write_model(tmp_path / f"{name}.gguf", blocks=blocks, width=256)
        text = f"FROM {name}.gguf\nSYSTEM {name}\n"
        make(context, text, tmp_path, name, cut=Cut(size=1_500_000))
    return context


def blobs_in(session, host, name) -> dict[str, bytes] | None:
    """Return what the registry gives for all blobs of *name*, or None if it has no such name."""
    base = f"http://{host}/v2/{name}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    answer = session.get(f"{base}/manifests/v1", headers=accept, timeout=30)
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200, answer.text
    value = answer.json()
    digests = [blob["digest"] for blob in (value["config"], *value["layers"])]
    return {digest: session.get(f"{base}/blobs/{digest}", timeout=30).content for digest in digests}


def assert_right(blobs: dict[str, bytes], where: str) -> None:
    for digest, data in blobs.items():
        assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}", where


@pytest.mark.timeout(60 + 5 * KILLS)
def test_a_pull_that_is_killed_is_gone_on_with(host, here, tmp_path):
    chance = random.Random(f"{SEED} pull")
    names = [f"{host}/team/{name}:v1" for name in "ab"]
    expected = {name: push(here, name[-4], name)[1].raw for name in names}
    there = context_in(tmp_path / "there" / "models")
    root = there.store.layout.root
    resumed = 0
    with Nursery(*WARM) as nursery:
        for turn in range(KILLS):
            after_s = chance.uniform(0, LONGEST_S)
            nursery.kill(after_s, "support.kills:pulling", root, turn, *names)
            where = f"seed {SEED}, turn {turn}, killed after {after_s:.3f} s"
            if (root / "blobs").exists():
                assert_undamaged(there, where)
            for entry in there.store.list(pytest.fail):
                assert all(map(there.store.has, entry.manifest.blobs)), where
            if turn % 3 == 2:
                continue  # the next process goes on, and is killed as well
            events = []
            for name in names:
                _, manifest = pull(there, name, events.append)
                assert manifest.raw == expected[name], where
                assert all(map(there.store.has, manifest.blobs)), where
            assert_undamaged(there, where)
            resumed += any(event.note.startswith("resumed") for event in events)
            remove(there, names)
    assert resumed or KILLS < 20
    assert_nothing_stays(there)


@pytest.mark.timeout(60 + 5 * KILLS)
def test_a_push_that_is_killed_is_gone_on_with(host, here, tmp_path, request):
    chance = random.Random(f"{SEED} push")
    context, chunked = here, tmp_path / "chunked"
    root = context.store.layout.root
    (chunked / ".modelpack").mkdir(parents=True)
    config = {"registries": {host: {"chunk-size": "256KiB"}}}
    (chunked / ".modelpack" / "config.yaml").write_text(json.dumps(config))
    homes = [root.parent, chunked]
    resumed = complete = 0
    server = request.node.callspec.params["host"]
    with Nursery(*WARM) as nursery, requests.Session() as session:
        session.trust_env = False
        for turn in range(KILLS):
            after_s = chance.uniform(0, LONGEST_S)
            model, home = "ab"[turn % 2], homes[turn // 2 % 2]
            place = f"{host}/k{turn}"
            nursery.kill(after_s, "support.kills:pushing", root, home, model, place)
            where = f"seed {SEED}, turn {turn}, killed after {after_s:.3f} s"
            assert_undamaged(context, where)
            last = 0
            while blobs := blobs_in(session, host, f"k{turn}/{last}"):
                assert_right(blobs, where)
                last += 1
            complete += last
            events = []
            again = context_in(root, HOME=str(home))
            push(again, model, f"{place}/{last}:v1", events.append)
            blobs = blobs_in(session, host, f"k{turn}/{last}")
            assert blobs, where
            assert_right(blobs, where)
            resumed += any(event.note.startswith("resumed") for event in events)
    if KILLS >= 20:
        assert complete
        assert resumed or server == "debian"  # which drops an upload whose last chunk was cut
    assert [name for name in leftovers(root) if not RESUMABLE.match(name)] == []
    assert_nothing_stays(context)


def test_work_that_ends_before_it_is_killed_is_heard_of(tmp_path):
    gone = Path(tmp_path / "nothing")
    with Nursery(*WARM) as nursery, pytest.raises(AssertionError, match="NotFoundError"):
        nursery.kill(1.0, "support.kills:pushing", gone, gone, "a", "127.0.0.1:1/x")
