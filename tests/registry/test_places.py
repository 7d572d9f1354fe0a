"""Addresses that a registry names."""

from __future__ import annotations

import pytest

from modelpack.registry.places import described, is_same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://LOCALHOST:5000/x", "http://localhost:5000/y", True),
        ("https://r.example:443/x", "https://r.example/", True),
        ("http://r.example:443/x", "https://r.example/", False),
        ("https://r.example:444/x", "https://r.example/", False),
        ("https://r.example.evil/x", "https://r.example/", False),
        ("https://r.example@evil/x", "https://r.example/", False),
    ],
)
def test_a_server_is_scheme_host_and_port(one, other, same):
    assert is_same(one, other) == same


@pytest.mark.parametrize(
    ("host", "url", "said"),
    [
        ("r.example", "https://R.example/v2/", "r.example"),
        ("docker.io", "https://registry-1.docker.io/v2/", "docker.io"),
        ("r.example", "https://u:p@cdn.example/x", "cdn.example (where r.example sent us)"),
        ("r.example", "", "r.example"),
    ],
)
def test_errors_name_who_failed(host, url, said):
    assert described(host, url) == said
