"""Byte-level BPE in the manner of GPT-2: training and encoding."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import regex

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_WORD = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
_SPECIAL = regex.compile("(" + "|".join(regex.escape(name) for name in SPECIALS) + ")")

Pair = tuple[str, str]


@cache
def byte_signs() -> tuple[str, ...]:
    """Return GPT-2's printable sign for each of the 256 bytes."""
    plain = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    rest = iter(range(256, 512))
    return tuple(chr(byte if byte in plain else next(rest)) for byte in range(256))


def to_signs(text: str) -> str:
    """Write the UTF-8 bytes of a text with their printable signs."""
    signs = byte_signs()
    return "".join(signs[byte] for byte in text.encode())


SPACE = to_signs(" ")


def allowed(left: str, right: str) -> bool:
    """Tell whether two pieces may become one token.

    A space is never joined to a capital letter or a digit, so that a name is cut the same way
    after a space and after a quotation mark, and digits stay single. Both make copying easier.
    """
    if any(sign.isdigit() for sign in left + right):
        return False
    if left == SPACE and "A" <= right[0] <= "Z":
        return False
    return len(left + right) <= (4 if "A" <= left[0] <= "Z" else 14)


def _replace(word: list[str], pair: Pair) -> list[str]:
    """Join every occurrence of the pair in a word."""
    out: list[str] = []
    at = 0
    while at < len(word):
        if at + 1 < len(word) and (word[at], word[at + 1]) == pair:
            out.append(word[at] + word[at + 1])
            at += 2
        else:
            out.append(word[at])
            at += 1
    return out


def learn(texts: Iterable[str], size: int) -> list[Pair]:
    """Learn the merges of a vocabulary with so many tokens from the texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        for part in _SPECIAL.split(text):
            if part not in SPECIALS:
                counts.update(_WORD.findall(part))
    words = [list(to_signs(word)) for word in counts]
    times = list(counts.values())
    pairs: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for at, word in enumerate(words):
        for pair in pairwise(word):
            pairs[pair] += times[at]
            where[pair].add(at)
    merges: list[Pair] = []
    while len(merges) < size - 256 - len(SPECIALS):
        best = max((pair for pair in pairs if allowed(*pair)), key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for at in where.pop(best):
            for pair in pairwise(words[at]):
                pairs[pair] -= times[at]
            words[at] = _replace(words[at], best)
            for pair in pairwise(words[at]):
                pairs[pair] += times[at]
                where[pair].add(at)
        pairs.pop(best, None)
    return merges


class Tokenizer:
    """Text to token numbers and back."""

    def __init__(self, merges: list[Pair]) -> None:
        """Make the tokenizer that applies these merges in this order."""
        self.merges = merges
        self.rank = {pair: at for at, pair in enumerate(merges)}
        self.tokens = [*SPECIALS, *byte_signs(), *(left + right for left, right in merges)]
        self.number = {token: at for at, token in enumerate(self.tokens)}
        self._known: dict[str, list[int]] = {}

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read a tokenizer that ``save`` wrote."""
        return cls([tuple(pair) for pair in json.loads(path.read_text(encoding="utf-8"))])

    def save(self, path: Path) -> None:
        """Write the merges, from which all else follows."""
        path.write_text(json.dumps(self.merges, ensure_ascii=False), encoding="utf-8")

    def _cut(self, word: str) -> list[int]:
        """Cut one word into tokens: the earliest learned merge first."""
        if word in self._known:
            return self._known[word]
        pieces = list(to_signs(word))
        while len(pieces) > 1:
            best = min(pairwise(pieces), key=lambda pair: self.rank.get(pair, len(self.rank)))
            if best not in self.rank:
                break
            pieces = _replace(pieces, best)
        found = [self.number[piece] for piece in pieces]
        if len(self._known) < 100_000:
            self._known[word] = found
        return found

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text; the three special tokens are recognised in it."""
        out: list[int] = []
        for part in _SPECIAL.split(text):
            if part in SPECIALS:
                out.append(self.number[part])
            else:
                for word in _WORD.findall(part):
                    out.extend(self._cut(word))
        return out

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the text of the tokens."""
        back = {sign: byte for byte, sign in enumerate(byte_signs())}
        out = bytearray()
        for number in numbers:
            token = self.tokens[number]
            out += token.encode() if token in SPECIALS else bytes(back[sign] for sign in token)
        return out.decode(errors="replace")
