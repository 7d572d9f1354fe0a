"""The HTTP session of oras-py, made to go our ways: the only importer of oras-py."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelpack import limits
from modelpack.registry.failures import Answer
from modelpack.registry.ways import Ways

if TYPE_CHECKING:
    import requests


def http_session(name: str, ways: Ways, *, quiet: bool) -> requests.Session:
    """Return a session by *ways*, which identifies us to the host *name* only.

    Where it is *quiet*, it does not warn of TLS that is not verified.
    """
    with _put_off("jsonschema"):  # it takes long to load, and we check for ourselves
        from oras.provider import Registry
    from modelpack.registry.adapter import mount

    session: requests.Session = Registry(tls_verify=not quiet).session
    session.max_redirects = limits.REDIRECTS
    session.rebuild_auth = _rebuild_auth  # type: ignore[method-assign]
    mount(session, name, ways)
    return session


@contextmanager
def _put_off(name: str) -> Iterator[None]:
    """Let the block's imports of the module *name* load it only when it is first used."""
    if name in sys.modules:
        yield
        return
    module = ModuleType(name)
    module.__getattr__ = lambda key: getattr(importlib.import_module(name), key)  # type: ignore[method-assign]
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]


def _rebuild_auth(request: requests.PreparedRequest, response: Answer) -> None:
    """Drop credentials when a redirect leaves the host, and take none from ~/.netrc."""
    if urlsplit(request.url)[:2] != urlsplit(response.url)[:2]:
        request.headers.pop("Authorization", None)
