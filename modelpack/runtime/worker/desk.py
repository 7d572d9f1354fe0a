"""Where a worker takes requests: what is wrong is refused, what is right is begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from modelpack.engine.base import Finished, Statistics
from modelpack.runtime.worker.aside import Aside, is_long, is_slow
from modelpack.runtime.worker.messages import error_to_json, reply_to_json, wish_from_json

if TYPE_CHECKING:
    from modelpack.runtime.ask import Wish
    from modelpack.runtime.worker.frames import Frames
    from modelpack.runtime.worker.hosted import Model
    from modelpack.runtime.worker.steps import Steps


class Desk:
    """Takes what comes through *frames*, and hands *steps* what *model* makes of it."""

    def __init__(self, model: Model, frames: Frames, steps: Steps) -> None:
        self._model = model
        self._frames = frames
        self._steps = steps
        self._aside = Aside(self._begin)
        self._reading = Aside(self._begin, threads=1)

    def serve(self) -> None:
        """Take requests until the parent is gone."""
        while isinstance(said := self._frames.receive(), dict):
            if "cancel" in said:
                self._cancel(int(said["cancel"]))
                continue
            wish = wish_from_json(said)
            if is_long(wish):
                self._reading.put(wish)
            elif is_slow(wish):
                self._aside.put(wish)
            else:
                self._begin(wish, lambda: True)

    def _begin(self, wish: Wish, wanted: Callable[[], bool]) -> None:
        try:
            work = self._model.prepare(wish)
        except Exception as error:  # noqa: BLE001 - others are answered here, too
            if wanted():
                self._frames.send([error_to_json(wish.number, error, "preparing the request")])
            return
        if not wanted():
            return
        if isinstance(work, list):
            self._frames.send([reply_to_json(wish.number, reply) for reply in work])
        else:
            self._steps.begin(wish.number, work)

    def _cancel(self, number: int) -> None:
        if self._aside.cancel(number) or self._reading.cancel(number):
            self._frames.send([reply_to_json(number, Finished("cancelled", Statistics()))])
        else:
            self._steps.cancel(number)
