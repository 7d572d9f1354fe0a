"""Which texts are computed together. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def pack(lengths: Sequence[int], *, room: int, most: int) -> list[list[int]]:
    """Share texts of *lengths* tokens among batches; each is a list of their numbers.

    A batch holds at most *room* tokens and *most* texts; a text that is longer is one by itself.
    Texts of like length go together: attention looks at the whole of a batch, so a long text would
    make short ones dear.
    """
    batches: list[list[int]] = []
    used = room
    for number in sorted(range(len(lengths)), key=lambda n: (lengths[n], n)):
        length = lengths[number]
        if not batches or used + length > room or len(batches[-1]) == most:
            batches.append([])
            used = 0
        batches[-1].append(number)
        used += length
    return batches
