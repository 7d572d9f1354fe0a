"""Everything that can go wrong with a registry: each thing alone, then several at once, by chance.

`MODELPACK_STORMS` says how many storms there are and `MODELPACK_STORM_SEED` with which seed they
begin. Each test is named by its seed, and does the same again when asked for by that name.
"""

from __future__ import annotations

import os
import random
import zlib

import pytest
from fakes.faults import TRIES, WORTH_IT, Mishap
from fakes.mishaps import PULLS
from fakes.mishaps_sending import PUSHES
from fakes.storm import AUTHS, WAYS, Model, storm

from modelpack import limits
from modelpack.registry.direct import Direct, OddError
from modelpack.registry.policy import UploadPolicy

FIRST = int(os.environ.get("MODELPACK_STORM_SEED", "1"))
STORMS = int(os.environ.get("MODELPACK_STORMS", "40"))
MISHAPS = (*PULLS, *PUSHES)
PART = 65_536
SMALL = {
    "BLOCK": 16_384,
    "RANGES_FROM": 100_000,
    "RANGE_PART": PART,
    "RANGE_BLOCK": 16_384,
    "TELL_EVERY": 32_768,
    "JOURNAL_EVERY_S": 0.0,
    "UPLOADS_KEPT_FROM": 1_000,
    "SENT_PIECE": 16_384,
    "SENT_PIECES": 16_384,
    "RETRIES": TRIES,
    "RETRY_BASE_S": 0.001,
    "RETRY_CAP_S": 0.004,
    "RETRY_AFTER_CAP_S": 0.01,
    "RETRY_PROGRESS": 100_000,
    "READ_TIMEOUT_S": 0.2,
    "CANCEL_TIMEOUT_S": 0.1,
    "STALL_S": 0.1,
    "STALL_BYTES": 1_024,
}
TOGETHER = {"SMALL": 100_000, "SMALL_FROM": 1, "UPLOADS_KEPT_FROM": 100_001}
"""Limits with which the blobs that are not parted move together."""
CASES = [
    (mishap, way, how)
    for mishap in MISHAPS
    for way, how in (
        (mishap.way, ""),
        (mishap.way, "in parts"),
        (mishap.way, "together"),
        (mishap.way, "by the library"),
        ("copy", "in parts" if mishap.way == "push" else ""),
    )
]


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(limits, name, value)
    monkeypatch.setattr("modelpack.registry.policy.CHUNK", 50_000)


@pytest.fixture
def patient(monkeypatch):
    """Wait again for as long as a busy machine may take."""

    def wait():
        for name in ("READ_TIMEOUT_S", "STALL_S"):
            monkeypatch.setattr(limits, name, 10.0)

    return wait


@pytest.fixture
def folders(clean_environment, tmp_path):
    return clean_environment, tmp_path


@pytest.fixture
def policy(monkeypatch):
    """Set what is known of every host."""

    def known(**said):
        monkeypatch.setattr("modelpack.registry.policy._KNOWN", {"*": UploadPolicy(**said)})

    return known


def name_of(case):
    mishap, way, how = case
    return f"{mishap.name} - {way} {how}".strip()


def together(monkeypatch):
    for name, value in TOGETHER.items():
        monkeypatch.setattr(limits, name, value)


def by_the_library(monkeypatch):
    """Let nothing be plain enough for our own HTTP."""

    def refuse(*_given):
        raise OddError

    monkeypatch.setattr(Direct, "send", refuse)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_whatever_goes_wrong_ends_well_or_in_the_right_error(
    case, folders, policy, patient, monkeypatch
):
    mishap, way, how = case
    parted = how == "in parts"
    if how == "together":
        together(monkeypatch)
    if how == "by the library":
        by_the_library(monkeypatch)
    rng = random.Random(zlib.crc32(name_of(case).encode()))
    model = Model.of(rng.randbytes(3 * PART + 77 if parted else 30_011), rng.randbytes(700))
    if parted:
        policy(chunk=PART)
    ranged = parted and way == "pull"
    auth, concurrency = ("tokens", 1) if mishap.tokens else ("none", 4)
    with storm(way, model, auth, folders, concurrency) as now:
        place = now.place(mishap.way)
        mishap.begin(place, rng)
        if not mishap.slow:
            patient()
        error = now.go()
        now.heal()
        patient()
        assert (type(error) if error else None) in mishap.allowed(ranged=ranged)
        assert now.go() is None


def shape(rng: random.Random) -> Model:
    """Draw a model: a big blob that goes in parts and some small ones, or small ones only."""
    sizes = [rng.choice([0, 1, 500, rng.randint(2, 30_000)]) for _ in range(rng.randint(0, 3))]
    sizes.append(
        rng.randint(100_000, 500_000) if rng.random() < 0.5 else rng.randint(WORTH_IT, 30_000)
    )
    rng.shuffle(sizes)
    layers = [rng.randbytes(size) for size in sizes]
    return Model.of(*layers, *(layers[:1] if rng.random() < 0.2 else []))


def sending(rng: random.Random) -> dict[str, object]:
    """Draw what is known of the host that is sent to."""
    size = rng.choice([700, 5_000, 40_000, 200_000])
    return rng.choice(
        [{}, {}, {"chunk": size}, {"put_limit": size}, {"chunk_limit": size}, {"chunks": False}]
    )


def drawn(rng: random.Random, way: str, auth: str) -> list[Mishap]:
    """Draw one to four mishaps that can happen here."""
    fitting = [m for m in MISHAPS if way in ("copy", m.way) and (auth == "tokens" or not m.tokens)]
    return rng.sample(fitting, rng.randint(1, 4))


def allowed(mishaps: list[Mishap]) -> set[type | None]:
    """Return what may come of all of them together."""
    ends = {end for m in mishaps for ranged in (False, True) for end in m.allowed(ranged=ranged)}
    return ends | {end for m in mishaps for end in m.others if len(mishaps) > 1}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + STORMS))
def test_a_storm_leaves_nothing_wrong_and_is_gone_on_with(
    seed, folders, policy, patient, monkeypatch
):
    rng = random.Random(seed)
    if rng.random() < 0.4:
        together(monkeypatch)
    if random.Random(-seed).random() < 0.3:
        by_the_library(monkeypatch)
    way, auth = rng.choice(WAYS), rng.choice(AUTHS)
    model = shape(rng)
    mishaps = drawn(rng, way, auth)
    policy(**sending(rng))
    said = f"{way}, {auth}: {', '.join(map(str, mishaps))}"
    print(said)
    concurrency = rng.randint(1, 6)
    if any(mishap.tokens for mishap in mishaps):
        concurrency = 1  # a token that expires between a challenge and its answer is refused
    with storm(way, model, auth, folders, concurrency) as now:
        places = {w: place for w in ("pull", "push") if (place := now.place(w))}
        for mishap in mishaps:
            mishap.begin(places[mishap.way], rng)
        if not any(mishap.slow for mishap in mishaps):
            patient()
        error = now.go()
        print(f"{type(error).__name__}: {error}")
        now.heal()
        patient()
        assert (type(error) if error else None) in allowed(mishaps)
        assert now.go() is None
