"""The official conformance suite of the distribution specification."""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from modelpack.server.registry import RegistrySettings, running

INSTALL = "go install github.com/opencontainers/distribution-spec/conformance@latest"


@pytest.fixture(scope="module")
def suite():
    found = shutil.which("conformance") or shutil.which(
        "conformance", path=str(Path.home() / "go" / "bin")
    )
    if found is None:
        pytest.skip(f"the conformance suite is not installed: {INSTALL}")
    return found


@pytest.mark.client
@pytest.mark.parametrize("version", ["1.1", "dev"])
def test_the_registry_conforms_without_a_failure_or_a_skip(suite, root, tmp_path, version):
    results = tmp_path / "results"
    results.mkdir()
    with running(RegistrySettings(root=root, listen="127.0.0.1:0")) as base:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("OCI_")},
            "OCI_REGISTRY": base.removeprefix("http://"),
            "OCI_TLS": "disabled",
            "OCI_VERSION": version,
            "OCI_RESULTS_DIR": str(results),
        }
        done = subprocess.run(
            [suite],
            cwd=results,
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-4000:]
    counts = ElementTree.parse(results / "junit.xml").getroot().attrib
    assert [counts.get(bad, "0") for bad in ("failures", "errors", "skipped")] == ["0", "0", "0"]
    assert int(counts["tests"]) > 800
    leftovers = [path for path in root.rglob("*") if path.is_file()]
    assert [path.name for path in leftovers] == ["lock"]
