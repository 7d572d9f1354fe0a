from __future__ import annotations

import io

import pytest

from modelpack.content.verify import VerifyingReader, check_manifest, read_blob
from modelpack.errors import IntegrityError, LimitError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest

BLOB = Descriptor.of(b"weights", "a/b")


def drain(data: bytes, blob: Descriptor = BLOB, size: int = 3) -> bytes:
    reader = VerifyingReader(io.BytesIO(data), blob, "the peer")
    return b"".join(iter(lambda: reader.read(size), b""))


def test_verified_bytes_pass_through():
    assert drain(b"weights") == b"weights"
    assert drain(b"", Descriptor.of(b"", "a/b")) == b""


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b"", "0 bytes instead of 7"),
        (b"weight", "6 bytes instead of 7"),
        (b"WEIGHTS", "bytes with the digest"),
    ],
)
def test_other_bytes_are_refused_at_their_end(body, got):
    with pytest.raises(IntegrityError, match=f"the peer sent {got}") as caught:
        drain(body)
    assert caught.value.hint


def test_a_stream_that_is_too_long_is_refused_before_its_end():
    endless = io.BytesIO(b"x" * 1_000_000)
    reader = VerifyingReader(endless, BLOB, "the peer")
    with pytest.raises(IntegrityError, match="more than 7 bytes"):
        while reader.read(4):
            pass
    assert endless.tell() < 100


def test_a_small_blob_is_read_whole():
    assert read_blob(io.BytesIO(b"weights"), BLOB, limit=7, origin="x") == b"weights"


def test_a_large_blob_is_refused_before_it_is_read():
    body = io.BytesIO(b"weights")
    with pytest.raises(LimitError, match="more than 6"):
        read_blob(body, BLOB, limit=6, origin="x")
    assert body.tell() == 0


def test_a_manifest_is_compared_with_its_promise():
    check_manifest(b"{}", None, "x")
    check_manifest(b"{}", Digest.of(b"{}"), "x")
    with pytest.raises(IntegrityError):
        check_manifest(b"{ }", Digest.of(b"{}"), "x")
