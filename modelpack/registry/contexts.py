"""The TLS contexts of one session; who never speaks https never pays for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from modelpack.registry.trust import Trust


class Contexts:
    """The TLS contexts of one session, made when https is first spoken; threads may share them."""

    def __init__(self, trust: Callable[[], Trust]) -> None:
        self._decide = trust
        self._lock = threading.Lock()
        self._trust: Trust | None = None
        self._made: dict[bool, ssl.SSLContext] = {}

    def get(self, *, identify: bool) -> ssl.SSLContext:
        """Return the context that shows the client certificate, or the one that does not."""
        with self._lock:
            self._trust = self._trust or self._decide()
            shown = identify and self._trust.identity is not None
            if shown not in self._made:
                from modelpack.registry.trust import make_context

                self._made[shown] = make_context(self._trust, identify=shown)
            return self._made[shown]
