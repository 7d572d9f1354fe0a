"""Artifacts that other clients carry: what they see, what they leave, and what they make."""

from __future__ import annotations

import hashlib
import json

import pytest
from engine.real import ANSWER, QUESTION, TINY, asked, load_weights, request, require
from fakes.models import (
    ARTIFACT_TYPE,
    CONFIG_LAYER_TYPE,
    CONFIG_TYPE,
    WEIGHT_TYPE,
    build_model,
    context_at,
)
from support.ggufs import write_model
from support.models import LAYERED, make

from modelpack import chat
from modelpack.builder.plan import Cut
from modelpack.engine.base import Delta
from modelpack.ops.export import export
from modelpack.ops.listing import list_models
from modelpack.ops.models import describe
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.ops.run import load_model, stored_model
from modelpack.template.chat import ChatMessage

pytestmark = [pytest.mark.client, pytest.mark.registry]


@pytest.fixture
def here(tmp_path):
    return context_at(tmp_path / "here")


@pytest.fixture
def there(tmp_path):
    return context_at(tmp_path / "there")


def push_tiny(here, tmp_path, name):
    """Push the tiny model, cut into layers of a quarter of a megabyte."""
    text = f"FROM {require(TINY)}\nPARAMETER temperature 0\nPARAMETER num_predict 30\n"
    make(here, text, tmp_path, "tiny", cut=Cut(size=250_000))
    _, manifest = push(here, "tiny", name)
    assert len(manifest.layers) > 4
    return manifest


def answer_of(model):
    said = []
    with load_model(model) as loaded:
        chat.answer(
            loaded, [ChatMessage(role="user", content=QUESTION)], said.append, chat.Manner()
        )
    return "".join(said)


@pytest.mark.model
def test_what_oras_pulls_is_loaded_by_llama_cpp_as_it_is(oras, repo, here, tmp_path):
    push_tiny(here, tmp_path, f"{repo}:v1")
    folder = tmp_path / "pulled"
    folder.mkdir()
    oras("pull", "--plain-http", f"{repo}:v1", cwd=folder)
    shards = sorted(folder.glob("*.gguf"))
    assert len(shards) > 2
    assert shards[0].name == f"tiny-00001-of-{len(shards):05}.gguf"
    with load_weights(shards[0]) as engine:
        events = engine.loop.run(request(engine, asked(), temperature=0.0))
        said = "".join(event.text for event in events if isinstance(event, Delta))
    assert said == ANSWER


@pytest.mark.model
def test_what_skopeo_copied_there_and_back_runs(skopeo, repo, here, there, tmp_path):
    pushed = push_tiny(here, tmp_path, f"{repo}:v1")
    copy = ("--insecure-policy", "copy", "--all", "--preserve-digests")
    skopeo(*copy, "--src-tls-verify=false", f"docker://{repo}:v1", "oci:layout:v1", cwd=tmp_path)
    skopeo(*copy, "--dest-tls-verify=false", "oci:layout:v1", f"docker://{repo}-copy:v2",
           cwd=tmp_path)  # fmt: skip
    _, pulled = pull(there, f"{repo}-copy:v2")
    assert pulled.raw == pushed.raw
    assert answer_of(stored_model(there, f"{repo}-copy:v2")).rstrip("\n") == ANSWER


@pytest.mark.model
def test_what_oras_copied_gives_back_the_very_gguf(oras, repo, here, there, tmp_path):
    push_tiny(here, tmp_path, f"{repo}:v1")
    oras("copy", "--from-plain-http", "--to-plain-http", f"{repo}:v1", f"{repo}-copy:v2",
         cwd=tmp_path)  # fmt: skip
    pull(there, f"{repo}-copy:v2")
    (written,) = export(there, f"{repo}-copy:v2", tmp_path / "back.gguf")
    assert written.digest.hex == hashlib.sha256(TINY.read_bytes()).hexdigest()


def test_oras_sees_the_media_types_of_the_format(oras, repo, here, tmp_path):
    build_model(here, tmp_path, "tiny", cut=LAYERED)
    push(here, "tiny", f"{repo}:v1")
    text = oras("manifest", "fetch", "--plain-http", f"{repo}:v1", cwd=tmp_path)
    value = json.loads(text)
    assert value["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert value["artifactType"] == ARTIFACT_TYPE
    assert value["config"]["mediaType"] == CONFIG_TYPE
    *weights, system, params = value["layers"]
    assert {layer["mediaType"] for layer in weights} == {WEIGHT_TYPE}
    assert {layer["mediaType"] for layer in (system, params)} == {CONFIG_LAYER_TYPE}
    paths = [layer["annotations"]["org.cncf.model.filepath"] for layer in value["layers"]]
    count = len(weights)
    assert paths == [
        *(f"weights-{i + 1:05}-of-{count:05}.gguf" for i in range(count)),
        "modelpack/system",
        "modelpack/params.json",
    ]
    for layer, path in zip(value["layers"], paths, strict=True):
        assert layer["annotations"]["org.opencontainers.image.title"] == path
        metadata = json.loads(layer["annotations"]["org.cncf.model.file.metadata+json"])
        assert metadata["size"] == layer["size"]


def test_what_oras_made_is_pulled_and_listed(oras, repo, there, tmp_path):
    folder = tmp_path / "files"
    source = write_model(folder / "x.gguf")
    (folder / "config.json").write_text(json.dumps({"descriptor": {}, "config": {}}))
    oras("push", "--plain-http", "--artifact-type", ARTIFACT_TYPE, f"{repo}:v1",
         "--config", f"config.json:{CONFIG_TYPE}", f"x.gguf:{WEIGHT_TYPE}",
         cwd=folder)  # fmt: skip
    pull(there, f"{repo}:v1")
    assert [model.name for model in list_models(there, pytest.fail)] == [f"{repo}:v1"]
    description = describe(there, f"{repo}:v1")
    assert description.summary.architecture == "llama"
    assert [layer[:2] for layer in description.layers] == [("model", "x.gguf")]
    (written,) = export(there, f"{repo}:v1", tmp_path / "back.gguf")
    assert written.path.read_bytes() == source
