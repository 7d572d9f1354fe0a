"""`modelpack ps`."""

import time
from typing import Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import PlainJson
from modelpack.cli._server import server
from modelpack.client.models import list_running
from modelpack.config import Settings
from modelpack.runtime.placement.placed import processor

_FOREVER_S = 20 * 365 * 86_400
_SHOWN = 12


def main(
    prefix: Annotated[str, typer.Argument(help="Only names that start so.")] = "",
    as_json: PlainJson = False,
) -> None:
    """List the models that the server has loaded."""
    running = list_running(server(Settings.from_environment()), prefix)
    if as_json:
        _console.json_out(
            [
                {
                    "name": one.name,
                    "digest": f"sha256:{one.digest}",
                    "size": one.size,
                    "size_vram": one.size_vram,
                    "processor": processor(one.size, one.size_vram),
                    "context_length": one.context_length,
                    "expires_at": one.expires_at,
                }
                for one in running
            ]
        )
        return
    rows = [
        (
            one.name,
            one.digest[:_SHOWN],
            _console.format_size(one.size),
            processor(one.size, one.size_vram),
            str(one.context_length),
            _until(one.expires_at),
        )
        for one in running
    ]
    _console.table(("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"), rows)


def _until(expires_at: float) -> str:
    left = expires_at - time.time()
    if left > _FOREVER_S:
        return "Forever"
    return _console.format_ahead(left) if left > 0 else "Stopping..."
