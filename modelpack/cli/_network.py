"""How the options say that registries are reached."""

from __future__ import annotations

from typing import TypedDict

from modelpack import limits
from modelpack.errors import InputError
from modelpack.ops.context import Context, Network
from modelpack.sizes import parse_size

_SLOWEST = 16 * limits.KiB


class Reached(TypedDict, total=False):
    """What the options say, for `networked`."""

    insecure: bool
    ca_file: str
    cert_file: str
    key_file: str
    concurrency: int
    limit_rate: str


def networked(
    *,
    insecure: bool = False,
    ca_file: str = "",
    cert_file: str = "",
    key_file: str = "",
    concurrency: int = 4,
    limit_rate: str = "",
) -> Context:
    """Return a context that reaches registries as the flags say."""
    from pathlib import Path

    named = {"--ca-file": ca_file, "--cert-file": cert_file, "--key-file": key_file}
    for option, path in named.items():
        if path and not Path(path).is_file():
            raise InputError(f"no such file: {path}", hint=f"{option} names a PEM file")
    if key_file and not cert_file:
        raise InputError("--key-file needs --cert-file")
    network = Network(
        insecure=insecure,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
        concurrency=concurrency,
        limit_rate=parse_rate(limit_rate) if limit_rate else 0,
    )
    return Context.create(network=network)


def parse_rate(text: str) -> int:
    """Return the bytes a second that *text* means, such as `50MiB` or `50MiB/s`.

    Raises:
        InputError: it is not a size, or so small that registries would give up.
    """
    rate = parse_size(text.strip().removesuffix("/s"))
    if rate < _SLOWEST:
        raise InputError(f"--limit-rate {text} is less than 16KiB a second")
    return rate
