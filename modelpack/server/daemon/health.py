"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from modelpack.server.daemon.metrics import Labels, Metrics
from modelpack.server.daemon.pool.pool import Pool
from modelpack.server.daemon.pool.values import Loaded

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """Tells whether the server is well, and what it has counted."""

    def __init__(self, metrics: Metrics, pool: Pool) -> None:
        self._metrics = metrics
        self._pool = pool

    def routes(self) -> list[Route]:
        """Return what is answered here."""
        return [
            Route("/healthz", self._healthy, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
            Route("/metrics", self._told, methods=["GET"]),
        ]

    async def _healthy(self, request: Request) -> Response:
        del request
        return PlainTextResponse("ok\n")

    async def _ready(self, request: Request) -> Response:
        del request
        if self._pool.is_full:
            return PlainTextResponse("the queue is full\n", 503)
        return PlainTextResponse("ready\n")

    async def _told(self, request: Request) -> Response:
        del request
        pool, there = self._pool, self._pool.loaded()
        text = self._metrics.text(
            {
                "modelpack_queue": ("Requests that wait for a place.", [((), pool.waiting)]),
                "modelpack_queue_limit": ("Requests that may wait.", [((), pool.limits.queue)]),
                "modelpack_models_loaded": ("Models in memory.", [((), len(there))]),
                "modelpack_model_loads": ("Models loaded so far.", [((), pool.loads)]),
                "modelpack_worker_deaths": ("Workers that crashed.", [((), pool.deaths)]),
                "modelpack_slots": ("Requests a model can answer.", _each(there, "places")),
                "modelpack_slots_busy": ("Requests it answers.", _each(there, "users")),
                "modelpack_model_bytes": ("Memory of a model.", _each(there, "size")),
                "modelpack_model_vram_bytes": ("Of it, on GPUs.", _each(there, "size_vram")),
                "process_resident_memory_bytes": ("Memory of the server.", [((), _resident())]),
                "process_open_fds": ("Open files.", [((), _open_files())]),
            }
        )
        return Response(text, media_type=_TEXT)


def _each(there: Iterable[Loaded], what: str) -> list[tuple[Labels, float]]:
    return [((("model", one.model.files.name),), float(getattr(one, what))) for one in there]


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _open_files() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0
