"""Models of full size without weights: headers in front of a hole in a file, and what llama.cpp
says about the memory that it would take for them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelpack.gguf.values import Value
from modelpack.gguf.writer import encode_header, place_tensors

F32, F16, Q8_0 = 0, 1, 8

Rows = Iterator[tuple[str, tuple[int, ...], int]]


@dataclass(frozen=True, kw_only=True)
class Giant:
    """The dimensions of a transformer."""

    kind: str = "llama"
    blocks: int = 32
    width: int = 4096
    heads: int = 32
    pairs: int = 8
    head: int = 128
    hidden: int = 14336
    vocabulary: int = 128_256
    tied: bool = False
    experts: int = 0
    used: int = 0
    normed: bool = False
    """Norms of queries and keys."""
    doubled: bool = False
    """Norms behind the parts of a block too."""
    extra: tuple[tuple[str, Value], ...] = ()

    def metadata(self) -> dict[str, Value]:
        numbers = {
            "block_count": self.blocks,
            "context_length": 131_072,
            "embedding_length": self.width,
            "feed_forward_length": self.hidden,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.pairs,
            "attention.key_length": self.head,
            "attention.value_length": self.head,
            "rope.dimension_count": self.head,
            "vocab_size": self.vocabulary,
        }
        if self.experts:
            numbers |= {
                "expert_count": self.experts,
                "expert_used_count": self.used,
                "expert_feed_forward_length": self.hidden,
            }
        return {
            "general.architecture": Value.string(self.kind),
            "tokenizer.ggml.model": Value.string("none"),
            f"{self.kind}.attention.layer_norm_rms_epsilon": Value.float32(1e-5),
            **{f"{self.kind}.{key}": Value.uint32(number) for key, number in numbers.items()},
            **{f"{self.kind}.{key}": value for key, value in self.extra},
        }

    def tensors(self) -> Rows:
        queries, keys = self.heads * self.head, self.pairs * self.head
        yield "token_embd.weight", (self.width, self.vocabulary), Q8_0
        for block in range(self.blocks):
            for role, shape in {
                "attn_q": (self.width, queries),
                "attn_k": (self.width, keys),
                "attn_v": (self.width, keys),
                "attn_output": (queries, self.width),
                **self._forward(),
            }.items():
                yield f"blk.{block}.{role}.weight", shape, Q8_0
            norms = {"attn_norm": self.width, "ffn_norm": self.width}
            if self.normed:
                norms |= {"attn_q_norm": self.head, "attn_k_norm": self.head}
            if self.doubled:
                norms |= {"post_attention_norm": self.width, "post_ffw_norm": self.width}
            for role, size in norms.items():
                yield f"blk.{block}.{role}.weight", (size,), F32
            if self.experts:
                yield f"blk.{block}.ffn_gate_inp.weight", (self.width, self.experts), F32
        yield "output_norm.weight", (self.width,), F32
        if not self.tied:
            yield "output.weight", (self.width, self.vocabulary), Q8_0

    def _forward(self) -> dict[str, tuple[int, ...]]:
        if not self.experts:
            wide, narrow = (self.width, self.hidden), (self.hidden, self.width)
            return {"ffn_gate": wide, "ffn_up": wide, "ffn_down": narrow}
        wide3 = (self.width, self.hidden, self.experts)
        narrow3 = (self.hidden, self.width, self.experts)
        return {"ffn_gate_exps": wide3, "ffn_up_exps": wide3, "ffn_down_exps": narrow3}


LLAMA_8B = Giant()
QWEN_05B = Giant(
    kind="llama", blocks=24, width=896, heads=14, pairs=2, head=64, hidden=4864,
    vocabulary=151_936, tied=True,
)  # fmt: skip
GEMMA_4B = Giant(
    kind="gemma3", blocks=34, width=2560, heads=8, pairs=4, head=256, hidden=10_240,
    vocabulary=262_144, tied=True, normed=True, doubled=True,
    extra=(("attention.sliding_window", Value.uint32(1024)),),
)  # fmt: skip
QWEN_30B = Giant(
    kind="qwen3moe", blocks=48, width=2048, heads=32, pairs=4, head=128, hidden=768,
    vocabulary=151_936, experts=128, used=8, normed=True,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mamba:
    """The dimensions of a recurrent model."""

    blocks: int = 64
    width: int = 2560
    inner: int = 5120
    state: int = 16
    conv: int = 4
    rank: int = 160
    vocabulary: int = 50_280

    def metadata(self) -> dict[str, Value]:
        numbers = {
            "block_count": self.blocks, "context_length": 2**20, "embedding_length": self.width,
            "feed_forward_length": 0, "attention.head_count": 0, "vocab_size": self.vocabulary,
            "ssm.conv_kernel": self.conv, "ssm.inner_size": self.inner,
            "ssm.state_size": self.state, "ssm.time_step_rank": self.rank,
        }  # fmt: skip
        return {
            "general.architecture": Value.string("mamba"),
            "tokenizer.ggml.model": Value.string("none"),
            "mamba.attention.layer_norm_rms_epsilon": Value.float32(1e-5),
            **{f"mamba.{key}": Value.uint32(number) for key, number in numbers.items()},
        }

    def tensors(self) -> Rows:
        yield "token_embd.weight", (self.width, self.vocabulary), Q8_0
        for block in range(self.blocks):
            for role, shape, kind in (
                ("attn_norm.weight", (self.width,), F32),
                ("ssm_in.weight", (self.width, 2 * self.inner), Q8_0),
                ("ssm_conv1d.weight", (self.conv, self.inner), F32),
                ("ssm_conv1d.bias", (self.inner,), F32),
                ("ssm_x.weight", (self.inner, self.rank + 2 * self.state), Q8_0),
                ("ssm_dt.weight", (self.rank, self.inner), Q8_0),
                ("ssm_dt.bias", (self.inner,), F32),
                ("ssm_a", (self.state, self.inner), F32),
                ("ssm_d", (self.inner,), F32),
                ("ssm_out.weight", (self.inner, self.width), Q8_0),
            ):
                yield f"blk.{block}.{role}", shape, kind
        yield "output_norm.weight", (self.width,), F32


def write_giant(path: Path, giant: Giant | Mamba) -> Path:
    """Write the header of *giant* to *path* and a hole of the size of its weights."""
    placed = place_tensors(giant.tensors())
    header = encode_header(giant.metadata(), placed)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + placed[-1].offset + placed[-1].size)
    return path


_PROGRAM = """
import ctypes, sys, llama_cpp as l
path, n_ctx, slots, flash, pool, kind = sys.argv[1], *map(int, sys.argv[2:])
take = l.llama_log_callback(lambda level, text, _: sys.stdout.buffer.write(text))
l.llama_log_set(take, None)
l.llama_backend_init()
params = l.llama_model_default_params()
params.no_alloc, params.n_gpu_layers = True, 0
params.load_mode = l.LLAMA_LOAD_MODE_NONE
params.use_extra_bufts = False
model = l.llama_model_load_from_file(path.encode(), params)
assert model
print(f"\\nmodel of {l.llama_model_size(model)} bytes", flush=True)
params = l.llama_context_default_params()
total = pool or n_ctx * slots
params.n_ctx, params.n_seq_max = total, slots
params.n_batch = min(2048, total)
params.n_ubatch = min(512, params.n_batch)
params.flash_attn_type = flash
params.type_k = params.type_v = kind
params.swa_full, params.kv_unified = False, pool > 0
assert l.llama_init_from_model(model, params)
sys.stdout.flush()
"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What llama.cpp says: bytes, of which those it prints in MiB are rounded to 0.01 MiB."""

    weights: int
    context: float
    buffers: float


def ask(
    path: Path,
    n_ctx: int,
    slots: int = 1,
    *,
    flash: bool = True,
    pool: int = 0,
    kv_type: str = "f16",
) -> Said:
    """Let llama.cpp lay out the model *path* without taking memory for it."""
    words = [str(path), str(n_ctx), str(slots), str(int(flash)), str(pool)]
    words.append(str({"f16": 1, "q8_0": 8, "q4_0": 2}[kv_type]))
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words], capture_output=True, check=False, timeout=100
    )
    text = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, text[-2000:] + done.stderr.decode()[-2000:]

    def total(pattern: str) -> float:
        return sum(float(mib) * 2**20 for mib in re.findall(pattern, text))

    cached = total(r"llama_kv_cache: size = +([\d.]+) MiB")
    state = total(r"llama_memory_recurrent: size = +([\d.]+) MiB")
    size = re.search(r"model of (\d+) bytes", text)
    assert size
    return Said(
        weights=int(size[1]),
        context=cached + state,
        buffers=total(r"compute buffer size = +([\d.]+) MiB"),
    )
