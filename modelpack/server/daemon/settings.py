"""What the server is told by the environment, and the list of what can be said."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from modelpack.address import Address, parse_address
from modelpack.content.disk import expanded
from modelpack.errors import InputError
from modelpack.sizes import parse_keep_alive

_log = logging.getLogger("modelpack.server")
_FALSE = frozenset(("", "0", "f", "false"))
_CACHE_TYPES = ("f16", "q8_0", "q4_0")


class Variable(NamedTuple):
    """A variable of the environment: `MODELPACK_` and its name, where unset `OLLAMA_` and that."""

    name: str
    default: str
    meaning: str
    ollama: bool = True
    """Whether Ollama's name for it counts, too."""


VARIABLES = (
    Variable("HOST", "127.0.0.1:11434", "where to listen, and where clients ask"),
    Variable("MODELS", "~/.modelpack/models", "folder of the store"),
    Variable("KEEP_ALIVE", "5m", "how long a model stays loaded; 0 for no time, -1 for ever"),
    Variable("LOAD_TIMEOUT", "5m", "how long loading may make no progress; 0 for ever"),
    Variable("MAX_LOADED_MODELS", "0", "models loaded at a time; 0 for 3, or 3 for each GPU"),
    Variable("NUM_PARALLEL", "4", "requests that a model answers at the same time"),
    Variable("MAX_QUEUE", "512", "requests that may wait; later ones get 503"),
    Variable("CONTEXT_LENGTH", "0", "tokens of context where nobody says; 0 for up to 4096"),
    Variable("KV_CACHE_TYPE", "f16", "numbers in the context's memory: f16, q8_0 or q4_0"),
    Variable("FLASH_ATTENTION", "auto", "1 or 0; unset for what is faster"),
    Variable("ORIGINS", "", "web origins that may ask, besides those of this machine; commas"),
    Variable("API_KEYS_FILE", "", "who may do what; see `modelpack keys`", ollama=False),
    Variable("PULL_HOSTS", "*", "registries that may be pulled from and pushed to", ollama=False),
    Variable("REGISTRY", "", "registry of names without a host", ollama=False),
    Variable("LOG_FORMAT", "text", "text or json", ollama=False),
    Variable("DEBUG", "0", "1 for more log"),
    Variable("DEBUG_LOG_REQUESTS", "0", "1 to log what users write"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How to serve."""

    address: Address
    keep_alive_s: float
    """Seconds that a model stays loaded after its last request; infinity for ever."""
    load_timeout_s: float | None
    max_loaded_models: int
    """0 leaves it to the number of GPUs."""
    num_parallel: int
    max_queue: int
    context_length: int
    kv_cache_type: str
    flash_attention: str
    """`auto`, `on` or `off`."""
    origins: tuple[str, ...]
    api_keys_file: Path | None
    no_auth: bool = False
    """Whether the user said that everybody who reaches us may do everything."""
    pull_hosts: tuple[str, ...] = ("*",)
    log_format: str = "text"
    debug: bool = False
    log_requests: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, no_auth: bool = False) -> Self:
        """Read *environment*.

        A number that cannot be read is said and counts as unset, as with Ollama.

        Raises:
            InputError: an address, a time or a name cannot be read.
        """
        said = {variable.name: value_of(variable, environment) for variable in VARIABLES}
        cache = said["KV_CACHE_TYPE"].lower()
        if cache not in _CACHE_TYPES:
            raise InputError(
                f"KV_CACHE_TYPE is {cache!r}", hint=f"one of {', '.join(_CACHE_TYPES)}"
            )
        timeout = parse_keep_alive(said["LOAD_TIMEOUT"])
        keys = said["API_KEYS_FILE"]
        return cls(
            address=parse_address(said["HOST"]),
            keep_alive_s=parse_keep_alive(said["KEEP_ALIVE"]),
            load_timeout_s=timeout if 0 < timeout < float("inf") else None,
            max_loaded_models=_count(said, "MAX_LOADED_MODELS"),
            num_parallel=max(1, _count(said, "NUM_PARALLEL")),
            max_queue=_count(said, "MAX_QUEUE"),
            context_length=_count(said, "CONTEXT_LENGTH"),
            kv_cache_type=cache,
            flash_attention=_flash(said["FLASH_ATTENTION"]),
            origins=_list(said["ORIGINS"]),
            api_keys_file=expanded(keys) if keys else None,
            no_auth=no_auth,
            pull_hosts=_list(said["PULL_HOSTS"]),
            log_format=said["LOG_FORMAT"],
            debug=_flag(said["DEBUG"]),
            log_requests=_flag(said["DEBUG_LOG_REQUESTS"]),
        )


def value_of(variable: Variable, environment: Mapping[str, str]) -> str:
    """Return what *environment* says for *variable*, or its default."""
    names = [f"MODELPACK_{variable.name}"]
    names += [f"OLLAMA_{variable.name}"] if variable.ollama else []
    for name in names:
        value = environment.get(name, "").strip().strip("\"'")
        if value:
            return value
    return variable.default


def _count(said: Mapping[str, str], name: str) -> int:
    text = said[name]
    if text.isascii() and text.isdigit() and len(text) <= len(str(2**31)):
        return int(text)
    default = next(variable.default for variable in VARIABLES if variable.name == name)
    _log.warning("%s is not a number: %s; %s is used", name, text[:40], default)
    return int(default)


def _flag(text: str) -> bool:
    """Return what *text* means; whatever is not plainly no is yes, as with Ollama."""
    return text.lower() not in _FALSE


def _flash(text: str) -> str:
    if text.lower() in ("", "auto"):
        return "auto"
    return "on" if _flag(text) else "off"


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
