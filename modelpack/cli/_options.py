"""Option types that several commands share."""

import sys
from typing import Annotated, TypeAlias

import typer

from modelpack.cli._network import networked as networked  # noqa: PLC0414 - for those who take the options
from modelpack.errors import InputError

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


def piped_text(limit: int) -> str:
    """Return what was piped in, at most *limit* bytes of it.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return sys.stdin.buffer.read(limit).decode()
    except UnicodeDecodeError:
        raise InputError("what was piped in is not UTF-8 text") from None
