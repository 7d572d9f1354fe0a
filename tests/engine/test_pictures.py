from __future__ import annotations

import struct
import sys
import zlib

import pytest
from engine.seeing import bmp, gif, jpeg_head, png, png_of, webp

from modelpack import limits
from modelpack.engine.pictures import measure
from modelpack.engine.webp import bitmap_of
from modelpack.errors import InputError, LimitError, MissingExtraError

WHOLE = {
    "png": png(40, 30),
    "bmp": bmp(40, 30),
    "jpeg": jpeg_head(40, 30),
    "gif": gif(40, 30),
    "webp": webp(40, 30),
    "lossless webp": webp(40, 30, lossless=True),
    "extended webp": webp(40, 30, exif=b"Exif"),
}
HUGE = 2**31 - 1


def head(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_picture_has_a_size(data):
    assert measure(data) == (40, 30)


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_picture_that_is_cut_off_anywhere_is_none(data):
    for end in {*range(0, len(data) - 1, 7), len(data) - 1}:
        with pytest.raises(InputError):
            measure(data[:end])


def test_what_is_no_picture_is_told_as_such():
    for data in (b"", b"hello", b"\0" * 100, b"%PDF-1.7", b"RIFF\0\0\0\0WAVEfmt ", b"\x89PNG"):
        with pytest.raises(InputError, match="no format that is known"):
            measure(data)


@pytest.mark.parametrize(
    "data",
    [
        png_of(head(HUGE, HUGE), zlib.compress(b"")),
        png_of(head(limits.IMAGE_SIDE + 1, 100), zlib.compress(b"")),
        png_of(head(16_000, 16_000), zlib.compress(b"")),
        png_of(head(16_000, 10), zlib.compress(b"")),
        jpeg_head(65_535, 65_535),
        gif(65_535, 65_535),
        webp(9, 9, lossless=True)[:21] + b"\xff" * 4 + webp(9, 9, lossless=True)[25:],
        bmp(1, 1)[:18] + struct.pack("<ii", HUGE, -HUGE) + bmp(1, 1)[26:],
    ],
    ids=["png", "wide", "pixels", "narrow", "jpeg", "gif", "webp", "bmp"],
)
def test_a_picture_that_is_too_large_is_refused(data):
    with pytest.raises(LimitError, match=r"too (large|narrow)"):
        measure(data)


def test_a_file_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "IMAGE", 10)
    with pytest.raises(LimitError, match="10 are allowed"):
        measure(png(4, 4))


def test_a_picture_that_unpacks_to_more_than_it_says_is_refused():
    bomb = zlib.compress(bytes(50_000_000))
    with pytest.raises(LimitError, match="unpacks to more"):
        measure(png_of(head(1, 1), bomb))


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(InputError, match="no pixels"):
        measure(png_of(head(0, 5), zlib.compress(b"")))


@pytest.mark.parametrize(
    "data",
    [
        png(9, 9)[:40] + b"\0" + png(9, 9)[41:],
        png_of(head(9, 9, colour=5), zlib.compress(bytes(900))),
        png_of(head(9, 9), b"no deflate"),
        png_of(head(9, 9), zlib.compress(bytes(9))),
        b"\xff\xd8\xff\xe0\x00\x02" + b"\x00" * 20,
        b"\xff\xd8" + b"\xff" * 100,
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"RIFF\x10\0\0\0WEBPVP9 \x04\0\0\0\0\0\0\0",
    ],
)
def test_a_damaged_picture_is_told_as_such(data):
    with pytest.raises(InputError, match="damaged or cut off"):
        measure(data)


def test_without_pillow_the_extra_is_named(monkeypatch):
    picture = webp(4, 4)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match="WebP"):
        bitmap_of(picture)
