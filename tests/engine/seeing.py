"""Tiny projectors with random weights, and pictures to look at."""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from pathlib import Path

from modelpack.gguf.values import Value, ValueType
from modelpack.gguf.writer import write_gguf

_WIDTH = 32
_INNER = 64
_BLOCKS = 2
_PATCH = 14
SIDE = 28
TOKENS = (SIDE // _PATCH) ** 2
"""Tokens that a picture takes with the projector of LLaVA's kind."""
_F32 = 0


def write_projector(path: Path, *, width: int, kind: str = "mlp") -> Path:
    """Write a projector of LLaVA's kind (`mlp`) or Qwen 2's (`qwen2vl_merger`) for *width*."""
    draw = importlib.import_module("numpy").random.default_rng(2)
    merger = kind == "qwen2vl_merger"
    patch = (_PATCH, _PATCH, 3, _WIDTH)
    shapes: dict[str, tuple[int, ...]] = {"v.patch_embd.weight": patch}
    if merger:
        shapes["v.patch_embd.weight.1"] = patch
        shapes |= _layer("v.post_ln", _WIDTH)
        shapes |= _layer("mm.0", 4 * _WIDTH, 4 * _WIDTH) | _layer("mm.2", 4 * _WIDTH, width)
    else:
        shapes["v.class_embd"] = (_WIDTH,)
        shapes["v.position_embd.weight"] = (_WIDTH, TOKENS + 1)
        shapes |= _layer("v.pre_ln", _WIDTH)
        shapes |= _layer("mm.0", _WIDTH, width) | _layer("mm.2", width, width)
    for block in range(_BLOCKS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            shapes |= _layer(f"v.blk.{block}.{name}", _WIDTH, _WIDTH)
        for name in ("ln1", "ln2"):
            shapes |= _layer(f"v.blk.{block}.{name}", _WIDTH)
        shapes |= _layer(f"v.blk.{block}.ffn_up", _WIDTH, _INNER)
        shapes |= _layer(f"v.blk.{block}.ffn_down", _INNER, _WIDTH)

    def data(name: str, shape: tuple[int, ...]) -> bytes:
        norm = name.endswith((".weight",)) and len(shape) == 1
        spread = 0.02 if norm else 1.0 / shape[0] ** 0.5
        return bytes(draw.normal(float(norm), spread, shape[::-1]).astype("<f4").tobytes())

    with path.open("wb") as file:
        write_gguf(
            file,
            _metadata(kind),
            [(name, shape, _F32, data(name, shape)) for name, shape in shapes.items()],
        )
    return path


def _layer(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[-1:]}


def _metadata(kind: str) -> dict[str, Value]:
    numbers = {
        "image_size": SIDE,
        "patch_size": _PATCH,
        "embedding_length": _WIDTH,
        "feed_forward_length": _INNER,
        "block_count": _BLOCKS,
        "attention.head_count": 2,
        "projection_dim": _WIDTH,
    }
    half = Value.array(ValueType.FLOAT32, (0.5, 0.5, 0.5))
    return {
        "general.architecture": Value.string("clip"),
        "general.type": Value.string("mmproj"),
        "clip.has_vision_encoder": Value.boolean(True),
        "clip.projector_type": Value.string(kind),
        "clip.use_gelu": Value.boolean(False),
        **{f"clip.vision.{name}": Value.uint32(number) for name, number in numbers.items()},
        "clip.vision.attention.layer_norm_epsilon": Value.float32(1e-5),
        "clip.vision.image_mean": half,
        "clip.vision.image_std": half,
    }


def png(width: int, height: int, *, seed: int = 1) -> bytes:
    """Return a picture of random pixels."""
    draw = importlib.import_module("numpy").random.default_rng(seed)
    rows = draw.integers(0, 256, (height, width * 3), "u1")
    pixels = b"".join(b"\0" + row.tobytes() for row in rows)
    return png_of(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), zlib.compress(pixels))


def png_of(head: bytes, pixels: bytes) -> bytes:
    """Return a PNG with any *head* and compressed *pixels*."""
    parts = ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bmp(width: int, height: int) -> bytes:
    """Return a grey picture."""
    row = (width * 24 + 31) // 32 * 4
    size = row * height
    head = b"BM" + struct.pack("<IHHI", 54 + size, 0, 0, 54)
    head += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, size, 0, 0, 0, 0)
    return head + b"\x80" * size


def jpeg_head(width: int, height: int) -> bytes:
    """Return what a JPEG begins with, and its end; there is nothing in it."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + bytes((1, 0x11, 0))
    scan = bytes((1, 1, 0, 0, 63, 0))
    return (
        b"\xff\xd8\xff\xc0" + struct.pack(">H", 2 + len(frame)) + frame
        + b"\xff\xda" + struct.pack(">H", 2 + len(scan)) + scan + b"\0\xff\xd9"
    )  # fmt: skip


def gif(width: int, height: int) -> bytes:
    """Return what a GIF begins with, and its end."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def webp(width: int, height: int, seed: int = 1, **how: object) -> bytes:
    """Return the picture that `png` makes, in this format."""
    image = importlib.import_module("PIL.Image")
    made = io.BytesIO()
    image.open(io.BytesIO(png(width, height, seed=seed))).save(made, "WEBP", **how)
    return made.getvalue()
