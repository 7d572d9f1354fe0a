"""What can go wrong where a model is fetched, by name, and what must come of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from email.utils import formatdate

from fakes import answers
from fakes.faults import Mishap, Place, Switch, passing
from fakes.registry import digest_of
from fakes.web import Answer, Exchange, html, says

from modelpack.errors import (
    AuthenticationError,
    IntegrityError,
    ManifestError,
    NetworkError,
    NotFoundError,
    RegistryError,
)

BLOBS, MANIFEST, TOKEN = "/blobs/", "/manifests/v1", "/token"
REFUSED = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
_TEMPORARY = (429, 500, 502, 503, 504)
_OK, _NO = (
    f"HTTP/1.1 {what}\r\nContent-Length: 99999\r\n".encode() for what in ("200 OK", "403 X")
)
_END = b"\r\n"

Make = Callable[[Place, random.Random], Answer]


def at(methods: str, part: str, make: Make, *, early: bool = False) -> Switch:
    """Answer what *make* gives to requests for paths with *part*."""
    return lambda place, rng, times: place.registry.instead(
        methods, part, make(place, rng), times=times, early=early
    )


def fixed(methods: str, part: str, answer: Answer, *, early: bool = False) -> Switch:
    """Give the *answer*."""
    return at(methods, part, lambda *_: answer, early=early)


def one(make: Make) -> Switch:
    """Answer what *make* gives to whoever wants one certain blob."""
    return lambda place, rng, times: place.blob(rng, make(place, rng), times)


def bad(most: int = 0, **how) -> Switch:
    """Serve one blob *how* `serve` may; cut after *most* bytes at most."""

    def make(place: Place, rng: random.Random) -> Answer:
        cut = {"cut": rng.randint(0, most)} if most else {}
        return answers.blob(place.registry, **cut, **how)

    return one(make)


def damaged(place: Place, rng: random.Random) -> Answer:
    """Serve a blob with one bit another, always the same."""
    return answers.blob(place.registry, answers.flipped(rng.randrange(99_999)))


def stalls(most: int) -> Switch:
    """Say nothing more after *most* bytes of one blob at most."""
    return one(lambda p, r: answers.blob(p.registry, cut=r.randint(0, most), until=p.over))


def busy(methods: str, part: str) -> Switch:
    """Answer that it is a bad time."""
    return at(methods, part, lambda _, rng: says(rng.choice(_TEMPORARY), b"<busy>"))


def busy_until(methods: str, part: str) -> Switch:
    """Answer that it is a bad time, and when to ask again."""
    said = ("0", "1", "99999", "soon", "-3", formatdate(time.time() + 9, usegmt=True))
    return at(
        methods,
        part,
        lambda _, rng: says(rng.choice(_TEMPORARY), Retry_After=rng.choice(said)),
    )


def quirk(**values: object) -> Switch:
    """Let the registry be like that."""
    return lambda place, _rng, _times: place.set(place.registry, **values)


def expire(methods: str, part: str) -> Switch:
    """Let all tokens expire when one is used."""

    def make(place: Place, _rng: random.Random) -> Answer:
        def answer(exchange: Exchange) -> None:
            assert place.registry.tokens
            place.registry.expired |= set(place.registry.tokens.given)
            place.registry.answer(exchange)

        return answer

    return at(methods, part, make)


def at_tokens(make: Make) -> Switch:
    """Answer what *make* gives instead of a token."""

    def switch(place: Place, rng: random.Random, times: int) -> None:
        assert place.registry.tokens
        place.registry.tokens.instead("GET POST", TOKEN, make(place, rng), times=times)

    return switch


def _elsewhere(place: Place, _rng: random.Random) -> Answer:
    place.elsewhere.blobs.update(place.blobs)

    def answer(exchange: Exchange) -> None:
        if not place.registry.refuses(exchange):
            exchange.reply(307, Location=f"{place.elsewhere.url}{exchange.path}")

    return answer


def _elsewhere_for_a_password(place: Place, rng: random.Random) -> Answer:
    scheme = rng.choice(["Basic", "Bearer"])
    challenge = f'{scheme} realm="{place.elsewhere.url}/token",service="x"'
    place.elsewhere.instead("GET", BLOBS, says(401, REFUSED, WWW_Authenticate=challenge))
    return _elsewhere(place, rng)


def _tokens_elsewhere(place: Place, _rng: random.Random) -> Answer:
    place.elsewhere.instead("GET", TOKEN, says(200, b'{"token":"stolen"}'))
    return says(307, Location=f"{place.elsewhere.url}/token")


def _other_manifest(place: Place, _rng: random.Random) -> Answer:
    def answer(exchange: Exchange) -> None:
        raw = place.registry.manifests["team/model", "v1"][0]
        said = {"Docker_Content_Digest": digest_of(raw)}
        if not place.registry.refuses(exchange):
            exchange.reply(200, raw.replace(b".gguf", b".ggug"), **said)

    return answer


def _cut_then_refused(place: Place, rng: random.Random, _times: int) -> None:
    part = f"{BLOBS}{place.one(rng)}"
    place.registry.instead("GET", part, says(416))
    place.registry.instead("GET", part, answers.blob(place.registry, cut=0), times=1)


def _lie(place: Place, rng: random.Random) -> Answer:
    return answers.lie(place.registry, rng.choice([(1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1)]))


def drip(head: bytes, drop: bytes) -> Make:
    """Return what sends *drop* by *drop*."""
    return lambda place, _rng: answers.dripping(head, drop, place.over)


_LOST, _WRONG, _ODD, _SHUT = (
    (NetworkError,),
    (IntegrityError,),
    (RegistryError,),
    (AuthenticationError,),
)

PULLS = (
    # the connection
    passing("a download is cut", "pull", bad(100)),
    passing("a download is cut late", "pull", bad(70_000)),
    Mishap("every download is cut", "pull", bad(100), _LOST),
    passing("a connection dies", "pull", one(lambda *_: answers.gone)),
    Mishap("every connection dies", "pull", one(lambda *_: answers.gone), _LOST),
    passing("a blob is garbage", "pull", one(lambda *_: answers.garbage)),
    Mishap("every blob is garbage", "pull", one(lambda *_: answers.garbage), _LOST),
    passing("a download stalls", "pull", stalls(5_000), most=1, slow=True),
    Mishap("every download stalls", "pull", stalls(50), _LOST, slow=True),
    passing("a download trickles", "pull", bad(block=1, pace_s=0.01), most=1, slow=True),
    Mishap("every download trickles", "pull", bad(block=1, pace_s=0.01), _LOST, slow=True),
    Mishap("headers trickle", "pull", at("GET", BLOBS, drip(_OK, b"X-A: b\r\n")), _LOST, slow=True),
    Mishap(
        "a manifest trickles", "pull", at("GET", MANIFEST, drip(_OK + _END, b" ")), _LOST, slow=True
    ),
    Mishap(
        "an error trickles", "pull", at("GET", MANIFEST, drip(_NO + _END, b"n")), _SHUT, slow=True
    ),
    # the bytes
    Mishap("a bit is wrong", "pull", one(damaged), _WRONG),
    Mishap("a blob is too short", "pull", bad(cut=9, promised=9), _WRONG, _ODD),
    Mishap(
        "a blob is too long",
        "pull",
        one(lambda p, _: answers.blob(p.registry, lambda d: d + b"!")),
        _WRONG,
        _ODD,
    ),
    Mishap("a blob has no length", "pull", one(lambda p, _: answers.unmeasured(p.registry))),
    Mishap(
        "a blob without a length is cut",
        "pull",
        one(lambda p, r: answers.unmeasured(p.registry, r.randrange(999))),
        _WRONG,
    ),
    Mishap("a blob comes in chunks", "pull", one(lambda p, _: answers.in_pieces(p.registry))),
    passing(
        "a blob in chunks is cut",
        "pull",
        one(lambda p, r: answers.in_pieces(p.registry, r.randrange(999))),
    ),
    Mishap("a blob is compressed", "pull", one(lambda p, _: answers.packed(p.registry)), _ODD),
    Mishap("a page instead of a blob", "pull", one(lambda *_: html()), _WRONG),
    Mishap("a page instead of a manifest", "pull", fixed("GET", MANIFEST, html()), _ODD),
    Mishap(
        "half a manifest", "pull", fixed("GET", MANIFEST, says(200, b'{"schema')), (ManifestError,)
    ),
    Mishap("a manifest is another one", "pull", at("GET", MANIFEST, _other_manifest), _WRONG),
    Mishap("there are no ranges", "pull", quirk(ranges=False)),
    Mishap("a range is another one", "pull", one(_lie), (None,), _ODD),
    # the answers
    passing("it is a bad time", "pull", busy("GET", "/v2/")),
    passing("it is a bad time, and says for how long", "pull", busy_until("GET", "/v2/")),
    Mishap("it is always a bad time", "pull", busy("GET", BLOBS), _ODD),
    Mishap("a blob is not there", "pull", one(lambda *_: says(404)), (NotFoundError,)),
    Mishap("a blob answers 416", "pull", one(lambda *_: says(416)), _ODD),
    Mishap("a blob is cut, then answers 416", "pull", _cut_then_refused, _ODD),
    # who may ask
    Mishap("a blob is forbidden", "pull", one(lambda *_: says(401, REFUSED)), _SHUT),
    Mishap("blobs are elsewhere", "pull", one(_elsewhere)),
    Mishap("blobs are elsewhere, for a password", "pull", one(_elsewhere_for_a_password), _SHUT),
    passing("the tokens expire", "pull", expire("GET", BLOBS), 1, tokens=True),
    passing("no token is given now", "pull", at_tokens(lambda *_: says(503)), tokens=True),
    Mishap("a page instead of a token", "pull", at_tokens(lambda *_: html()), _ODD, tokens=True),
    Mishap("tokens are elsewhere", "pull", at_tokens(_tokens_elsewhere), _SHUT, tokens=True),
    Mishap(
        "a token trickles", "pull", at_tokens(drip(_OK + _END, b" ")), _LOST, tokens=True, slow=True
    ),
)
