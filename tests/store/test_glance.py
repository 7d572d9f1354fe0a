from __future__ import annotations

import json

import pytest
from support.models import manifest_of

from modelpack.errors import InputError
from modelpack.oci.manifest import total_size
from modelpack.oci.reference import Reference
from modelpack.store.local import LocalStore


def test_a_glance_shows_what_a_list_shows(tmp_path):
    store = LocalStore(tmp_path)
    for text in ("one", "ghcr.io/team/two:1", "three:x"):
        store.name(Reference.parse(text), manifest_of(store, text.encode(), b"shared"))
    (tmp_path / "manifests/local/bad").mkdir()
    (tmp_path / "manifests/local/bad/latest").write_bytes(b"damaged")
    (tmp_path / "manifests/local/README").write_bytes(b"foreign")
    seen, glanced = [], []
    full = list(store.list(seen.append))
    quick = list(store.glance(glanced.append))
    assert [(e.reference.name, e.manifest.digest, e.manifest.size, e.modified) for e in full] == [
        (e.name, e.digest, e.size, e.modified) for e in quick
    ]
    assert len(quick) == 3
    assert len(seen) == len(glanced) == 2


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"layers": {}},
        {"layers": [None]},
        {"layers": [{"size": -1}]},
        {"layers": [{"size": "1"}]},
        {"layers": [], "config": {"size": float("inf")}},
        {"layers": [{"size": 1.5}], "config": {"size": 1}},
    ],
)
def test_a_glance_refuses_what_has_no_sizes(value):
    with pytest.raises(InputError):
        total_size(json.dumps(value).encode())
