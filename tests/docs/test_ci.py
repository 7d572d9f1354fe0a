"""`docs/ci`: the steps of both pipelines publish a model, as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest
import requests
import yaml

from docs import examples
from modelpack.server.registry import RegistrySettings, running

FOLDER = examples.ROOT / "docs" / "ci"
USER, PASSWORD = "ci-user", "s3cret word"
MODELFILE = "FROM ./example.gguf\nSYSTEM You answer in one sentence.\n"
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
"""How both services run scripts."""


@pytest.fixture
def registry(tmp_path):
    users = tmp_path / "htpasswd"
    users.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}\n")
    settings = RegistrySettings(root=tmp_path / "registry", listen="127.0.0.1:0", htpasswd=users)
    with running(settings) as url:
        yield url.removeprefix("http://")


@pytest.fixture
def runner(tmp_path, clean_environment):
    return Runner(tmp_path, clean_environment)


class Runner:
    """A checkout with a model, and bash with `modelpack` and a `pip` that takes notes."""

    def __init__(self, root: Path, home: Path) -> None:
        self.checkout = root / "checkout"
        self.checkout.mkdir()
        examples.write_files(self.checkout)
        (self.checkout / "Modelfile").write_text(MODELFILE)
        self._notes = root / "pip"
        programs = root / "bin"
        programs.mkdir()
        own = Path(sys.executable).parent / "modelpack"
        if not own.exists():
            pytest.skip("modelpack is not installed")
        (programs / "modelpack").symlink_to(own)
        (programs / "pip").write_text(f'#!/bin/sh\necho "$@" >> "{self._notes}"\n')
        (programs / "pip").chmod(0o755)
        self.environment = {
            "HOME": str(home),
            "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "TMPDIR": str(root),
        }

    def run(self, script: str, environment: dict[str, str]) -> None:
        """Run *script* in the checkout; it must succeed."""
        done = subprocess.run(
            [*BASH, script],
            cwd=self.checkout,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"

    @property
    def installed(self) -> list[str]:
        """What pip was called with."""
        return self._notes.read_text().splitlines()

    @property
    def digest(self) -> str:
        """What the pipeline left in its digest file."""
        return (self.checkout / "digest.txt").read_text().strip()


def served_digest(registry, name, tag):
    answer = requests.head(
        f"http://{registry}/v2/{name}/manifests/{tag}", auth=(USER, PASSWORD), timeout=10
    )
    return answer.status_code, answer.headers.get("Docker-Content-Digest")


def filled(text, values):
    """Return *text* with GitHub's expressions replaced; all of them must be known."""
    return re.sub(r"\$\{\{ *(.+?) *\}\}", lambda match: values[match[1]], str(text))


def run_github(runner, registry, ref):
    workflow = yaml.safe_load((FOLDER / "github-actions.yml").read_text())
    assert workflow["defaults"]["run"]["shell"] == "bash"
    notes = runner.checkout.parent / "github-env"
    expressions = {"secrets.GITHUB_TOKEN": PASSWORD, "runner.temp": str(notes.parent / "temp")}
    environment = {
        **workflow["env"],
        "REGISTRY": registry,
        "GITHUB_ACTOR": USER,
        "GITHUB_ENV": str(notes),
        "GITHUB_REF_NAME": ref,
        "GITHUB_REPOSITORY": "Team/Qwen3",
    }
    for step in workflow["jobs"]["publish"]["steps"]:
        if "uses" in step:
            continue
        notes.touch()
        written = dict(line.split("=", 1) for line in notes.read_text().splitlines())
        own = {key: filled(value, expressions) for key, value in step.get("env", {}).items()}
        runner.run(step["run"], environment | written | own)


def run_gitlab(runner, registry, ref):
    job = yaml.safe_load((FOLDER / "gitlab-ci.yml").read_text())["publish-model"]
    predefined = {
        "CI_COMMIT_REF_NAME": ref,
        "CI_PROJECT_DIR": str(runner.checkout),
        "CI_REGISTRY": registry,
        "CI_REGISTRY_IMAGE": f"{registry}/team/qwen3",
        "CI_REGISTRY_PASSWORD": PASSWORD,
        "CI_REGISTRY_USER": USER,
    }
    own = {
        key: re.sub(r"\$(\w+)", lambda match: predefined[match[1]], value)
        for key, value in job["variables"].items()
    }
    runner.run("\n".join(job["script"]), predefined | own)


@pytest.mark.parametrize("pipeline", [run_github, run_gitlab])
@pytest.mark.parametrize(("ref", "tag"), [("v1.2", "v1.2"), ("feature/x#1", "feature-x-1")])
def test_a_pipeline_publishes_the_model_under_its_name_and_digest(
    runner, registry, pipeline, ref, tag
):
    pipeline(runner, registry, ref)
    assert runner.installed == ["install modelpack-oci"]
    assert served_digest(registry, "team/qwen3", tag) == (200, runner.digest)


@pytest.mark.parametrize("pipeline", [run_github, run_gitlab])
def test_a_pipeline_that_runs_again_publishes_the_same_digest(runner, registry, pipeline):
    pipeline(runner, registry, "main")
    first = runner.digest
    pipeline(runner, registry, "main")
    assert runner.digest == first


@pytest.mark.parametrize("pipeline", [run_github, run_gitlab])
def test_a_pipeline_fails_where_the_login_is_refused(runner, registry, pipeline, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PASSWORD", "wrong")
    with pytest.raises(AssertionError, match="modelpack login"):
        pipeline(runner, registry, "main")
    assert not (runner.checkout / "digest.txt").exists()


def test_the_workflow_may_write_packages_and_nothing_else():
    workflow = yaml.safe_load((FOLDER / "github-actions.yml").read_text())
    assert workflow["permissions"] == {"contents": "read", "packages": "write"}
    assert workflow["env"] == {"REGISTRY": "ghcr.io"}


def test_the_caches_keep_the_store():
    steps = yaml.safe_load((FOLDER / "github-actions.yml").read_text())["jobs"]["publish"]["steps"]
    (cache,) = [s for s in steps if s.get("uses", "").startswith("actions/cache@")]
    assert cache["with"]["path"] == "~/.modelpack/models"
    job = yaml.safe_load((FOLDER / "gitlab-ci.yml").read_text())["publish-model"]
    assert job["cache"]["paths"] == [".modelpack/"]
    assert job["variables"]["MODELPACK_MODELS"] == "$CI_PROJECT_DIR/.modelpack"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_readme_names_both_files():
    text = (FOLDER / "README.md").read_text()
    for path in FOLDER.glob("*.yml"):
        assert f"({path.name})" in text
