from __future__ import annotations

import json
import random

import pytest

from modelpack import limits
from modelpack.content.ranges import Ledger, Span, decode_journal, encode_journal
from modelpack.oci.digest import Digest

DIGEST = Digest.of(b"weights")


def random_ledger(rng: random.Random) -> Ledger:
    ledger = Ledger.empty(rng.randrange(1, 5_000), rng.randrange(1, 700))
    done = [
        rng.choice((0, span.size, rng.randrange(span.size + 1)))
        for span in map(ledger.span, range(len(ledger.done)))
    ]
    return Ledger(ledger.size, ledger.part, tuple(done))


def there(ledger: Ledger) -> list[range]:
    """The bytes that *ledger* says are there."""
    return [
        range(number * ledger.part, number * ledger.part + have)
        for number, have in enumerate(ledger.done)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_every_byte_is_there_or_missing_exactly_once(seed):
    ledger = random_ledger(random.Random(seed))
    counts = [0] * ledger.size
    for bytes_there in there(ledger):
        for at in bytes_there:
            counts[at] += 1
    for gap in ledger.missing():
        for at in range(gap.start, gap.stop):
            counts[at] += 1
    assert counts == [1] * ledger.size
    assert ledger.total + sum(gap.size for gap in ledger.missing()) == ledger.size


@pytest.mark.parametrize("seed", range(40))
def test_filling_the_gaps_in_any_order_completes_the_blob(seed):
    rng = random.Random(seed)
    ledger = random_ledger(rng)
    done = list(ledger.done)
    gaps = ledger.missing()
    rng.shuffle(gaps)
    for gap in gaps:
        assert gap.start == ledger.span(gap.part).start + done[gap.part]
        done[gap.part] += gap.size
    full = Ledger(ledger.size, ledger.part, tuple(done))
    assert full.missing() == []
    assert full.prefix() == (len(done), ledger.size)


@pytest.mark.parametrize("seed", range(40))
def test_the_prefix_has_no_gap_and_a_missing_byte_behind_it(seed):
    ledger = random_ledger(random.Random(seed))
    first, prefix = ledger.prefix()
    gaps = ledger.missing()
    assert prefix == (gaps[0].start if gaps else ledger.size)
    assert ledger.prefix(first) == (first, prefix)


def test_a_plan_has_few_parts_however_large_the_blob():
    ledger = Ledger.empty(1 << 62)
    assert len(ledger.done) <= limits.RANGE_PARTS
    assert Ledger.empty(limits.RANGE_PART * 2 + 1).missing()[-1] == Span(
        2, 2 * limits.RANGE_PART, 2 * limits.RANGE_PART + 1
    )


def test_a_journal_says_again_what_was_written():
    ledger = Ledger(3 * limits.MiB + 5, limits.MiB, (limits.MiB, 0, 17, 5))
    assert decode_journal(encode_journal(ledger, DIGEST), DIGEST, ledger.size) == ledger


def test_the_journal_of_the_largest_plan_can_be_read():
    size = 1 << 50
    whole = Ledger.empty(size)
    full = Ledger(size, whole.part, tuple(whole.span(n).size for n in range(len(whole.done))))
    assert decode_journal(encode_journal(full, DIGEST), DIGEST, size) == full


GOOD = {
    "version": 1,
    "digest": str(DIGEST),
    "size": 2 * limits.MiB,
    "part": limits.MiB,
    "done": [limits.MiB, 7],
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"version": "1"},
        {"digest": str(Digest.of(b"other"))},
        {"digest": None},
        {"size": 2 * limits.MiB + 1},
        {"part": 0},
        {"part": -1},
        {"part": 1},
        {"part": 1 << 70},
        {"part": True},
        {"part": 1048576.0},
        {"done": []},
        {"done": None},
        {"done": [1]},
        {"done": [1, 2, 3]},
        {"done": [limits.MiB + 1, 0]},
        {"done": [-1, 0]},
        {"done": ["1", "2"]},
        {"done": [True, False]},
        {"done": [1.0, 2.0]},
        {"done": [None, 0]},
    ],
)
def test_a_journal_that_cannot_be_right_is_not_believed(wrong):
    assert decode_journal(json.dumps(GOOD).encode(), DIGEST, GOOD["size"]) is not None
    assert decode_journal(json.dumps(GOOD | wrong).encode(), DIGEST, GOOD["size"]) is None


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"1", b"null", b"\xff", b"[" * 100_000, b" " * (limits.JOURNAL + 1)]
)
def test_a_journal_that_is_none_is_not_believed(raw):
    assert decode_journal(raw, DIGEST, 100) is None


@pytest.mark.parametrize("seed", range(60))
def test_a_journal_with_damaged_bytes_is_none_or_sound(seed):
    rng = random.Random(seed)
    raw = bytearray(json.dumps(GOOD).encode())
    for _ in range(rng.randrange(1, 4)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    ledger = decode_journal(bytes(raw), DIGEST, GOOD["size"])
    if ledger is not None:
        assert ledger.total + sum(gap.size for gap in ledger.missing()) == ledger.size
