"""What a model will need in memory, before it is loaded.

Weights come from the tensor table and are exact. The context is computed as llama.cpp lays it
out (`llama_kv_cache`, `llama_kv_cache_iswa`, `llama_memory_recurrent`), exact for the kinds of
models that `modelpack.runtime.placement.shape` knows; a sliding window that it does not know
counts as a full context. Buffers of the computation are an upper estimate; see `_buffers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack.gguf.values import TENSOR_TYPES, aligned
from modelpack.runtime.placement.shape import Layer, Shape, read_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelpack.gguf.reader import Header
    from modelpack.gguf.values import TensorInfo

_F32, _F16 = 4, 2
_CELLS = 256
"""llama.cpp rounds the tokens of a context up to a multiple of these."""
_OUTPUT = ("output", "cls", "altup_", "per_layer_model_proj", "per_layer_proj_norm", "nextn")
"""Beginnings of the tensors that lie with the output; others outside of blocks stay on the CPU."""
_SPARE = 8 * 1024**2
"""Bytes for what is rounded up and for small inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """How a model is to be loaded: tokens, and the types of cached keys and values."""

    n_ctx: int
    """Tokens of one slot."""
    slots: int = 1
    n_batch: int = 2048
    n_ubatch: int = 512
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attention: bool = True
    """llama.cpp's automatic choice; without it, the scores of all heads are held at once."""
    pool: int = 0
    """Tokens of memory that all slots share; 0 gives each slot `n_ctx` of its own."""

    @property
    def rows(self) -> int:
        """Tokens that are computed at once."""
        total = self.pool or self.n_ctx * self.slots
        return max(1, min(self.n_ubatch, max(self.n_batch, self.slots), total))

    @property
    def cells(self) -> int:
        """Tokens that each cache has room for."""
        return aligned(max(1, self.pool or self.n_ctx), _CELLS)

    @property
    def caches(self) -> int:
        """Caches of each layer: one a slot, or one for all."""
        return 1 if self.pool else self.slots


