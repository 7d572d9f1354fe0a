"""What a picture is before it is decoded: its kind and its size, and whether it is whole. Pure.

Pictures come from anywhere, and who decodes them is C. So none gets there that is cut off, or that
would take much more memory than its file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from modelpack import limits
from modelpack.engine.webp import is_webp, size_of
from modelpack.errors import InputError, LimitError

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers a pixel, by PNG's kinds of colour."""
_PIECE = 1024 * 1024
_INTERLACED = 2
"""So many times as large may an interlaced PNG be; it is little more."""
_NO_FRAME = (0xC4, 0xC8, 0xCC)
"""Markers of JPEG among those of frames that are something else."""
_HINT = "PNG, JPEG, WebP, GIF and BMP are known"


def measure(data: bytes) -> tuple[int, int]:
    """Return the width and height of the picture in *data*.

    Raises:
        InputError: it is no picture of a known kind, or not whole.
        LimitError: it is too large.
    """
    if len(data) > limits.IMAGE:
        raise LimitError(f"an image of {len(data):,} bytes; {limits.IMAGE:,} are allowed")
    try:
        width, height = _size(data)
    except (struct.error, IndexError, KeyError, zlib.error):
        raise InputError("an image is damaged or cut off") from None
    return width, height


def _size(data: bytes) -> tuple[int, int]:
    if data.startswith(_PNG):
        return _png(data)
    if data.startswith(_JPEG):
        return _jpeg(data)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return _gif(data)
    if data.startswith(b"BM"):
        return _bmp(data)
    if is_webp(data):
        return _checked(*size_of(data))
    raise InputError("an image is in no format that is known", hint=_HINT)


def _checked(width: int, height: int) -> tuple[int, int]:
    if width < 1 or height < 1:
        raise InputError("an image has no pixels")
    if max(width, height) > limits.IMAGE_SIDE or width * height > limits.IMAGE_PIXELS:
        raise LimitError(
            f"an image of {width:,} by {height:,} pixels is too large",
            hint=f"{limits.IMAGE_PIXELS:,} pixels are allowed, {limits.IMAGE_SIDE:,} in a row",
        )
    if max(width, height) > limits.IMAGE_RATIO * min(width, height):
        raise LimitError(
            f"an image of {width:,} by {height:,} pixels is too narrow",
            hint=f"one side may be {limits.IMAGE_RATIO} times as long as the other",
        )
    return width, height


def _png(data: bytes) -> tuple[int, int]:
    pieces = _chunks(data)
    kind, head = next(pieces)
    if kind != b"IHDR":
        raise InputError("an image is damaged or cut off")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", head)
    size = _checked(width, height)
    needed = ((width * depth * _CHANNELS[colour] + 7) // 8 + 1) * height
    allowed = needed * _INTERLACED + _PIECE if interlaced else needed
    if _inflated((piece for kind, piece in pieces if kind == b"IDAT"), allowed) < needed:
        raise InputError("an image is damaged or cut off")
    return size


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kinds and contents of a PNG's chunks, up to its end."""
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (crc,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(kind + body) != crc:
            raise InputError("an image is damaged or cut off")
        yield kind, body
        at += 12 + length


def _inflated(pieces: Iterator[bytes], allowed: int) -> int:
    """Return how many bytes *pieces* become, which may be *allowed* at most."""
    inflate = zlib.decompressobj()
    total = 0
    for piece in pieces:
        rest = piece
        while rest and not inflate.eof:
            total += len(inflate.decompress(rest, _PIECE))
            rest = inflate.unconsumed_tail
            if total > allowed:
                raise LimitError("an image unpacks to more than it says")
    return total


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    size: tuple[int, int] | None = None
    while True:
        mark, code = data[at], data[at + 1]
        if mark != 0xFF:
            raise InputError("an image is damaged or cut off")
        if code == 0xFF:
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= code <= 0xCF and code not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = _checked(width, height)
        if code == 0xDA:
            break
        at += 2 + length
    if size is None or data.find(b"\xff\xd9", at) < 0:
        raise InputError("an image is damaged or cut off")
    return size


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    if not data.rstrip(b"\0").endswith(b";"):
        raise InputError("an image is damaged or cut off")
    return _checked(width, height)


def _bmp(data: bytes) -> tuple[int, int]:
    (start,) = struct.unpack_from("<I", data, 10)
    width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    size = _checked(width, abs(height))
    row = (width * bits + 31) // 32 * 4
    if start + row * abs(height) > len(data):
        raise InputError("an image is damaged or cut off")
    return size
