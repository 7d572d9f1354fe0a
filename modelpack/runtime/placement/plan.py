"""From a model's files and the options it is loaded with to a placement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelpack.engine.attention import is_flash, rows_of
from modelpack.engine.base import context_size
from modelpack.errors import EngineError
from modelpack.gguf.reader import read_header
from modelpack.runtime.placement.estimate import Demand, Needs, estimate
from modelpack.runtime.placement.place import MARGIN, place
from modelpack.runtime.placement.shape import read_shape

if TYPE_CHECKING:
    from modelpack.engine.base import LoadOptions
    from modelpack.runtime.model import ModelFiles
    from modelpack.runtime.placement.placed import Placement
    from modelpack.runtime.placement.system import System


def plan(
    files: ModelFiles, options: LoadOptions, system: System, *, margin: int = MARGIN
) -> Placement:
    """Return where the model *files*, loaded with *options*, lies on *system*.

    Reads headers only. *margin* bytes of each device stay free.

    Raises:
        EngineError: there is not enough memory of all kinds.
        GgufError: a file is not GGUF.
        NotFoundError: a file is not there.
    """
    on_gpu = system.can_offload and bool(system.devices) and options.n_gpu_layers != 0
    needs = needs_of(files, options, on_gpu=on_gpu)
    return place(needs, system, num_gpu=options.n_gpu_layers, margin=margin)


def needs_of(files: ModelFiles, options: LoadOptions, *, on_gpu: bool = False) -> Needs:
    """Return what the model *files* needs when it is loaded with *options*. Raises as `plan`."""
    headers = [read_header(path) for path in options.weights]
    if not headers:
        raise EngineError(f"the model {files.name!r} has no weights")
    trained = read_shape(headers[:1]).context
    n_ctx = context_size(options.n_ctx, trained)
    flash = is_flash(options, n_ctx, on_gpu=on_gpu)
    demand = Demand(
        n_ctx=n_ctx,
        slots=options.slots,
        n_batch=options.n_batch,
        n_ubatch=options.n_ubatch if files.projectors else rows_of(options.n_ubatch, flash=flash),
        flash_attention=flash,
        type_k=options.kv_cache_type,
        type_v=options.kv_cache_type,
        pool=options.pool,
    )
    return estimate(
        headers,
        demand,
        adapters=[read_header(adapter.path) for adapter in options.adapters],
        projectors=sum(path.stat().st_size for path in files.projectors),
    )
