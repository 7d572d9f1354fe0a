"""Settings: the environment, read once, as one value; the configuration file is read when asked.

`MODELPACK_*` wins; where one is unset, Ollama's name for the same thing counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from modelpack.content.disk import expanded, home_folder
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.hosts import HostSettings

_FALSE = frozenset(("", "0", "false", "no", "off"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says."""

    models: Path
    """Folder of the store: `MODELPACK_MODELS`, else `OLLAMA_MODELS`, else `~/.modelpack/models`."""
    registry: str = ""
    """Registry (`host[:port][/path]`) of names without one: `MODELPACK_REGISTRY`."""
    history: Path | None
    """Where the interactive session keeps its history; None for a user without a home folder."""
    no_history: bool = False
    """Keep none: `MODELPACK_NOHISTORY`, else `OLLAMA_NOHISTORY`."""
    created: str = ""
    """`SOURCE_DATE_EPOCH` as RFC 3339, where it is set."""
    config: Path | None = None
    """The configuration file: `MODELPACK_CONFIG`, else `~/.modelpack/config.yaml` if it exists."""
    host: str = ""
    """Where the model server is: `MODELPACK_HOST`, else `OLLAMA_HOST`; empty for where it usually
    is."""
    api_key: str = ""
    """The key to show to it: `MODELPACK_API_KEY`."""
    local: bool = False
    """Never ask it: `MODELPACK_LOCAL`."""
    environment: Mapping[str, str]
    """The environment itself, for those who follow other programs' conventions."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read *environment*, by default the process's own.

        Raises:
            InputError: it does not say what it should, or needs a home folder that is not there.
        """
        env = os.environ if environment is None else environment
        home = _home(env)
        models = _first(env, "MODELPACK_MODELS", "OLLAMA_MODELS")
        config = _first(env, "MODELPACK_CONFIG")
        usual = home / "config.yaml" if home else None
        return cls(
            models=expanded(models) if models else _required(home) / "models",
            registry=_first(env, "MODELPACK_REGISTRY").strip("/"),
            history=home / "history" if home else None,
            no_history=_first(env, "MODELPACK_NOHISTORY", "OLLAMA_NOHISTORY").lower() not in _FALSE,
            created=_source_date(env.get("SOURCE_DATE_EPOCH", "")),
            config=expanded(config) if config else usual if usual and usual.is_file() else None,
            host=_first(env, "MODELPACK_HOST", "OLLAMA_HOST"),
            api_key=_first(env, "MODELPACK_API_KEY"),
            local=_first(env, "MODELPACK_LOCAL").lower() not in _FALSE,
            environment=env,
        )

    def registry_host(self, name: str) -> HostSettings:
        """Return what the configuration file says about the registry *name*.

        Raises:
            InputError: the file cannot be read, or does not say what it should.
        """
        from modelpack import hosts

        return hosts.find(hosts.read(self.config), name) if self.config else hosts.HostSettings()


def _first(environment: Mapping[str, str], *names: str) -> str:
    for name in names:
        value = environment.get(name, "").strip().strip("\"'")
        if value:
            return value
    return ""


def _home(environment: Mapping[str, str]) -> Path | None:
    """Return our folder in the user's home; None for a user without one."""
    home = home_folder(environment)
    return home / ".modelpack" if home else None


def _required(home: Path | None) -> Path:
    if home is None:
        raise InputError(
            "this user has no home folder to keep models in", hint="set MODELPACK_MODELS, or HOME"
        )
    return home


def _source_date(epoch: str) -> str:
    """Return seconds since 1970 as RFC 3339.

    See: https://reproducible-builds.org/specs/source-date-epoch/
    """
    if not epoch:
        return ""
    from datetime import UTC, datetime

    try:
        if not epoch.isdecimal():
            raise ValueError  # noqa: TRY301
        return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        raise InputError(f"SOURCE_DATE_EPOCH is not a number of seconds: {epoch[:40]!r}") from None
