"""Pictures in the format WebP, which llama.cpp cannot read: the only module that imports Pillow.

Source: RFC 9649 (WebP Image Format), sections 2.4 to 2.7 and 3.4.
"""

from __future__ import annotations

import io
import struct

from modelpack.errors import InputError, MissingExtraError

_BOX = 12
"""Bytes of the RIFF header, and where the first chunk begins."""
_FRAME_START = b"\x9d\x01\x2a"
_LOSSLESS = b"\x2f"
_SIDE = 0x3FFF


def is_webp(data: bytes) -> bool:
    """Tell whether *data* is a picture in this format, perhaps a damaged one."""
    return data[:4] == b"RIFF" and data[8:_BOX] == b"WEBP"


def size_of(data: bytes) -> tuple[int, int]:
    """Return the width and height that *data* says it has.

    Raises:
        InputError: it is damaged or cut off.
        struct.error: the same.
    """
    (length,) = struct.unpack_from("<I", data, 4)
    kind = data[_BOX : _BOX + 4]
    body = data[_BOX + 8 : 8 + length]
    if 8 + length <= len(data):
        if kind == b"VP8X":
            low_w, high_w, low_h, high_h = struct.unpack_from("<HBHB", body, 4)
            return low_w + (high_w << 16) + 1, low_h + (high_h << 16) + 1
        if kind == b"VP8L" and body[:1] == _LOSSLESS:
            (bits,) = struct.unpack_from("<I", body, 1)
            return (bits & _SIDE) + 1, (bits >> 14 & _SIDE) + 1
        if kind == b"VP8 " and body[3:6] == _FRAME_START:
            width, height = struct.unpack_from("<HH", body, 6)
            return width & _SIDE, height & _SIDE
    raise InputError("an image is damaged or cut off")


def bitmap_of(data: bytes) -> bytes:
    """Return the picture in *data*, the first of a moving one, as a BMP of 24 bits a pixel.

    Raises:
        InputError: it is damaged or cut off.
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("images in the format WebP", "runtime") from error
    made = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as picture:
            picture.convert("RGB").save(made, "BMP")
    except (OSError, ValueError, SyntaxError, EOFError):  # what Pillow raises
        raise InputError("an image is damaged or cut off") from None
    return made.getvalue()