@dataclass(frozen=True, slots=True)
class Block:
    """One of the model's layers, in bytes."""

    weights: int
    context: int
    """Keys, values and recurrent state of all slots."""

    @property
    def size(self) -> int:
        """Everything that lies where the block lies."""
        return self.weights + self.context


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a model needs, in bytes."""

    blocks: tuple[Block, ...]
    embeddings: int
    """What turns tokens into numbers; always in the memory of the CPU."""
    output: int
    """What turns numbers into tokens, where that is not the embeddings themselves."""
    shared_output: int = 0
    """The embeddings where they are the output too: a GPU that has the output has a copy."""
    layer_buffers: int = 0
    """Buffers of whatever computes blocks, on each device; at most."""
    output_buffers: int = 0
    """Buffers of whatever computes the output; they take turns with those of the blocks."""
    results: int = 0
    """Where the CPU takes the scores of tokens from."""
    projectors: int = 0
    """Files that let the model see; on the first GPU, else on the CPU."""

    @property
    def weights(self) -> int:
        """All weights, each counted once."""
        return self.embeddings + self.output + sum(block.weights for block in self.blocks)

    @property
    def context(self) -> int:
        """Keys, values and state of all slots."""
        return sum(block.context for block in self.blocks)

    @property
    def buffers(self) -> int:
        """Buffers, if one device computes everything."""
        return max(self.layer_buffers, self.output_buffers) + self.results

    @property
    def total(self) -> int:
        """Everything, on one device."""
        return self.weights + self.context + self.buffers + self.projectors


def estimate(
    headers: Sequence[Header],
    demand: Demand,
    *,
    adapters: Sequence[Header] = (),
    projectors: int = 0,
) -> Needs:
    """Return what the model in *headers* (one file, or its shards in order) needs under *demand*.

    *adapters* lie with the layers that they change; *projectors* is the size of such files.
    """
    shape = read_shape(headers)
    layers = range(len(shape.layers))
    loaded = layers[: len(layers) - shape.unused]
    tensors = [tensor for header in headers for tensor in header.tensors]
    added = [tensor for header in adapters for tensor in header.tensors]
    weights, embeddings, output, embedding = _weigh(tensors, layers, loaded)
    extra, *others, _ = _weigh(added, layers, loaded)
    caches = _caches(shape.layers, demand)
    layer_buffers, output_buffers = _buffers(shape, demand)
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    return Needs(
        blocks=tuple(
            Block(
                weights.get(index, 0) + extra.get(index, 0),
                caches[index] if index in loaded else 0,
            )
            for index in layers
        ),
        embeddings=embeddings,
        output=output + sum(others),
        shared_output=embedding if tied else 0,
        layer_buffers=layer_buffers,
        output_buffers=output_buffers,
        results=demand.slots * shape.vocabulary * _F32,
        projectors=projectors,
    )


def _weigh(
    tensors: Sequence[TensorInfo], layers: range, loaded: range
) -> tuple[dict[int, int], int, int, int]:
    """Return the bytes of each block, of the input, of the output, and of the token embeddings."""
    blocks: dict[int, int] = {}
    before = after = embedding = 0
    for tensor in tensors:
        kind, _, rest = tensor.name.partition(".")
        index = rest.partition(".")[0]
        if kind == "blk" and index.isdecimal() and int(index) in layers:
            if int(index) in loaded:
                blocks[int(index)] = blocks.get(int(index), 0) + tensor.size
        elif kind.startswith(_OUTPUT):
            after += tensor.size
        else:
            before += tensor.size
            embedding += tensor.size if tensor.name == "token_embd.weight" else 0
    return blocks, before, after, embedding


def _caches(layers: Sequence[Layer], demand: Demand) -> list[int]:
    """Return the bytes of context of each layer, for all slots.

    Without flash attention values are stored by column, and every layer has as many as the
    largest.
    """
    widest = max((layer.values for layer in layers), default=0)
    sizes: list[int] = []
    for layer in layers:
        values = layer.values if demand.flash_attention or not layer.values else widest
        row = _row(demand.type_k, layer.keys) + _row(demand.type_v, values)
        sizes.append(row * _cells(layer, demand) * demand.caches + layer.state * demand.slots)
    return sizes


def _cells(layer: Layer, demand: Demand) -> int:
    """Return the tokens that each cache of *layer* has room for."""
    if not layer.window:
        return demand.cells
    windows = layer.window * (demand.slots if demand.pool else 1)
    return aligned(min(demand.cells, windows + demand.n_ubatch), _CELLS)


def _row(name: str, elements: int) -> int:
    """Return the bytes of *elements* in the tensor type *name*."""
    layout = next((t for t in TENSOR_TYPES.values() if t.name.lower() == name.lower()), None)
    block, size = (layout.block, layout.size) if layout else (1, _F16)
    return -(-elements // block) * size


def _buffers(shape: Shape, demand: Demand) -> tuple[int, int]:
    """Return the bytes of buffers for the blocks and for the output, at most.

    ggml computes one step of `rows` tokens in one graph and lets results whose time is over be
    overwritten (`ggml_gallocr`). What is alive at once in a block: the residual stream and what
    is added to it; queries with their result, keys and values, or three times the hidden layer
    of the feed-forward part and what each expert returns. At the end: the scores of the whole
    vocabulary for every row, because llama.cpp reserves for that. The mask is always there.
    """
    rows = demand.rows
    pairs = max((layer.keys + layer.values for layer in shape.layers), default=0)
    heads = max((layer.heads for layer in shape.layers), default=0)
    looked_at = {_cells(layer, demand) for layer in shape.layers if layer.keys}
    mask = rows * sum(looked_at) * (_F16 if demand.flash_attention else _F32)
    scores = 0 if demand.flash_attention else rows * demand.cells * heads * _F32
    attention = rows * (3 * shape.query + 2 * pairs) * _F32 + scores
    hidden = rows * (3 * shape.feed_forward + shape.experts * shape.width + 6 * shape.inner) * _F32
    stream = rows * 4 * shape.width * _F32
    fixed = mask + stream + _SPARE
    return fixed + max(attention, hidden), fixed + rows * shape.vocabulary * _F32
