"""Pull and push through the server, with the lines that progress bars know."""

from __future__ import annotations

import re

import ollama
import pytest
from support.serving import MODEL

from modelpack.oci.digest import Digest
from modelpack.ops.models import copy_name
from modelpack.server.registry import RegistrySettings, running


@pytest.fixture
def name(tmp_path):
    with running(RegistrySettings(root=tmp_path / "registry", listen="127.0.0.1:0")) as url:
        yield f"{url.removeprefix('http://')}/team/tiny:1"


@pytest.fixture
def client(own):
    with ollama.Client(host=own.url, trust_env=False) as client:
        yield client


def test_a_model_is_pushed_and_pulled_with_progress(own, client, name):
    copy_name(own.context, MODEL, name)
    pushed = [line.status for line in client.push(name, stream=True)]
    assert pushed[0] == "retrieving manifest"
    assert pushed[-2:] == ["pushing manifest", "success"]
    client.delete(name)
    client.delete(MODEL)
    lines = list(client.pull(name, stream=True))
    statuses = [line.status for line in lines]
    assert statuses[0] == "pulling manifest"
    assert statuses[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    bars = [line for line in lines if line.digest]
    assert bars
    for line in bars:
        assert re.fullmatch(r"pulling [0-9a-f]{12}", line.status)
        assert line.digest.startswith(f"sha256:{line.status[-12:]}")
        assert 0 <= line.completed <= line.total
    largest = max(line.total for line in bars)
    (last,) = [line for line in bars if line.total == largest][-1:]
    assert last.completed == last.total
    assert [model.model for model in client.list().models] == [name]


def test_what_is_left_behind_is_told(own, client, name):
    copy_name(own.context, MODEL, name)
    subject = own.context.find(MODEL).manifest.digest
    lost = own.context.store.layout.referrer(subject, Digest.of(b"a signature"))
    lost.parent.mkdir(parents=True)
    lost.write_bytes(b"A signature")
    statuses = [line.status for line in client.push(name, stream=True)]
    assert sum(status.startswith("warning: left behind sha256:") for status in statuses) == 1
    assert statuses[-1] == "success"


def test_a_single_answer_is_the_last_line(client, own, name):
    copy_name(own.context, MODEL, name)
    assert client.push(name).status == "success"
    assert client.pull(name).status == "success"


def test_what_the_registry_does_not_have_is_said_in_the_stream_or_as_a_status(client, own, name):
    missing = name.replace("tiny", "nothing")
    with pytest.raises(ollama.ResponseError):
        client.pull(missing)
    *_, last = own.lines("/api/pull", model=missing)
    assert "error" in last
    assert own.ask("POST", "/api/pull", {"model": missing, "stream": False}).status_code == 404
    assert own.ask("POST", "/api/push", {"model": missing, "stream": False}).status_code == 404


def test_a_name_without_a_registry_says_what_is_missing(own):
    answer = own.ask("POST", "/api/pull", {"model": "llama3.2", "stream": False})
    assert answer.status_code == 400
    assert "MODELPACK_REGISTRY" in answer.json()["error"]
