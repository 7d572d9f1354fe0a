"""Option types that several commands share."""

import sys
from typing import Annotated, TypeAlias

import typer

from modelpack import limits
from modelpack.errors import InputError
from modelpack.ops.context import Context, Network
from modelpack.sizes import parse_size

Quiet: TypeAlias = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only the digest of the result.")
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout, and progress as JSON lines on stderr.")
]
PlainJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Insecure: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--insecure", help="Do not verify TLS certificates, and allow plain HTTP where TLS fails."
    ),
]
CaFile: TypeAlias = Annotated[
    str,
    typer.Option("--ca-file", metavar="PEM", help="Trust only the authorities in PEM."),
]
CertFile: TypeAlias = Annotated[
    str,
    typer.Option("--cert-file", metavar="PEM", help="Show the registry this client certificate."),
]
KeyFile: TypeAlias = Annotated[
    str,
    typer.Option("--key-file", metavar="PEM", help="Its key; default: in the same file."),
]
Concurrency: TypeAlias = Annotated[
    int, typer.Option("--concurrency", min=1, max=64, help="Layers that move at a time.")
]
LimitRate: TypeAlias = Annotated[
    str,
    typer.Option("--limit-rate", metavar="SIZE", help="Bytes a second at most, such as 50MiB."),
]

_SLOWEST = 16 * limits.KiB


def networked(
    *,
    insecure: bool,
    ca_file: str,
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


def piped_text(limit: int) -> str:
    """Return what was piped in, at most *limit* bytes of it.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return sys.stdin.buffer.read(limit).decode()
    except UnicodeDecodeError:
        raise InputError("what was piped in is not UTF-8 text") from None


def parse_rate(text: str) -> int:
    """Return the bytes a second that *text* means, such as `50MiB` or `50MiB/s`.

    Raises:
        InputError: it is not a size, or so small that registries would give up.
    """
    rate = parse_size(text.strip().removesuffix("/s"))
    if rate < _SLOWEST:
        raise InputError(f"--limit-rate {text} is less than 16KiB a second")
    return rate
