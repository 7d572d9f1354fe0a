"""A folder that Ollama made lists, shows and runs as it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from support.serving import ANSWER, EXAMPLE, GREEDY, QUESTION, context_of, serving

pytestmark = pytest.mark.model

PREFIX = "application/vnd.ollama.image."


def add(root: Path, data: bytes) -> dict[str, object]:
    """Put a blob where Ollama puts it."""
    digest = hashlib.sha256(data).hexdigest()
    path = root / "blobs" / f"sha256-{digest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def ollama_model(
    root: Path, name: str, *, renderer: str = "", weights: bool = True, **texts: bytes
) -> None:
    """Write a model as Ollama does, with a layer for each of *texts*."""
    config = {
        "model_format": "gguf",
        "model_family": "llama",
        "model_families": ["llama"],
        "model_type": "902.27K",
        "file_type": "F16",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    if renderer:
        config |= {"renderer": renderer, "parser": renderer, "requires": "0.14.0"}
    blobs = {"model": (EXAMPLE / "tiny.gguf").read_bytes()} if weights else {}
    layers = [
        {"mediaType": f"{PREFIX}{kind}", **add(root, text)}
        for kind, text in (blobs | texts).items()
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            **add(root, json.dumps(config).encode()),
        },
        "layers": layers,
    }
    path = root / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("ollama") / "models"
    params = json.dumps({"temperature": 0, "num_thread": 1, "stop": ["<|im_end|>"]}).encode()
    ollama_model(
        root,
        "registry.ollama.ai/library/tiny/latest",
        params=params,
        system=b"You are called Ada.",
        license=b"MIT",
    )
    ollama_model(root, "registry.ollama.ai/Someone/My_Model/Q4", params=params)
    ollama_model(
        root,
        "registry.ollama.ai/library/rendered/latest",
        renderer="qwen3-coder",
        params=params,
        template=b"{{ .Prompt }}",
    )
    ollama_model(
        root,
        "registry.ollama.ai/library/bare/latest",
        params=params,
        template=b"{{ .Prompt }}",
    )
    ollama_model(root, "hf.co/Someone/Tiny-GGUF/F16", params=params)
    with serving(context_of(root)) as served:
        yield served


def test_names_are_shown_as_ollama_shows_them(folder):
    names = {model["name"] for model in folder.ask("GET", "/api/tags").json()["models"]}
    assert names == {
        "tiny:latest",
        "rendered:latest",
        "bare:latest",
        "Someone/My_Model:Q4",
        "hf.co/Someone/Tiny-GGUF:F16",
    }


def test_what_is_known_comes_out_of_its_config(folder):
    models = folder.ask("GET", "/api/tags").json()["models"]
    (tiny,) = [model for model in models if model["name"] == "tiny:latest"]
    assert tiny["details"]["family"] == "llama"
    assert tiny["details"]["parameter_size"] == "902.27K"
    assert tiny["details"]["quantization_level"] == "F16"
    shown = folder.post("/api/show", model="tiny")
    assert shown["license"] == "MIT"
    assert shown["system"] == "You are called Ada."
    assert "temperature" in shown["parameters"]


@pytest.mark.parametrize(
    "name",
    ["Someone/My_Model:Q4", "hf.co/Someone/Tiny-GGUF:F16", "registry.ollama.ai/library/tiny"],
)
def test_models_run_by_every_name(folder, name):
    said = folder.post(
        "/api/chat", model=name, messages=[{"role": "user", "content": QUESTION}], options=GREEDY
    )
    assert said["message"]["content"] == ANSWER or "tiny" in name


def test_the_system_prompt_counts(folder):
    said = folder.post(
        "/api/chat", model="tiny", messages=[{"role": "user", "content": "Who are you?"}]
    )
    assert "Ada" in said["message"]["content"]


def test_where_ollama_has_a_renderer_the_template_of_the_gguf_makes_prompts(folder):
    messages = [{"role": "user", "content": QUESTION}]
    said = folder.post("/api/chat", model="rendered", messages=messages, options=GREEDY)
    assert said["message"]["content"] == ANSWER
    said = folder.post("/api/chat", model="bare", messages=messages, options=GREEDY)
    assert said["message"]["content"] != ANSWER
    shown = folder.post("/api/show", model="rendered")
    assert (shown["renderer"], shown["parser"]) == ("qwen3-coder", "qwen3-coder")
    assert "tools" in shown["capabilities"]
    assert "tools" not in folder.post("/api/show", model="bare")["capabilities"]


def test_nothing_in_the_folder_is_changed_by_reading(folder):
    root = folder.context.store.layout.root
    assert {path.name for path in root.iterdir()} <= {"blobs", "manifests", ".lock"}


def test_models_are_copied_and_deleted(folder):
    body = {"source": "Someone/My_Model:Q4", "destination": "mine"}
    assert folder.ask("POST", "/api/copy", body).status_code == 200
    assert folder.ask("DELETE", "/api/delete", {"model": "mine"}).status_code == 200
    assert folder.post("/api/show", model="Someone/My_Model:Q4")["details"]


def test_what_ollama_has_a_renderer_for_can_be_built_upon(folder):
    body = {"model": "mine", "from": "rendered", "system": "Be brief."}
    assert folder.ask("POST", "/api/create", body).status_code == 200
    shown = folder.post("/api/show", model="mine")
    assert (shown["renderer"], shown["requires"]) == ("qwen3-coder", "0.14.0")


def test_a_model_without_weights_is_listed_and_hides_no_other(tmp_path):
    template = b"{{ .Prompt }}"
    for name, weights in (("here", True), ("elsewhere", False)):
        place = f"registry.ollama.ai/library/{name}/latest"
        ollama_model(tmp_path, place, renderer="qwen3-coder", weights=weights, template=template)
    with serving(context_of(tmp_path)) as served:
        models = {m["name"]: m for m in served.ask("GET", "/api/tags").json()["models"]}
    assert set(models) == {"here:latest", "elsewhere:latest"}
    assert "tools" in models["here:latest"]["capabilities"]
