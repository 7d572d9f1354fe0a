"""uvicorn, as the registry needs it: applications may let the kernel send files."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from modelpack.server.hosting import HeadBoundProtocol
from modelpack.server.registry import zerocopy

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


class FileSendingProtocol(HeadBoundProtocol):
    """Offers the kernel's help to applications, where it can help."""

    _sends_files = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look whether it can."""
        super().connection_made(transport)
        self._sends_files = zerocopy.is_possible(transport, self.loop)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._sends_files:
            app = zerocopy.offering(app, cycle)  # type: ignore[arg-type,assignment]
        super()._start_asgi_task(cycle, app)
