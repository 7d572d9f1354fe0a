"""The slots of one model's memory, and what is done so that they say what memory really holds.

A slot that is interrupted here knows less than memory holds, never more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelpack.engine.media import is_media, whole
from modelpack.engine.overflow import plan_shift
from modelpack.engine.relief import Holder, Relief, plan_relief
from modelpack.engine.slots import Job, Slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelpack.engine.base import Decoder


class Memory:
    """All slots over one decoder."""

    def __init__(self, decoder: Decoder, slots: int) -> None:
        self._decoder = decoder
        self._admissions = 0
        self._busy: list[tuple[Slot, Job]] | None = None
        """What `busy` tells; None when that has to be looked up."""
        self.slots = [Slot(index) for index in range(slots)]

    @property
    def busy(self) -> list[tuple[Slot, Job]]:
        """The slots in use and who uses them, in the order they asked."""
        if self._busy is None:
            busy = [(slot, slot.job) for slot in self.slots if slot.job is not None]
            self._busy = sorted(busy, key=lambda pair: pair[1].number)
        return self._busy

    @property
    def free(self) -> int:
        """Number of slots that nobody uses."""
        return len(self.slots) - len(self.busy)

    def admit(self, job: Job) -> None:
        """Give *job* a free slot, and what of its prompt that one holds."""
        free = [slot for slot in self.slots if slot.job is None]
        slot, reusable = choose(free, job.tokens)
        # The last token is computed again in any case: what comes after it is wanted.
        job.start(self.trim(slot, min(reusable, len(job.tokens) - 1)))
        self._admissions += 1
        slot.job, slot.used = job, self._admissions
        self._busy = None

    def leave(self, number: int) -> None:
        """Let the request *number* go; what its slot holds stays."""
        for slot, job in self.busy:
            if job.number == number:
                slot.job = None
                self._busy = None
                return

    def trim(self, slot: Slot, count: int) -> int:
        """Forget what *slot* holds from *count* on; return how much of it stays.

        That is *count*, or less where it is in the middle of a picture, or 0.
        """
        count = whole(slot.held, count)
        held, slot.held = slot.held, []
        kept = self._decoder.keep(slot.index, count)
        slot.held = held[:kept]
        if slot.sound is not None and kept <= slot.sound:
            slot.sound = None
        return kept

    def restore(self, slots: Iterable[Slot]) -> None:
        """Bring memory back to what *slots* are known to hold, after a step was broken off."""
        for slot in slots:
            held, job = slot.held, slot.job
            # What was computed but never answered with a token has its last token computed again.
            waiting = job is not None and not job.pending and held
            kept = self.trim(slot, len(held) - 1 if waiting else len(held))
            if job is not None:
                job.pending = [*held[kept:], *job.pending]

    def shift(self, slot: Slot, job: Job) -> bool:
        """Make room in a full slot, if *job* wants that; return whether it worked."""
        if job.request.overflow != "shift" or any(map(is_media, slot.held)):
            return False
        num_keep, prompt = job.request.num_keep, job.prompt_tokens
        gap = plan_shift(len(slot.held), num_keep=num_keep, prompt=prompt)
        if not self._decoder.shift(slot.index, gap.start, gap.count):
            return False
        slot.held = gap.cut(slot.held)
        slot.sound = gap.start if slot.sound is None else min(gap.start, slot.sound)
        job.shifted += gap.count
        return True

    def relieve(self) -> tuple[Relief, Job | None] | None:
        """Free a slot that others need more; return what was done, and to whom."""
        relief = plan_relief(
            Holder(
                slot.index, len(slot.held), slot.used, None if slot.job is None else slot.job.number
            )
            for slot in self.slots
        )
        if relief is None:
            return None
        slot = self.slots[relief.slot]
        job, slot.job = slot.job, None
        self._busy = None
        if job is not None:
            job.preempt(slot.held)
        self.trim(slot, 0)
        return relief, job


def choose(free: Sequence[Slot], tokens: Sequence[int]) -> tuple[Slot, int]:
    """Return which of the *free* slots a prompt goes to, and how much of it is there already.

    That is the one with most of it, if that is a good part of the prompt or of what would be lost
    there; a few tokens that all prompts begin with are no reason to forget a conversation. Else it
    is the one unused for longest.
    """
    reusable = [(slot.reusable(tokens), slot) for slot in free]
    count, slot = max(reusable, key=lambda pair: (pair[0], -pair[1].used))
    if count * 4 >= len(tokens) or count * 2 >= len(slot.held) > 0:
        return slot, count
    count, slot = min(reusable, key=lambda pair: pair[1].used)
    return slot, count
