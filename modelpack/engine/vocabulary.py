"""The vocabulary of a model in llama.cpp: tokens and what they stand for.

Takes the library from `modelpack.engine.llamacpp`, which owns it.
"""

from __future__ import annotations

import ctypes
from array import array
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from modelpack import limits
from modelpack.engine.base import Borders
from modelpack.engine.cuts import Cuts
from modelpack.errors import EngineError, LimitError

if TYPE_CHECKING:
    from types import ModuleType

Handle: TypeAlias = object
"""A pointer of the library's."""

_PIECE = 256
"""Bytes that almost every token fits in."""
_LONG = 16 * 1024
"""Characters of a text from which on it is looked at where it can be cut."""


class LlamaVocabulary:
    """A `Tokenizer` and `Detokenizer`; safe to use from several threads."""

    def __init__(self, library: ModuleType, handle: Handle) -> None:
        self._library = library
        self._handle = self.handle = handle
        self._ends = library.llama_vocab_is_eog
        self._to_piece = library.llama_token_to_piece
        self._known_ends: dict[int, bool] = {}
        self._pieces: dict[int, bytes] = {}
        self._spellings: dict[int, bytes] = {}

    @property
    def size(self) -> int:
        """Number of tokens."""
        return int(self._library.llama_vocab_n_tokens(self._handle))

    @cached_property
    def borders(self) -> Borders:
        """How texts begin and end."""
        library, handle = self._library, self._handle
        bos = int(library.llama_vocab_bos(handle))
        wanted = bool(library.llama_vocab_get_add_bos(handle))
        return Borders(
            bos=bos if wanted else -1,
            bos_text=self._name(bos),
            eos_text=self._name(int(library.llama_vocab_eos(handle))),
        )

    @cached_property
    def infill(self) -> tuple[int, int, int] | None:
        """The tokens before a gap's beginning, its end, and what fills it, if there are such."""
        library, handle = self._library, self._handle
        before = int(library.llama_vocab_fim_pre(handle))
        after = int(library.llama_vocab_fim_suf(handle))
        middle = int(library.llama_vocab_fim_mid(handle))
        return (before, after, middle) if min(before, after, middle) >= 0 else None

    @cached_property
    def specials(self) -> frozenset[str]:
        """The texts of control tokens. The first use asks for every token, some 50 ms."""
        library = self._library
        wanted = library.LLAMA_TOKEN_ATTR_CONTROL | library.LLAMA_TOKEN_ATTR_UNKNOWN
        return self._names(wanted)

    @cached_property
    def longest(self) -> int:
        """Bytes of text that one token stands for at most; 0 where a token may stand for any."""
        library = self._library
        known = (library.LLAMA_VOCAB_TYPE_SPM, library.LLAMA_VOCAB_TYPE_BPE)
        if library.llama_vocab_type(self._handle) not in known:
            return 0
        return max(map(len, self.spellings()), default=0)

    def controls(self) -> list[int]:
        """Return the tokens that no text means: control tokens, and a user's that look alike."""
        library = self._library
        users = [
            token
            for token in self._having(library.LLAMA_TOKEN_ATTR_USER_DEFINED)
            if (name := self._name(token)).startswith("<") and name.endswith(">")
        ]
        return sorted({*self._having(library.LLAMA_TOKEN_ATTR_CONTROL), *users})

    @cached_property
    def control_names(self) -> dict[str, int]:
        """The names of `controls`, and which tokens they are."""
        return {self.spelling(token).decode("utf-8", "replace"): token for token in self.controls()}

    def spellings(self) -> list[bytes]:
        """Return what every token stands for, the names of control tokens included."""
        handle, to_piece, room = self._handle, self._to_piece, _PIECE
        buffer = ctypes.create_string_buffer(room)
        found: list[bytes] = []
        for token in range(self.size):
            count = to_piece(handle, token, buffer, room, 0, True)
            found.append(buffer.raw[:count] if count >= 0 else self.spelling(token))
        return found

    def tokenize(self, text: str, *, special: bool, between: bool = False) -> list[int]:
        """Return the tokens of *text*, nothing added in front or behind.

        Or *between* the tokens that the model's texts begin and end with.

        Raises:
            LimitError: it is too long.
        """
        if len(text) > limits.PROMPT:
            raise LimitError(f"a text of {len(text):,} characters; {limits.PROMPT:,} are allowed")
        if len(text) < _LONG:
            return self._tokenize(text, special=special, between=between)
        cuts = self._cuts if special else self._plain_cuts
        head, tail = self.around if between else ([], [])
        tokens = head.copy()
        for part in cuts.parts(text):
            tokens += self._tokenize(part, special=special)
        return tokens + tail

    @cached_property
    def around(self) -> tuple[list[int], list[int]]:
        """The tokens that the model's texts begin and end with."""
        bare, whole = (self._tokenize("a", special=False, between=on) for on in (False, True))
        added = range(len(whole) - len(bare) + 1)
        at = next((at for at in added if whole[at : at + len(bare)] == bare), 0)
        return whole[:at], whole[at + len(bare) :]

    @cached_property
    def _cuts(self) -> Cuts:
        """Where texts are cut in which names of control tokens are those tokens."""
        library = self._library
        also = library.LLAMA_TOKEN_ATTR_CONTROL | library.LLAMA_TOKEN_ATTR_UNKNOWN
        return self._cuts_at(also | library.LLAMA_TOKEN_ATTR_USER_DEFINED)

    @cached_property
    def _plain_cuts(self) -> Cuts:
        return self._cuts_at(self._library.LLAMA_TOKEN_ATTR_USER_DEFINED)

    def _cuts_at(self, wanted: int) -> Cuts:
        strips = self._library.LLAMA_TOKEN_ATTR_LSTRIP
        stripping = any(self._attributes[token] & strips for token in self._having(wanted))
        return Cuts(self._names(wanted), stripping=stripping)

    def _tokenize(self, text: str, *, special: bool, between: bool = False) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        for _ in range(2):
            tokens = (ctypes.c_int32 * room)()
            count = int(
                self._library.llama_tokenize(
                    self._handle, data, len(data), tokens, room, between, special
                )
            )
            if count >= 0:
                return tokens[:count]
            room = -count
        raise EngineError(f"cannot turn a text of {len(data):,} bytes into tokens")

    def piece(self, token: int) -> bytes:
        """Return the bytes that *token* stands for; none for a control token."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._piece(token, special=False)
        return piece

    def spelling(self, token: int) -> bytes:
        """Return the same, but the name of a control token."""
        spelling = self._spellings.get(token)
        if spelling is None:
            spelling = self._spellings[token] = self._piece(token, special=True)
        return spelling

    def ends(self, token: int) -> bool:
        """Tell whether *token* ends an answer."""
        known = self._known_ends.get(token)
        if known is None:
            known = self._known_ends[token] = bool(self._ends(self._handle, token))
        return known

    @cached_property
    def _attributes(self) -> array[int]:
        """What llama.cpp says of every token, asked once."""
        ask, handle = self._library.llama_vocab_get_attr, self._handle
        return array("i", (ask(handle, token) for token in range(self.size)))

    def _having(self, wanted: int) -> list[int]:
        return [token for token, said in enumerate(self._attributes) if said & wanted]

    def _names(self, wanted: int) -> frozenset[str]:
        return frozenset(name for token in self._having(wanted) if (name := self._name(token)))

    def _name(self, token: int) -> str:
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = _PIECE
        for _ in range(2):
            buffer = ctypes.create_string_buffer(room)
            count = int(self._to_piece(self._handle, token, buffer, room, 0, special))
            if count >= 0:
                return buffer.raw[:count]
            room = -count
        return b""
