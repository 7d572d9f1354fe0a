"""What can go wrong where a model is sent to, by name, and what must come of it."""

from __future__ import annotations

import random
from urllib.parse import urlsplit

from fakes import answers
from fakes.faults import Mishap, Place, Switch, passing
from fakes.mishaps import REFUSED, at, at_tokens, busy, busy_until, drip, expire, fixed
from fakes.web import Answer, Exchange, html, says

from modelpack.errors import AuthenticationError, NetworkError, NotFoundError, RegistryError

UPLOADS, MANIFEST = "/blobs/uploads/", "/manifests/v1"
SENDING, ANY = "PUT PATCH", "HEAD POST PUT PATCH"
_OK = b"HTTP/1.1 201 Created\r\nContent-Length: 99999\r\n"


def _session(exchange: Exchange) -> str:
    return urlsplit(exchange.path).path.rpartition("/")[2]


def _cut(place: Place, rng: random.Random) -> Answer:
    return place.registry.uploads.cut(rng.choice([0, 1, rng.randint(0, 9_000), 1 << 30]))


def _cut_and_damaged(place: Place, rng: random.Random) -> Answer:
    cut = place.registry.uploads.cut(rng.randint(1, 9_000))

    def answer(exchange: Exchange) -> None:
        cut(exchange)
        session = place.registry.uploads.sessions.get(_session(exchange))
        if session and session.data:
            session.data[0] ^= 1

    return answer


def _damaged(place: Place, _rng: random.Random) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.body = answers.flipped(0)(exchange.body)
        place.registry.answer(exchange)

    return answer


def _lost(place: Place, _rng: random.Random) -> Answer:
    def answer(exchange: Exchange) -> None:
        place.registry.uploads.sessions.pop(_session(exchange), None)
        place.registry.answer(exchange)

    return answer


def _answer_lost(place: Place, _rng: random.Random) -> Answer:
    def answer(exchange: Exchange) -> None:
        write, exchange.wfile.write = exchange.wfile.write, lambda _data: 0
        place.registry.answer(exchange)
        exchange.wfile.write = write
        exchange.hang_up()

    return answer


def _too_early(_place: Place, rng: random.Random) -> Answer:
    status = rng.choice([429, 500, 503])

    def answer(exchange: Exchange) -> None:
        exchange.reply(status, b"not now", Connection="close")
        exchange.hang_up()

    return answer


def _stall(place: Place, rng: random.Random) -> Answer:
    some = rng.randint(0, 900)

    def answer(exchange: Exchange) -> None:
        exchange.rfile.read(min(some, int(exchange.headers["Content-Length"])))
        answers.silent(place.over)(exchange)

    return answer


def _elsewhere(place: Place, _rng: random.Random, _times: int) -> None:
    place.set(place.registry.uploads, base=place.elsewhere.url)
    place.elsewhere.uploads = place.registry.uploads


def _elsewhere_for_a_password(place: Place, rng: random.Random, times: int) -> None:
    _elsewhere(place, rng, times)
    scheme = rng.choice(["Basic", "Bearer"])
    challenge = f'{scheme} realm="{place.elsewhere.url}/token",service="x"'
    place.elsewhere.instead(ANY, UPLOADS, says(401, REFUSED, WWW_Authenticate=challenge))


def _redirected(place: Place, rng: random.Random) -> Answer:
    status = rng.choice([301, 302, 307, 308])
    return lambda exchange: exchange.reply(status, Location=f"{place.elsewhere.url}{exchange.path}")


def _pages_for_blobs(place: Place, rng: random.Random, times: int) -> None:
    fixed("HEAD", "/blobs/", html())(place, rng, times)
    at(SENDING, UPLOADS, lambda p, _: p.registry.uploads.cut(0), early=True)(place, rng, times)


def quirk(**values: object) -> Switch:
    """Let uploads be like that."""
    return lambda place, _rng, _times: place.set(place.registry.uploads, **values)


def _smallest(place: Place, rng: random.Random, _times: int) -> None:
    place.set(place.registry.uploads, minimum=rng.choice([1, 500, 3_000, 50_000]))


def _largest(place: Place, rng: random.Random, _times: int) -> None:
    place.set(place.registry.uploads, chunk_limit=rng.choice([100, 5_000, 50_000]))


