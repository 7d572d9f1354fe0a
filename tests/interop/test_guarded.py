"""Registries with TLS and passwords: one login serves us, skopeo and oras."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fakes.certificates import certs_d
from fakes.debian import docker_registry
from support.ggufs import write_model

from modelpack.server.registry import RegistrySettings, running

pytestmark = [pytest.mark.client, pytest.mark.registry]
COPY = ("--insecure-policy", "copy", "--preserve-digests")


def users(path: Path, **passwords: str) -> Path:
    """Write an htpasswd file; bcrypt at its cheapest."""
    program = shutil.which("htpasswd")
    if program is None:
        pytest.skip("htpasswd is not installed")
    lines = [
        subprocess.run(
            [program, "-Bbn", "-C", "4", *pair], capture_output=True, text=True, check=True
        ).stdout.strip()
        for pair in passwords.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def secure(tmp_path, authority, clean_environment):
    """The `host:port` of a docker-registry with TLS, which docker's folder trusts, and a user."""
    htpasswd = users(tmp_path / "users", ann="s3cret")
    certificate = authority / "server.pem"
    with docker_registry(tmp_path / "secure", htpasswd, certificate) as host:
        certs_d(clean_environment, host, ca_crt=authority / "ca.pem")
        yield host


@pytest.fixture
def guarded(tmp_path):
    """The `host:port` of our own registry with a user."""
    htpasswd = users(tmp_path / "our-users", ben="other")
    settings = RegistrySettings(root=tmp_path / "ours", listen="127.0.0.1:0", htpasswd=htpasswd)
    with running(settings) as base:
        yield base.removeprefix("http://")


@pytest.fixture
def pushed(modelpack, secure, tmp_path):
    """A model in the registry with TLS, after a login; returns name, digest and the GGUF."""
    source = write_model(tmp_path / "weights.gguf")
    (tmp_path / "Modelfile").write_text("FROM weights.gguf\nSYSTEM Be brief.\n")
    modelpack("build", "-q", "-t", "tiny", ".", cwd=tmp_path)
    modelpack("login", "-u", "ann", "--password-stdin", secure, cwd=tmp_path, stdin="s3cret")
    name = f"{secure}/team/tiny:v1"
    digest = modelpack("push", "-q", "tiny", name, cwd=tmp_path).strip()
    modelpack("rm", "tiny", cwd=tmp_path)
    return name, digest, source


def emptied(store: str, monkeypatch) -> None:
    """Use another, empty store from now on."""
    monkeypatch.setenv("MODELPACK_MODELS", f"{os.environ['MODELPACK_MODELS']}-{store}")


def test_skopeo_copies_with_our_login_and_we_pull_the_copy(
    modelpack, skopeo, pushed, authority, tmp_path, monkeypatch
):
    name, digest, source = pushed
    (tmp_path / "trusted").mkdir()
    shutil.copy(authority / "ca.pem", tmp_path / "trusted" / "ca.crt")
    copy = name.replace("tiny", "copy")
    folders = ("--src-cert-dir", "trusted", "--dest-cert-dir", "trusted")
    skopeo(*COPY, *folders, f"docker://{name}", f"docker://{copy}", cwd=tmp_path)
    emptied("there", monkeypatch)
    assert modelpack("pull", "-q", copy, cwd=tmp_path).strip() == digest
    modelpack("export", copy, "back.gguf", cwd=tmp_path)
    assert (tmp_path / "back.gguf").read_bytes() == source


def test_oras_pulls_with_our_login_and_has_the_same_bytes(oras, pushed, authority, tmp_path):
    name, _, source = pushed
    folder = tmp_path / "pulled"
    folder.mkdir()
    oras("pull", "--ca-file", authority / "ca.pem", name, cwd=folder)
    assert (folder / "weights.gguf").read_bytes() == source
    assert (folder / "modelpack" / "system").read_text() == "Be brief."


def test_copy_knows_the_login_of_either_side(modelpack, pushed, guarded, tmp_path, monkeypatch):
    name, digest, source = pushed
    modelpack("login", "-u", "ben", "--password-stdin", guarded, cwd=tmp_path, stdin="other")
    target = f"{guarded}/models/tiny:v2"
    assert digest in modelpack("copy", name, target, cwd=tmp_path)
    emptied("there", monkeypatch)
    assert modelpack("pull", "-q", target, cwd=tmp_path).strip() == digest
    modelpack("export", target, "back.gguf", cwd=tmp_path)
    assert (tmp_path / "back.gguf").read_bytes() == source


def test_after_a_logout_nothing_is_given(modelpack, pushed, secure, tmp_path):
    name, _, _ = pushed
    modelpack("logout", secure, cwd=tmp_path)
    with pytest.raises(AssertionError, match="modelpack login"):
        modelpack("pull", name, cwd=tmp_path)
