"""A small llama in JAX: parameters and forward pass, in the conventions of llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

Params = dict[str, jax.Array]


@dataclass(frozen=True)
class Shape:
    """The sizes of the model."""

    vocabulary: int = 768
    width: int = 128
    blocks: int = 4
    heads: int = 4
    hidden: int = 352
    theta: float = 10_000.0
    epsilon: float = 1e-5

    @property
    def head(self) -> int:
        """The width of one head."""
        return self.width // self.heads


def new_params(shape: Shape, seed: int) -> Params:
    """Return fresh parameters under their GGUF names, matrices as (input, output)."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, scale: float = 1.0) -> np.ndarray:
        return rng.normal(0, scale / rows**0.5, (rows, columns))

    last = (2 * shape.blocks) ** -0.5
    params = {
        "token_embd": rng.normal(0, 0.02, (shape.vocabulary, shape.width)),
        "output_norm": np.ones(shape.width),
    }
    for block in range(shape.blocks):
        params |= {
            f"blk.{block}.attn_norm": np.ones(shape.width),
            f"blk.{block}.attn_q": matrix(shape.width, shape.width),
            f"blk.{block}.attn_k": matrix(shape.width, shape.width),
            f"blk.{block}.attn_v": matrix(shape.width, shape.width),
            f"blk.{block}.attn_output": matrix(shape.width, shape.width, last),
            f"blk.{block}.ffn_norm": np.ones(shape.width),
            f"blk.{block}.ffn_gate": matrix(shape.width, shape.hidden),
            f"blk.{block}.ffn_up": matrix(shape.width, shape.hidden),
            f"blk.{block}.ffn_down": matrix(shape.hidden, shape.width, last),
        }
    return {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}


def _norm(x: jax.Array, weight: jax.Array, epsilon: float) -> jax.Array:
    """Scale to a root mean square of one."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def _turns(shape: Shape, length: int) -> tuple[jax.Array, jax.Array]:
    """Return the cosines and sines by which each pair of each position is turned."""
    speed = shape.theta ** (-jnp.arange(0, shape.head, 2) / shape.head)
    angle = jnp.arange(length)[:, None] * speed
    return jnp.cos(angle)[:, None, :], jnp.sin(angle)[:, None, :]


def _rope(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Turn neighbouring pairs, the order llama.cpp uses for this architecture."""
    even, odd = x[..., ::2], x[..., 1::2]
    turned = jnp.stack((even * cos - odd * sin, even * sin + odd * cos), axis=-1)
    return turned.reshape(x.shape)


def logits(params: Params, shape: Shape, tokens: jax.Array, segments: jax.Array) -> jax.Array:
    """Return the logits of every position; a token sees only what is before it in its segment."""
    batch, length = tokens.shape
    cos, sin = _turns(shape, length)
    seen = segments[:, :, None] == segments[:, None, :]
    seen &= jnp.tril(jnp.ones((length, length), bool))
    mask = jnp.where(seen, 0.0, -1e9)[:, None]
    x = params["token_embd"][tokens]
    for block in range(shape.blocks):
        p = {name: params[f"blk.{block}.{name}"] for name in _BLOCK}
        h = _norm(x, p["attn_norm"], shape.epsilon)
        q, k, v = (
            (h @ p[name]).reshape(batch, length, shape.heads, shape.head)
            for name in ("attn_q", "attn_k", "attn_v")
        )
        q, k = _rope(q, cos, sin) * shape.head**-0.5, _rope(k, cos, sin)
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) + mask, axis=-1)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(batch, length, shape.width)
        x = x + mixed @ p["attn_output"]
        h = _norm(x, p["ffn_norm"], shape.epsilon)
        x = x + (jax.nn.silu(h @ p["ffn_gate"]) * (h @ p["ffn_up"])) @ p["ffn_down"]
    return _norm(x, params["output_norm"], shape.epsilon) @ params["token_embd"].T


_BLOCK = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
    *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
)
