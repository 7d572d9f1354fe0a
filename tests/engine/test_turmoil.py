"""Everything that can go wrong with a step, by chance and together: nobody's answer is harmed."""

from __future__ import annotations

import random

import pytest
from engine.fakes import AlphabetDecoder, make_loop

from modelpack.engine.base import Delta, Failed, Finished, Request
from modelpack.engine.sampling import Sampling
from modelpack.errors import EngineError

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class Turmoil:
    """Asks, cancels and disturbs one loop, and keeps what was said."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.decoder = AlphabetDecoder(room=self.draw.choice([60, 100, 300, 10_000]))
        self.decoder.refuses_cuts = self.draw.random() < 0.3
        self.decoder.refuses_shifts = self.draw.random() < 0.3
        self.decoder.forces = self.draw.choice([{}, {"d": "efgh", "p": "qrstuvw"}])
        self.loop = make_loop(self.decoder, n_ctx=50, slots=self.draw.randint(1, 4))
        self.asked: dict[int, str] = {}
        self.said: dict[int, str] = {}
        self.ended: dict[int, Finished | Failed] = {}
        self.disturbed: set[int] = set()

    def ask(self) -> None:
        draw = self.draw
        last = draw.choice(ALPHABET)
        prompt = draw.choice(["", "once ", "once upon "]) + "-" * draw.randint(0, 60) + last
        asked = Request(
            tokens=tuple(map(ord, prompt)),
            sampling=Sampling(num_predict=draw.choice([-1, 3]), stop=draw.choice([(), ("xy",)])),
            overflow=draw.choice(["length", "shift"]),
            truncate=True,
        )
        number = self.loop.submit(asked)
        self.asked[number], self.said[number] = last, ""

    def step(self) -> None:
        draw, decoder = self.draw, self.decoder
        chance = draw.random()
        if chance < 0.04:
            decoder.fails_next = EngineError("broken")
        elif chance < 0.06:
            decoder.fails_next = KeyboardInterrupt()
        elif chance < 0.1:
            decoder.aborts_next = True
        elif chance < 0.2 and self.asked:
            number = draw.choice(list(self.asked))
            self.disturbed.add(number)
            if draw.random() < 0.5:
                self.loop.cancel(number)
            else:
                decoder.during = lambda: self.loop.cancel(number)
        try:
            events = self.loop.step()
        except KeyboardInterrupt:
            return
        for number, event in events:
            assert number not in self.ended
            if isinstance(event, Delta):
                self.said[number] += event.text
            else:
                self.ended[number] = event


@pytest.mark.parametrize("seed", range(150))
def test_every_answer_is_right_and_ends_once(seed):
    turmoil = Turmoil(seed)
    for _ in range(60):
        if turmoil.draw.random() < 0.3:
            turmoil.ask()
        turmoil.step()
    turmoil.decoder.fails_next, turmoil.decoder.during = None, None
    for _ in range(3000):
        if not turmoil.loop.busy:
            break
        turmoil.step()
    assert not turmoil.loop.busy
    assert set(turmoil.ended) == set(turmoil.asked)
    assert turmoil.decoder.open_samplers == 0
    for number, last in turmoil.asked.items():
        end, said = turmoil.ended[number], turmoil.said[number]
        rest = ALPHABET[ALPHABET.index(last) + 1 :]
        assert rest.startswith(said)
        if isinstance(end, Finished) and end.reason == "stop":
            assert said in (rest, rest.partition("xy")[0])
    for slot in turmoil.loop._memory.slots:
        assert slot.held == turmoil.decoder.memory.get(slot.index, [])
