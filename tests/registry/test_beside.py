"""What goes on beside the small blobs: big ones, a list of referrers, somebody's Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from fakes.answers import silent
from fakes.crowds import BIG, crowd, keep, offer
from fakes.models import files_in
from fakes.registry import digest_of
from fakes.web import says
from support.models import leftovers

from modelpack.errors import NotFoundError, RegistryError
from modelpack.ops.pull import pull
from modelpack.ops.push import push

LAYERS = crowd()
SOON_S = 10


@pytest.fixture
def over(registry):
    """Ends what waits."""
    over = threading.Event()
    yield over
    over.set()


@pytest.fixture
def soon(over):
    """Fails a test that is not over soon."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_S
    assert not over.is_set()


def test_what_refers_to_a_model_is_asked_for_while_its_blobs_move(registry, there):
    offer(registry, LAYERS)
    asked = threading.Event()
    in_time = []

    def lists(exchange):
        asked.set()
        exchange.reply(404)

    def waits(exchange):
        in_time.append(asked.wait(5))
        registry.answer(exchange)

    registry.instead("GET", "/referrers/", lists)
    registry.instead("GET", "/blobs/", waits)
    pull(there, f"{registry.host}/team/many:v1")
    assert len(in_time) == len(LAYERS) + 1
    assert all(in_time)


@pytest.mark.usefixtures("soon")
def test_a_big_blob_that_is_not_there_ends_a_pull(registry, there, over):
    """Whoever brings the small ones, which hang, must not be waited for."""
    offer(registry, LAYERS)
    begun = threading.Event()
    hangs = silent(over)

    def held(exchange):
        begun.set()
        hangs(exchange)

    def missing(exchange):
        begun.wait(5)
        exchange.reply(404)

    registry.instead("GET", "/blobs/", held)
    registry.instead("GET", digest_of(BIG), missing)
    with pytest.raises(NotFoundError, match=digest_of(BIG)):
        pull(there, f"{registry.host}/team/many:v1")
    assert not any(file.startswith("manifests/") for file in files_in(there))


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
@pytest.mark.usefixtures("soon")
def test_a_big_blob_that_is_refused_ends_a_push(registry, here, over, method):
    keep(here, LAYERS)
    registry.instead(method, "/blobs/", silent(over))
    if method != "HEAD":
        registry.instead("HEAD", "/blobs/", says(404))
    registry.instead("HEAD", digest_of(BIG), says(403))
    with pytest.raises(RegistryError, match="403"):
        push(here, "many", f"{registry.host}/team/many:v1")
    assert registry.manifests == {}


@pytest.mark.usefixtures("soon")
def test_ctrl_c_ends_a_pull_whose_list_of_referrers_hangs(registry, there, over):
    offer(registry, LAYERS)
    main = threading.main_thread().ident
    hangs = silent(over)

    def pressing(exchange):
        signal.pthread_kill(main, signal.SIGINT)
        hangs(exchange)

    registry.instead("GET", "/referrers/", pressing)
    with pytest.raises(KeyboardInterrupt):
        pull(there, f"{registry.host}/team/many:v1")


@pytest.mark.parametrize("big", [BIG, b""], ids=["with a big one", "small ones only"])
@pytest.mark.usefixtures("soon")
def test_ctrl_c_ends_a_pull_whose_small_blobs_hang(registry, there, over, big):
    offer(registry, crowd(big=big))
    hangs = silent(over)
    pressed = threading.Lock()

    def pressing(exchange):
        if pressed.acquire(blocking=False):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        hangs(exchange)

    registry.instead("GET", "/blobs/", pressing)
    with pytest.raises(KeyboardInterrupt):
        pull(there, f"{registry.host}/team/many:v1")
    resumable = digest_of(BIG).replace(":", "-")
    left = leftovers(there.store.layout.root)
    assert [name for name in left if not name.startswith(resumable)] == []
    assert not any(file.startswith("manifests/") for file in files_in(there))
