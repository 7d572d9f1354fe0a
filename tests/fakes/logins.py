"""Logins as docker keeps them."""

from __future__ import annotations

import base64
import json
from pathlib import Path


def pair(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def stored(home: Path, host: str, **entry: str) -> None:
    """Write docker's config with *entry* for *host*."""
    folder = home / ".docker"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {host: entry}}))


def logged_in(home: Path, host: str, password: str = "s3cret") -> None:
    stored(home, host, auth=pair("ann", password))


def helper(folder: Path, name: str, script: str) -> Path:
    """Write the credential helper *name* into *folder*, in sh."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
