"""What the APIs share."""

from __future__ import annotations

from dataclasses import dataclass

from modelpack.server.daemon.bodies import Bodies
from modelpack.server.daemon.catalog import Catalog
from modelpack.server.daemon.metrics import Metrics
from modelpack.server.daemon.places import Places
from modelpack.server.daemon.pool.pool import Pool
from modelpack.server.daemon.speaking import Speaker


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that answer requests, put together once."""

    catalog: Catalog
    speaker: Speaker
    pool: Pool
    bodies: Bodies
    places: Places
    metrics: Metrics
    keep_s: float
    """How long a model stays loaded where a request does not say."""
