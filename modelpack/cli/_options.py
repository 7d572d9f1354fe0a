"""Option types that several commands share."""

import sys
from typing import Annotated, TypeAlias

import typer

from modelpack import limits
from modelpack.errors import InputError
from modelpack.ops.context import Context, Network

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
    typer.Option("--ca-file", metavar="PEM", help="Trust the certificate authorities in PEM."),
]
Concurrency: TypeAlias = Annotated[
    int, typer.Option("--concurrency", min=1, max=64, help="Layers that move at a time.")
]

_UNITS = {
    "": 1,
    "b": 1,
    "kib": limits.KiB,
    "mib": limits.MiB,
    "gib": limits.GiB,
    "k": limits.KiB,
    "m": limits.MiB,
    "g": limits.GiB,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
}


def networked(*, insecure: bool, ca_file: str, concurrency: int = 4) -> Context:
    """Return a context that reaches registries as the flags say."""
    from pathlib import Path

    if ca_file and not Path(ca_file).is_file():
        raise InputError(f"no such file: {ca_file}", hint="--ca-file names a PEM file")
    network = Network(insecure=insecure, ca_file=ca_file, concurrency=concurrency)
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


def parse_size(text: str) -> int:
    """Return the bytes that *text* means, such as `512MiB` or `1GB`.

    Raises:
        InputError: it is not a size.
    """
    number = text.strip().rstrip("KMGBkmgbi ")
    unit = text.strip()[len(number) :].strip().lower()
    try:
        size = int(float(number) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        size = 0
    if size <= 0:
        raise InputError(f"not a size: {text!r}", hint="a number and B, KiB, MiB, GiB, MB or GB")
    return size
