"""The commands that move models between the store and registries, apart from their options."""

from __future__ import annotations

from typing import Unpack

from modelpack.cli import _console
from modelpack.cli._network import Reached, networked
from modelpack.cli._progress import mode_of, progress
from modelpack.cli._server import elsewhere


def pull(
    model: str,
    *,
    verify: bool = False,
    as_json: bool = False,
    quiet: bool = False,
    **network: Unpack[Reached],
) -> None:
    """Fetch a model from a registry; *network* is for `networked`."""
    from modelpack.ops.pull import pull

    context = networked(**network)
    server = elsewhere(context)
    if server is not None:
        from modelpack.client import models

        with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
            models.pull(server, model, report, insecure=context.network.insecure)
        return
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        reference, manifest = pull(context, model, report, verify=verify)
    _console.transferred(reference.name, manifest, quiet=quiet, as_json=as_json)


def push(
    model: str,
    destination: str = "",
    *,
    as_json: bool = False,
    quiet: bool = False,
    **network: Unpack[Reached],
) -> None:
    """Send a model to a registry; *network* is for `networked`."""
    from modelpack.ops.push import push

    context = networked(**network)
    server = None if context.has(model) or destination else elsewhere(context)
    if server is not None:
        from modelpack.client import models

        with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
            models.push(server, model, report, insecure=context.network.insecure)
        return
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        reference, manifest = push(context, model, destination, report)
    _console.transferred(reference.name, manifest, quiet=quiet, as_json=as_json)


def copy(
    source: str,
    destination: str,
    *,
    as_json: bool = False,
    quiet: bool = False,
    **network: Unpack[Reached],
) -> None:
    """Copy a model from one registry to another; *network* is for `networked`."""
    from modelpack.ops.copy import copy_model

    context = networked(**network)
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        copied = copy_model(context, source, destination, report)
    if as_json:
        _console.json_out(
            {
                "name": copied.reference.name,
                "digest": str(copied.manifest.digest),
                "size": copied.manifest.size,
                "referrers": copied.referrers,
            }
        )
        return
    _console.transferred(copied.reference.name, copied.manifest, quiet=quiet, as_json=False)
    if copied.referrers and not quiet:
        _console.note(f"and {copied.referrers} that refer to it")
