"""Places at models, with a real worker."""

from __future__ import annotations

import asyncio

import pytest
from support.serving import MODEL, tiny_store

from modelpack.server.daemon.catalog import Catalog
from modelpack.server.daemon.pool.pool import Pool
from modelpack.server.daemon.pool.values import Limits

pytestmark = pytest.mark.model


def test_a_place_is_not_lost_on_who_gives_up_as_it_becomes_free(tmp_path):
    async def scene() -> None:
        model = (await Catalog(tiny_store(tmp_path), print).open(MODEL)).model
        pool = Pool(Limits(places=1))

        async def wait() -> None:
            async with pool.use(model, {}, 60):
                pass

        try:
            async with pool.use(model, {}, 60):
                second = asyncio.create_task(wait())
                while not pool.waiting:
                    await asyncio.sleep(0)
                second.cancel()  # it hears of it in the next turn of the loop
            with pytest.raises(asyncio.CancelledError):
                await second
            assert [loaded.users for loaded in pool.loaded()] == [0]
            await asyncio.wait_for(wait(), 10)
        finally:
            await pool.close()

    asyncio.run(scene())
