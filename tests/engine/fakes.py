"""A working engine without a model: letters follow one another in the alphabet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from modelpack.engine.base import Borders, Choice, Chunk, Delta, Outcome, Request
from modelpack.engine.likely import Likely
from modelpack.engine.loop import Bounds, Loop
from modelpack.engine.sampling import Sampling
from modelpack.errors import EngineError

END = 0
"""The token that ends an answer; it follows the letter z."""


class AlphabetDecoder:
    """Holds what was computed for each slot and refuses what a real context would refuse."""

    def __init__(self, *, room: int = 1_000_000) -> None:
        self.room = room
        """Tokens that all slots can hold together."""
        self.refuses_shifts = False
        self.aborts_next = False
        self.aborted = self.refused = 0
        self.forces: dict[str, str] = {}
        """Letters that follow one in any case, as with a grammar; in the order of the alphabet."""
        self.during: Callable[[], None] | None = None
        """What happens elsewhere while a step is computed."""
        self.memory: dict[int, list[int]] = {}
        self.steps: list[list[Chunk]] = []
        self.open_samplers = 0
        self.refuses_cuts = False
        self.fails_next: BaseException | None = None
        self._outputs: dict[int, int] = {}

    def decode(self, chunks: Sequence[Chunk]) -> Outcome:
        if sum(map(len, self.memory.values())) + sum(len(c.tokens) for c in chunks) > self.room:
            self.refused += 1
            return "full"
        self.steps.append(list(chunks))
        self._outputs = {}
        row = -1
        for chunk in chunks:
            held = self.memory.setdefault(chunk.slot, [])
            if chunk.start != len(held):
                raise EngineError(f"position {chunk.start} after {len(held)} tokens")
            held.extend(chunk.tokens)
            row += len(chunk.tokens)
            if chunk.output:
                self._outputs[row] = held[-1]
        failure, self.fails_next = self.fails_next, None
        if failure is not None:
            raise failure
        during, self.during = self.during, None
        if during is not None:
            during()
        aborts, self.aborts_next = self.aborts_next, False
        return "aborted" if aborts else "done"

    def abort(self) -> None:
        self.aborted += 1
        self.aborts_next = True

    def shift(self, slot: int, keep: int, drop: int) -> bool:
        if self.refuses_shifts:
            return False
        held = self.memory[slot]
        if keep + drop > len(held):
            raise EngineError(f"{keep} + {drop} tokens of slot {slot} are not there")
        del held[keep : keep + drop]
        return True

    def keep(self, slot: int, count: int) -> int:
        held = self.memory.setdefault(slot, [])
        if self.refuses_cuts and count < len(held):
            count = 0
        if count > len(held):
            raise EngineError(f"{count} tokens of slot {slot} are not there")
        del held[count:]
        return count

    def sampler(self, request: Request, prompt: Sequence[int]) -> AlphabetSampler:
        self.open_samplers += 1
        return AlphabetSampler(self)

    def after(self, row: int) -> int:
        token = self._outputs[row]
        return END if token == ord("z") else token + 1


class AlphabetSampler:
    def __init__(self, decoder: AlphabetDecoder) -> None:
        self._decoder = decoder
        self._open = True
        self._forced = ""
        self._chosen: list[int] = []

    def sample(self, row: int, room: int) -> Choice:
        token = self._decoder.after(row)
        forced = self._forced[1:] or self._decoder.forces.get(chr(token), "")
        self._forced = forced[room:]
        self._chosen += [token, *map(ord, forced[:room])]
        return Choice(token, forced=tuple(map(ord, forced[:room])))

    def measured(self) -> list[Likely]:
        """Each token but `!`, which is second best."""
        chosen, self._chosen = self._chosen, []
        return [Likely(-0.5, (token, ord("!")), (-0.5, -2.0)) for token in chosen]

    def close(self) -> None:
        self._decoder.open_samplers -= self._open
        self._open = False


class Letters:
    """One token for each character; a few names in angle brackets are control tokens."""

    controls = ("<s>", "<end>", "<user>", "<assistant>")
    _first = 1_000_000

    def __init__(self, *, bos: bool = False) -> None:
        self.borders = Borders(bos=self._first if bos else -1, bos_text="<s>", eos_text="<end>")
        self.specials = frozenset(self.controls)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        tokens: list[int] = []
        while text:
            name = next((c for c in self.controls if special and text.startswith(c)), "")
            tokens.append(self._first + self.controls.index(name) if name else ord(text[0]))
            text = text[len(name) or 1 :]
        return tokens

    def piece(self, token: int) -> bytes:
        return b"" if token >= self._first else chr(token).encode()

    def spelling(self, token: int) -> bytes:
        return self.piece(token)

    def ends(self, token: int) -> bool:
        return token == END

    def show(self, tokens: Iterable[int]) -> str:
        """Return *tokens* with control tokens in double brackets."""
        texts = (
            f"[{self.controls[t - self._first]}]" if t >= self._first else chr(t) for t in tokens
        )
        return "".join(texts)


class Ticks:
    """A clock that moves one second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def make_loop(
    decoder: AlphabetDecoder,
    *,
    n_ctx: int = 100,
    slots: int = 1,
    clock: Callable[[], float] | None = None,
    hold_s: float = 0.0,
) -> Loop:
    bounds = Bounds(n_ctx=n_ctx, n_batch=n_ctx, slots=slots, hold_s=hold_s)
    return Loop(decoder, Letters(), bounds, clock=clock or Ticks())


def ask_likely(text: str, *, logprobs: bool = True, **sampling: object) -> Request:
    """Ask how *text* goes on, and how likely that is."""
    tokens = tuple(map(ord, text))
    return Request(tokens=tokens, sampling=Sampling(**sampling), logprobs=logprobs, top_logprobs=2)


def told_by(events: Iterable[object]) -> list[tuple[str, str]]:
    """Return the text of each piece and of the tokens told with it."""
    return [
        (event.text, "".join(entry.text for entry in event.logprobs))
        for event in events
        if isinstance(event, Delta)
    ]
