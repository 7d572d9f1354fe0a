"""How hosts want their blobs."""

from __future__ import annotations

import pytest

from modelpack.registry.policy import policy_for


@pytest.mark.parametrize(
    ("host", "size", "minimum", "expected"),
    [
        ("registry.example", 100 << 30, 0, 0),
        ("registry.example", 100 << 20, 10 << 20, 64 << 20),
        ("registry.example", 100 << 20, 80 << 20, 80 << 20),
        ("registry.example", 50 << 20, 80 << 20, 0),
        ("ghcr.io", 5 << 30, 0, 0),
        ("quay.io", 5 << 30, 0, 0),
        ("quay.io", 30 << 30, 0, 64 << 20),
        ("europe-docker.pkg.dev", 5 << 30, 10 << 20, 0),
        ("public.ecr.aws", 5 << 30, 10 << 20, 0),
    ],
)
def test_the_table_says_how_a_host_wants_its_blobs(host, size, minimum, expected):
    assert policy_for(host).chunk_of(size, minimum) == expected


def test_a_rest_respects_what_is_known_of_the_host():
    assert policy_for("ghcr.io").rest_of(1 << 30, 5) == 4 << 20
    assert policy_for("registry.example").rest_of(100, 40) == 60
    ecr = policy_for("123.dkr.ecr.eu-west-1.amazonaws.com")
    assert ecr.told(1 << 20, None).chunk_of(1 << 30) == 5 << 20


def test_the_user_knows_better():
    told = policy_for("public.ecr.aws").told(1 << 20, None)
    assert told.chunk_of(1 << 30) == 1 << 20
    assert policy_for("quay.io").told(0, None).chunk_of(100 << 30) == 0
    assert policy_for("registry.example").told(None, 5).chunk_of(100 << 30) == 64 << 20
