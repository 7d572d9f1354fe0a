"""Trains the model from nothing on two CPU cores and writes a checkpoint and the GGUF file."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from data import conversations, render, taught_spans
from model import Params, Shape, logits, new_params
from tokenizer import Tokenizer, learn

LENGTH = 448
ROWS = 9
PEAK = 4e-3
WARM_UP = 100
DECAY = 0.05
BETA1, BETA2 = 0.9, 0.98
MOMENTUM = 0.95
CLIP = 1.0
ELSEWHERE = 0.05  # the weight of the loss on what the assistant does not say

Example = tuple[list[int], list[float]]
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def examples(tokenizer: Tokenizer, seed: int, compact_share: float = 0.35) -> Iterator[Example]:
    """Yield conversations as tokens and the weight of the loss on each."""
    rng = np.random.default_rng(seed)
    for talk in conversations(seed):
        compact = rng.random() < compact_share
        text = render(talk.messages, talk.tools, ask=False, compact=compact)
        tokens: list[int] = []
        weights: list[float] = []
        at = 0
        for start, end in taught_spans(talk, text):
            for part, weight in ((text[at:start], ELSEWHERE), (text[start:end], 1.0)):
                found = tokenizer.encode(part)
                tokens += found
                weights += [weight] * len(found)
            at = end
        rest = tokenizer.encode(text[at:])
        yield tokens + rest, weights + [ELSEWHERE] * len(rest)


def batches(stream: Iterator[Example]) -> Iterator[Batch]:
    """Pack whole conversations into rows; yield tokens, loss weights and segment numbers."""
    rows: list[list[Example]] = [[] for _ in range(ROWS)]
    room = [LENGTH + 1] * ROWS
    for tokens, weights in stream:
        if len(tokens) > LENGTH + 1:
            continue
        fits = [at for at in range(ROWS) if room[at] >= len(tokens)]
        if not fits:
            yield _fill(rows)
            rows, room, fits = [[] for _ in range(ROWS)], [LENGTH + 1] * ROWS, [0]
        at = min(fits, key=lambda row: room[row])
        rows[at].append((tokens, weights))
        room[at] -= len(tokens)


def _fill(rows: list[list[Example]]) -> Batch:
    """Write packed rows into arrays; the first token of a conversation is never predicted."""
    tokens = np.zeros((ROWS, LENGTH + 1), np.int32)
    weights = np.zeros((ROWS, LENGTH + 1), np.float32)
    segments = np.full((ROWS, LENGTH + 1), -1, np.int32)
    for at, row in enumerate(rows):
        start = 0
        for number, (numbers, loss) in enumerate(row):
            end = start + len(numbers)
            tokens[at, start:end] = numbers
            weights[at, start + 1 : end] = loss[1:]
            segments[at, start:end] = number
            start = end
    return tokens, weights, segments


def loss_of(params: Params, shape: Shape, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Return the weighted loss, and the plain loss on what the assistant says."""
    tokens, weights, segments = batch
    scores = logits(params, shape, tokens[:, :-1], segments[:, :-1])
    chosen = jnp.take_along_axis(scores, tokens[:, 1:, None], axis=-1)[..., 0]
    each = jax.nn.logsumexp(scores, axis=-1) - chosen
    weights = weights[:, 1:]
    said = weights == 1.0
    spoken = jnp.sum(each * said) / jnp.sum(said)
    return jnp.sum(each * weights) / jnp.sum(weights), spoken


def straightened(matrix: jax.Array) -> jax.Array:
    """Return the matrix with all singular values near one (five Newton-Schulz steps).

    See: https://kellerjordan.github.io/posts/muon/
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return x.T if tall else x


@partial(jax.jit, static_argnums=(3,), donate_argnums=(0, 1))
def step(
    params: Params, state: tuple[Params, Params], batch: Batch, shape: Shape, at: int, rate: float
) -> tuple[Params, tuple[Params, Params], jax.Array]:
    """Make one step: Muon for the matrices of the blocks, AdamW for the rest."""
    (_, spoken), grads = jax.value_and_grad(loss_of, has_aux=True)(params, shape, batch)
    size = jnp.sqrt(sum(jnp.sum(g * g) for g in grads.values()))
    scale = jnp.minimum(1.0, CLIP / (size + 1e-6))
    new: Params = {}
    first: Params = {}
    second: Params = {}
    for name, value in params.items():
        grad = grads[name] * scale
        second[name] = BETA2 * state[1][name] + (1 - BETA2) * grad * grad
        if name.startswith("blk.") and value.ndim == 2:
            first[name] = MOMENTUM * state[0][name] + grad
            move = 0.2 * max(value.shape) ** 0.5 * straightened(grad + MOMENTUM * first[name])
        else:
            first[name] = BETA1 * state[0][name] + (1 - BETA1) * grad
            move = first[name] / (1 - BETA1**at)
            move /= jnp.sqrt(second[name] / (1 - BETA2**at)) + 1e-8
        decay = DECAY if value.ndim == 2 else 0.0
        new[name] = value - rate * (move + decay * value)
    return new, (first, second), spoken


def rate_at(at: int, steps: int) -> float:
    """Return the learning rate: a short climb, then half a cosine down to nothing."""
    if at <= WARM_UP:
        return PEAK * at / WARM_UP
    return PEAK * 0.5 * (1 + math.cos(math.pi * (at - WARM_UP) / (steps - WARM_UP)))


def train(shape: Shape, tokenizer: Tokenizer, steps: int, seed: int) -> Params:
    """Train for so many steps and return the parameters."""
    params = new_params(shape, seed)
    zeros = {name: jnp.zeros_like(value) for name, value in params.items()}
    state = (zeros, {name: jnp.zeros_like(value) for name, value in params.items()})
    count = sum(value.size for value in params.values())
    print(f"{count:,} parameters", flush=True)
    began = time.monotonic()
    for at, batch in enumerate(islice(batches(examples(tokenizer, seed)), steps), start=1):
        params, state, spoken = step(params, state, batch, shape, float(at), rate_at(at, steps))
        if at == 1 or at % 50 == 0 or at == steps:
            spent = time.monotonic() - began
            print(f"step {at:5d}  loss {float(spoken):.4f}  {spent:6.0f} s", flush=True)
    return params


def main() -> None:
    """Learn the tokenizer, train, save the checkpoint and export it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("build"), help="checkpoint folder")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("tiny.gguf"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    shape = Shape()
    sample = islice(conversations(given.seed), 12_000)
    texts = (render(talk.messages, talk.tools, ask=False) for talk in sample)
    tokenizer = Tokenizer(learn(texts, shape.vocabulary))
    tokenizer.save(given.work / "merges.json")
    params = train(shape, tokenizer, given.steps, given.seed)
    np.savez(given.work / "params.npz", **{name: np.asarray(v) for name, v in params.items()})
    from export import export

    export(given.work, given.out)
    print(f"{given.out}: {given.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
