"""`modelpack copy`."""

from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import (
    CaFile,
    CertFile,
    Concurrency,
    Insecure,
    Json,
    KeyFile,
    LimitRate,
    Quiet,
    networked,
)
from modelpack.cli._progress import mode_of, progress
from modelpack.ops.copy import copy_model


def main(
    source: Annotated[str, typer.Argument(help="HOST/NAME[:TAG][@DIGEST]")],
    destination: Annotated[str, typer.Argument(help="HOST/NAME[:TAG]")],
    insecure: Insecure = False,
    ca_file: CaFile = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
    concurrency: Concurrency = 4,
    limit_rate: LimitRate = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy a model from one registry to another, with its signatures."""
    context = networked(
        insecure=insecure,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
        concurrency=concurrency,
        limit_rate=limit_rate,
    )
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        copied = copy_model(context, source, destination, report)
    if as_json:
        _console.json_out(
            {
                "name": copied.reference.name,
                "digest": str(copied.manifest.digest),
                "size": copied.manifest.size,
                "referrers": copied.referrers,
            }
        )
        return
    _console.transferred(copied.reference.name, copied.manifest, quiet=quiet, as_json=False)
    if copied.referrers and not quiet:
        _console.note(f"and {copied.referrers} that refer to it")
