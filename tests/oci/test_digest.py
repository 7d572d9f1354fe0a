from __future__ import annotations

import hashlib

import pytest

from modelpack.errors import DigestError
from modelpack.oci.digest import Digest

HEX = hashlib.sha256(b"weights").hexdigest()


def test_digest_of_data_is_its_sha256():
    assert str(Digest.of(b"weights")) == f"sha256:{HEX}"


def test_digest_reads_what_it_writes():
    assert Digest.parse(f"sha256:{HEX}") == Digest.of(b"weights")
    assert Digest.parse(f"sha256:{HEX}").short == HEX[:12]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        HEX,
        f"sha256-{HEX}",
        f"SHA256:{HEX}",
        f"sha512:{HEX * 2}",
        f"md5:{HEX[:32]}",
        "sha256:",
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"sha256:{HEX[:-1]}g",
        f"sha256:{HEX[:-1]}\n",
        f"sha256:{HEX}\n",
        f" sha256:{HEX}",
        f"sha256:{'٣' * 64}",
        f"sha256:../../{HEX[6:]}",
    ],
)
def test_digest_refuses_text_that_is_not_one(text):
    with pytest.raises(DigestError) as caught:
        Digest.parse(text)
    assert caught.value.hint


def test_digest_keeps_its_error_short():
    with pytest.raises(DigestError) as caught:
        Digest.parse("sha256:" + "x" * 100_000)
    assert len(str(caught.value)) < 200
