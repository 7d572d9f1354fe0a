"""What `push` refuses to send."""

from __future__ import annotations

import pytest
from fakes.models import build_model, context_at
from fakes.registry import FakeRegistry

from modelpack.errors import InputError
from modelpack.ops.push import push


@pytest.fixture
def context(tmp_path):
    return context_at(tmp_path)


def test_a_destination_with_another_digest_is_refused_before_anything_is_sent(context, tmp_path):
    manifest = build_model(context, tmp_path, "tiny")
    with FakeRegistry() as registry:
        other = f"{registry.host}/team/tiny:v1@sha256:{'a' * 64}"
        with pytest.raises(InputError, match=str(manifest.digest)) as refused:
            push(context, "tiny", other)
        assert "leave the digest out" in refused.value.hint
        assert registry.seen == []
        push(context, "tiny", f"{registry.host}/team/tiny:v1@{manifest.digest}")
        assert registry.manifests["team/tiny", "v1"][0] == manifest.raw
