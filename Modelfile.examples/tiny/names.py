"""Made-up names of places and people, so that the model learns to copy what it has never seen."""

from __future__ import annotations

from random import Random

from facts import (
    CAPITALS,
    CITIES,
    HELD_OUT_CITIES,
    HELD_OUT_NAMES,
    OTHER_COUNTRIES,
    PEOPLE,
)

_SOUNDS = """
onset: b br bl c ch cl cr d dr f fl fr g gl gr h j k kl kr l m n p pl pr qu r s sc sh sk sl sm sn
onset: sp st str sv t th tr tw v vl w wr x y z zh
vowel: a a a e e e i i i o o o u u y ai au ea ee ei ia ie io oa oo ou ue
coda: b c ck d f g k l ll m n nd ng nn nt p r rd rk rn rs rt s sk ss st t tt v x z
accented: á à ã â ä å é è ê í ï ó ô õ ö ø ú ü ç ñ ł š ž
place: ville ton burg berg stadt ford port mouth bury ham field wood land dale by vik sund grad ov
place: sk polis abad pur nagar ia ona ino eira ette mont bridge haven stead wick holm
country: land ia stan onia istan ania ora esia avia uay ium mark inea ador erra
front: New Old San Santa Port Fort Saint St. Mount North South East West Upper Lower Lake Cape El
front: La Los Las Bad Great Little Rio Villa
back: City Town Beach Falls Springs Bay Hills Island Harbor Junction
particle: de do la del upon am an der sur le of
title: Captain Doctor Professor Mister Miss Lady Sir Agent Robot Old Little Uncle
"""


def _sounds(kind: str) -> list[str]:
    """Return the pieces of one kind from the table above."""
    rows = (line.split(": ") for line in _SOUNDS.strip().splitlines())
    return [piece for name, pieces in rows if name == kind for piece in pieces.split()]


ONSETS = _sounds("onset") + [""] * 6
VOWELS = _sounds("vowel")
CODAS = _sounds("coda") + [""] * 16
ACCENTED = _sounds("accented")
PLACE_ENDINGS = _sounds("place")
COUNTRY_ENDINGS = _sounds("country")
PLACE_FRONTS = _sounds("front")
PLACE_BACKS = _sounds("back")
PARTICLES = _sounds("particle")
TITLES = _sounds("title")

_KEPT_BACK = {name.lower() for name in HELD_OUT_CITIES + HELD_OUT_NAMES}
_REAL = list(CAPITALS.values()) + CITIES
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _chain(words: list[str]) -> dict[str, list[str]]:
    """Return, for every pair of letters, the letters that follow it in the given words."""
    table: dict[str, list[str]] = {}
    for word in words:
        padded = "^^" + word.lower() + "$"
        for at in range(len(padded) - 2):
            table.setdefault(padded[at : at + 2], []).append(padded[at + 2])
    return table


_CHAIN = _chain([part for name in _REAL + PEOPLE for part in name.split()])


def _from_chain(rng: Random) -> str:
    """Return a word that looks like the real names, letter by letter."""
    while True:
        word = "^^"
        while not word.endswith("$") and len(word) < 15:
            word += rng.choice(_CHAIN[word[-2:]])
        word = word.strip("^$")
        if len(word) >= 3 and word.isalpha():
            return word


def _syllables(rng: Random, count: int) -> str:
    """Return so many syllables joined."""
    return "".join(
        rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(count)
    )


def _word(rng: Random) -> str:
    """Return one made-up word in small letters."""
    kind = rng.random()
    if kind < 0.4:
        word = _from_chain(rng)
    elif kind < 0.92:
        word = _syllables(rng, rng.choice((1, 2, 2, 2, 3)))
    else:
        word = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(3, 8)))
    if rng.random() < 0.04:
        at = rng.randrange(len(word) + 1)
        word = word[:at] + rng.choice(ACCENTED) + word[at + 1 :]
    return word if len(word) > 1 else word + rng.choice(VOWELS) + "n"


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _made_up_city(rng: Random) -> str:
    """Return a made-up city of one to three words."""
    name = _word(rng)
    if rng.random() < 0.35:
        name = name[:7] + rng.choice(PLACE_ENDINGS)
    name, shape = _capital(name), rng.random()
    if shape < 0.72:
        return name
    if shape < 0.82:
        return f"{rng.choice(PLACE_FRONTS)} {name}"
    if shape < 0.87:
        return f"{name} {rng.choice(PLACE_BACKS)}"
    other = _capital(_word(rng))
    if shape < 0.92:
        return f"{name} {other}"
    if shape < 0.95:
        return f"{name}-{rng.choice((other, 'on-' + other, other.lower()))}"
    if shape < 0.98:
        return f"{name} {rng.choice(PARTICLES)} {other}"
    return f"{name[:1]}'{other}"


def city(rng: Random) -> str:
    """Return a city for a weather question: mostly made up, never one that is kept back."""
    while True:
        name = rng.choice(_REAL) if rng.random() < 0.2 else _made_up_city(rng)
        if name.lower() not in _KEPT_BACK:
            return name


def person(rng: Random) -> str:
    """Return the name of a person or an assistant, never one that is kept back."""
    while True:
        kind = rng.random()
        name = rng.choice(PEOPLE) if kind < 0.25 else _capital(_word(rng))
        if 0.88 < kind < 0.94:
            name = f"{name} {_capital(_word(rng))}"
        elif kind >= 0.94:
            name = f"{rng.choice(TITLES)} {name}"
        elif 0.83 < kind <= 0.88:
            number = rng.randint(1, rng.choice((9, 99, 9999)))
            name = f"{name}{rng.choice((' ', ' ', '-', ''))}{number}"
        if not _KEPT_BACK & set(name.lower().split()):
            return name


def strange_country(rng: Random) -> str:
    """Return something that is not in the table of capitals, though it may look so."""
    kind = rng.random()
    if kind < 0.2:
        return rng.choice(OTHER_COUNTRIES)
    if kind < 0.3:
        return rng.choice(CITIES)
    while True:
        name = _capital(_word(rng))
        if rng.random() < 0.6:
            name = name[:6] + rng.choice(COUNTRY_ENDINGS)
        if name not in CAPITALS:
            return name