_LOST, _ODD, _SHUT = (NetworkError,), (RegistryError,), (AuthenticationError,)
_GONE = (NotFoundError, NetworkError, RegistryError, None)

PUSHES = (
    # the connection
    passing("an upload is cut", "push", at(SENDING, UPLOADS, _cut, early=True)),
    Mishap(
        "every upload is cut",
        "push",
        at(SENDING, UPLOADS, lambda p, _: p.registry.uploads.cut(0), early=True),
        _LOST,
    ),
    passing(
        "an upload is cut and damaged", "push", at(SENDING, UPLOADS, _cut_and_damaged, early=True)
    ),
    passing("an answer is lost", "push", at("PATCH PUT", "/v2/", _answer_lost)),
    passing("an answer comes too early", "push", at(SENDING, UPLOADS, _too_early, early=True)),
    passing(
        "an upload stalls", "push", at(SENDING, UPLOADS, _stall, early=True), most=1, slow=True
    ),
    Mishap(
        "every upload stalls", "push", at(SENDING, UPLOADS, _stall, early=True), _LOST, slow=True
    ),
    Mishap(
        "every answer stalls",
        "push",
        at(SENDING, UPLOADS, lambda p, _: answers.silent(p.over)),
        _LOST,
        slow=True,
    ),
    Mishap(
        "headers of an upload trickle",
        "push",
        at(SENDING, UPLOADS, drip(_OK, b"X-A: b\r\n")),
        _LOST,
        slow=True,
    ),
    passing("an answer is garbage", "push", fixed(SENDING, UPLOADS, answers.garbage)),
    # the bytes
    Mishap("what came is damaged", "push", at("PUT", UPLOADS, _damaged), _ODD),
    passing("an upload is lost", "push", at(SENDING, UPLOADS, _lost), others=_GONE),
    Mishap("every upload is lost", "push", at(SENDING, UPLOADS, _lost), (NotFoundError,)),
    Mishap("uploads do not outlive a connection", "push", quirk(keeps=False)),
    Mishap("nothing is said of what came", "push", quirk(says_range=False)),
    # the answers
    passing("it is a bad time to send", "push", busy(ANY, "/v2/")),
    passing("it is a bad time to send, and says for how long", "push", busy_until(ANY, "/v2/")),
    Mishap("it is always a bad time to send", "push", busy(SENDING, UPLOADS), _ODD),
    Mishap("it is always a bad time to name", "push", busy("PUT", MANIFEST), _ODD),
    passing("an upload answers 416", "push", fixed(SENDING, UPLOADS, says(416))),
    Mishap("every upload answers 416", "push", fixed(SENDING, UPLOADS, says(416)), _ODD),
    Mishap("an upload is too large", "push", fixed(SENDING, UPLOADS, html(413)), _ODD),
    Mishap("a chunk answers 201", "push", quirk(patched=201)),
    Mishap("a chunk answers 204", "push", quirk(patched=204)),
    Mishap("there is a smallest chunk", "push", _smallest),
    Mishap("there is a largest chunk", "push", _largest, (None, RegistryError)),
    Mishap("a page instead of an upload", "push", fixed("POST", UPLOADS, html()), _ODD),
    Mishap("a page instead of a begun upload", "push", fixed("POST", UPLOADS, html(202)), _ODD),
    Mishap("a page after an upload", "push", fixed(SENDING, UPLOADS, html()), _ODD),
    Mishap("a page after a manifest", "push", fixed("PUT", MANIFEST, html()), _ODD),
    Mishap("a page for whether a blob is there", "push", fixed("HEAD", "/blobs/", html())),
    Mishap("pages say that blobs are there, and no upload ends", "push", _pages_for_blobs, _LOST),
    # who may send
    Mishap("sending is forbidden", "push", fixed("POST", UPLOADS, says(401, REFUSED)), _SHUT),
    Mishap("uploads go elsewhere", "push", _elsewhere),
    Mishap("uploads go elsewhere, for a password", "push", _elsewhere_for_a_password, _SHUT),
    Mishap(
        "an upload is redirected", "push", at(ANY.removeprefix("HEAD "), UPLOADS, _redirected), _ODD
    ),
    passing("the tokens expire while sending", "push", expire(SENDING, UPLOADS), 1, tokens=True),
    passing("no token is given for sending", "push", at_tokens(lambda *_: says(503)), tokens=True),
)
