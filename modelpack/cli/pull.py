"""`modelpack pull`."""

from typing import Annotated

import typer

from modelpack.cli import _moves
from modelpack.cli._options import (
    CaFile,
    CertFile,
    Concurrency,
    Insecure,
    Json,
    KeyFile,
    LimitRate,
    Quiet,
)


def main(
    model: Annotated[str, typer.Argument(help="HOST/NAME[:TAG][@DIGEST]")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash what is in the store already, too.")
    ] = False,
    insecure: Insecure = False,
    ca_file: CaFile = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
    concurrency: Concurrency = 4,
    limit_rate: LimitRate = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a model from a registry."""
    _moves.pull(
        model,
        verify=verify,
        insecure=insecure,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
        concurrency=concurrency,
        limit_rate=limit_rate,
        as_json=as_json,
        quiet=quiet,
    )
