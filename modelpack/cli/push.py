"""`modelpack push`."""

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
    model: Annotated[str, typer.Argument(help="The local model.")],
    destination: Annotated[
        str, typer.Argument(help="HOST/NAME[:TAG]; default: as the model is called.")
    ] = "",
    insecure: Insecure = False,
    ca_file: CaFile = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
    concurrency: Concurrency = 4,
    limit_rate: LimitRate = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Send a model to a registry."""
    _moves.push(
        model,
        destination,
        insecure=insecure,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
        concurrency=concurrency,
        limit_rate=limit_rate,
        as_json=as_json,
        quiet=quiet,
    )
