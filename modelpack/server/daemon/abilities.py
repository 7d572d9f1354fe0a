"""What a model can be asked for; what it cannot do is said before it is loaded."""

from __future__ import annotations

from modelpack.engine.purpose import Purpose
from modelpack.runtime.worker.messages import Ask
from modelpack.server.daemon.catalog import Opened
from modelpack.server.daemon.failures import UnableError


def require(opened: Opened, purpose: Purpose, what: str) -> None:
    """Check that the model can be asked for *purpose*.

    Raises:
        UnableError: it cannot; *what* is what the client calls it.
    """
    if opened.purpose != purpose and not (opened.purpose == "text" and purpose == "vectors"):
        raise UnableError(f'"{opened.asked}" does not support {what}')


def able(opened: Opened, wish: Ask) -> None:
    """Check that the model can do what *wish* needs.

    Raises:
        UnableError: it cannot.
    """
    needs = {
        "tools": bool(wish.tools),
        "thinking": bool(wish.think),
        "vision": any(message.images for message in wish.messages),
    }
    for ability, needed in needs.items():
        if needed and ability not in opened.capabilities:
            raise UnableError(f'"{opened.asked}" does not support {ability}')
