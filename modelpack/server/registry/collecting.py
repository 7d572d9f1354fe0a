"""When the collector runs: again and again beside the server, or once where none runs."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from modelpack.errors import InputError, StoreError
from modelpack.server.registry.settings import GRACE_S, RegistrySettings
from modelpack.server.registry.storage.collector import Collected, Policy, collect
from modelpack.server.registry.storage.layout import InUseError, Layout, opened

_log = logging.getLogger("modelpack.server.registry")


def collect_garbage(
    root: Path, *, older_than_s: float = GRACE_S, untagged: bool = False, dry_run: bool = False
) -> Collected:
    """Remove from the folder *root*, which no registry serves now, what nobody needs.

    That is: blobs that no manifest of their repository needs, uploads that stopped, temporary
    files, and with *untagged* manifests without a tag, an index or a subject.

    Raises:
        InputError: *root* is no registry's folder.
        StoreError: it cannot be written, or a registry serves it.
    """
    if not (root / "blobs").is_dir():
        raise InputError(f"no registry has its folder at {root}", hint="name it with --root")
    policy = Policy(now=time.time(), grace_s=older_than_s, untagged=untagged, dry_run=dry_run)
    try:
        with opened(root, sweep=False) as layout:
            return collect(layout, policy, lambda: True)
    except InUseError:
        raise StoreError(
            f"a registry serves {root}",
            hint="stop it first, or let it collect: `modelpack registry serve --gc-every 24h`",
        ) from None
    except OSError as error:
        raise StoreError(f"cannot collect in {root}: {error}") from error


@contextlib.contextmanager
def collecting(settings: RegistrySettings, layout: Layout) -> Iterator[None]:
    """Collect in a thread for the length of a `with` block, if *settings* ask for it."""
    if not settings.gc_every_s:
        yield
        return
    ended = threading.Event()

    def work() -> None:
        while True:
            policy = Policy(now=time.time(), grace_s=settings.gc_grace_s)
            try:
                _tell(collect(layout, policy, lambda: not ended.is_set()))
            except OSError as error:
                _log.error("cannot collect in %s: %s", layout.root, error)
            if ended.wait(settings.gc_every_s):
                return

    thread = threading.Thread(target=work, name="collector", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()  # the folder is let go of after this


def _tell(collected: Collected) -> None:
    for name, why in collected.skipped.items():
        _log.warning("nothing of %s is collected: %s", name, why)
    _log.info("collected %d blobs, %d bytes", len(collected.blobs), collected.freed)
