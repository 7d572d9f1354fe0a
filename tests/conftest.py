"""What every test gets: an environment that touches nothing of the person who runs it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from modelpack import limits

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in the background of a shell script
    signal.signal(signal.SIGINT, signal.default_int_handler)

_OURS = (
    "MODELPACK_", "OLLAMA_", "REGISTRY_AUTH_FILE", "DOCKER_", "SOURCE_DATE_EPOCH",
    "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip


@pytest.fixture(autouse=True)
def clean_environment(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Point HOME, docker's configuration and the store into a fresh folder; return that home."""
    for name in os.environ:
        if name.startswith(_OURS) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DOCKER_CONFIG", str(home / ".docker"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("MODELPACK_MODELS", str(home / "models"))
    return home


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a registry again without a pause worth the name."""
    monkeypatch.setattr(limits, "RETRY_BASE_S", 0.001)
