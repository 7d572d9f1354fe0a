"""`modelpack stop`."""

from typing import Annotated

import typer

from modelpack.cli._server import server
from modelpack.client.models import stop
from modelpack.config import Settings
from modelpack.errors import NotFoundError


def main(model: Annotated[str, typer.Argument(help="The model.")]) -> None:
    """Have the server unload a model."""
    try:
        stop(server(Settings.from_environment()), model)
    except NotFoundError:
        raise NotFoundError(
            f'couldn\'t find model "{model}" to stop', hint="`modelpack ps` lists what is loaded"
        ) from None
