"""Independent clients against the embedded registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.client


def tool(name):
    found = shutil.which(name) or shutil.which(name, path=str(Path.home() / "go" / "bin"))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command, cwd):
    home = {**os.environ, "HOME": str(cwd), "XDG_RUNTIME_DIR": str(cwd)}
    done = subprocess.run(
        command, cwd=cwd, env=home, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(os.urandom(3_000_000))
    (folder / "card.md").write_text("# A model\n")
    return folder


def test_oras_pushes_attaches_and_pulls(client, files, tmp_path):
    oras = tool("oras")
    where = client.base.removeprefix("http://") + "/demo/oras"
    run(oras, "push", "--plain-http", f"{where}:v1", "weights.bin", "card.md", cwd=files)
    run(
        oras, "attach", "--plain-http", "--artifact-type", "application/x.note",
        f"{where}:v1", "card.md", cwd=files,
    )  # fmt: skip
    found = json.loads(
        run(oras, "discover", "--plain-http", "--format", "json", f"{where}:v1", cwd=files)
    )
    referrers = found.get("referrers") or found.get("manifests")
    assert [entry["artifactType"] for entry in referrers] == ["application/x.note"]
    run(oras, "copy", "--from-plain-http", "--to-plain-http", "-r", f"{where}:v1",
        where.replace("/oras", "/copy") + ":v2", cwd=files)  # fmt: skip
    pulled = tmp_path / "pulled"
    pulled.mkdir()
    run(oras, "pull", "--plain-http", where.replace("/oras", "/copy") + ":v2", cwd=pulled)
    for path in files.iterdir():
        assert (pulled / path.name).read_bytes() == path.read_bytes()
    assert client.ask("GET", "/v2/demo/copy/tags/list").json()["tags"] == ["v2"]


def test_skopeo_copies_in_and_out(client, tmp_path):
    skopeo = tool("skopeo")
    raw = client.manifest()
    layer = client.push(os.urandom(100_000))
    value = json.loads(raw)
    value["layers"] = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 100_000}
    ]
    value["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json"
    raw = json.dumps(value).encode()
    assert client.put_manifest(raw, "v1").status_code == 201
    where = "docker://" + client.base.removeprefix("http://") + "/demo"
    options = ("--insecure-policy", "copy", "--preserve-digests")
    run(skopeo, *options, "--src-tls-verify=false", f"{where}/a:v1", f"oci:{tmp_path}/l:v1",
        cwd=tmp_path)  # fmt: skip
    run(skopeo, *options, "--dest-tls-verify=false", f"oci:{tmp_path}/l:v1", f"{where}/b/c:v2",
        cwd=tmp_path)  # fmt: skip
    assert client.ask("GET", "/v2/demo/b/c/manifests/v2").content == raw
