"""Grammars that answers must follow, through llguidance: the only module that imports it.

A grammar is compiled once and copied for each answer. What the tokens of a model stand for is
learnt when the first grammar comes, which takes a second for a large vocabulary. Both can be done
ahead, in any thread, and several grammars at a time. Rust does the work and holds no lock of
Python's meanwhile.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeAlias

from modelpack.engine.loosening import OPTIONS, loosened
from modelpack.engine.marks import leading
from modelpack.engine.schemas import check_schema
from modelpack.engine.shortlist import Array
from modelpack.errors import EngineError, InputError, LimitError, MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType

    from modelpack.engine.base import Grammar
    from modelpack.engine.vocabulary import LlamaVocabulary

GRAMMAR = 256 * 1024
"""Characters of a schema or grammar; one of a million takes seconds to compile."""
COMPILED = 32
"""Compiled grammars that are kept."""
LEXER_STATES = 50_000
"""States of one answer's lexer, of one to two KiB each; five times fewer than by default."""
COMPILERS = 4
"""Grammars that are compiled at a time."""
COMPLAINT = 300
"""Characters of what llguidance says about a grammar."""
_NAMES = {
    "json": "JSON mode",
    "json_schema": "the JSON schema",
    "regex": "the regular expression",
    "lark": "the Lark grammar",
    "gbnf": "the GBNF grammar",
}


Compiled: TypeAlias = Any
"""A grammar as llguidance has it; it stays where it begins."""


class Constraint:
    """Where one answer is in its grammar."""

    def __init__(self, matcher: Any, vocabulary_size: int) -> None:  # noqa: ANN401 - foreign
        self._matcher = matcher
        self.is_complete = False
        """Whether nothing may follow."""
        numpy = importlib.import_module("numpy")
        self._words: Array = numpy.zeros((vocabulary_size + 31) // 32, "<u4")
        self._bytes: Array = self._words.view("u1")
        self._place = (self._words.ctypes.data, self._words.nbytes)

    def allowed(self) -> Array:
        """Return a bit for each token: whether it may be next. Good until the next call.

        Raises:
            EngineError: the grammar became too complex.
        """
        self._matcher.unsafe_compute_mask_ptr(*self._place)
        self._check()
        return self._bytes

    def take(self, token: int) -> bool:
        """Go on with *token* if it is allowed; return whether it is.

        Raises:
            EngineError: the grammar became too complex.
        """
        if not self._matcher.try_consume_tokens((token,)):
            self._check()
            return False
        self._look_for_end()
        return True

    def accept(self, *tokens: int) -> None:
        """Go on with *tokens*.

        Raises:
            EngineError: one of them is not allowed, or the grammar became too complex.
        """
        self._matcher.consume_tokens(tokens)
        self._look_for_end()

    def forced(self) -> list[int]:
        """Return the tokens that are next in any case, because no others are allowed."""
        found: list[int] = self._matcher.compute_ff_tokens()
        return found

    def _look_for_end(self) -> None:
        if self._matcher.is_stopped():
            self._check()
            self.is_complete = True

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError(f"the grammar cannot go on: {_brief(self._matcher.get_error())}")


class Constraints:
    """The grammars of one model. Threads may share it."""

    def __init__(self, library: ModuleType, vocabulary: LlamaVocabulary) -> None:
        self._library = library
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        """Held for moments, to look at what is compiled."""
        self._learning = threading.Lock()
        """Held while the tokens are learnt."""
        self._turns: dict[Grammar, threading.Lock] = {}
        """Held while one is compiled, so that nobody compiles what another is compiling."""
        self._compilers = threading.BoundedSemaphore(COMPILERS)
        self._tokenizer: Any = None
        self._compiled: OrderedDict[Grammar, Any] = OrderedDict()

    def prepare(self, grammar: Grammar) -> Compiled:
        """Return *grammar* compiled, so that a request with it begins at once.

        Raises:
            InputError: it makes no sense.
            LimitError: it is too large.
            MissingExtraError: llguidance is not installed.
        """
        return self._compile(grammar)

    def constraint(self, grammar: Grammar, compiled: Compiled | None = None) -> Constraint:
        """Return *grammar* at its beginning, of what `prepare` gave; else raises as that."""
        made = self._compile(grammar) if compiled is None else compiled
        return Constraint(made.deep_copy(), self._vocabulary.size)

    def _compile(self, grammar: Grammar) -> Compiled:
        compiled = self._find(grammar)
        if compiled is not None:
            return compiled
        with self._lock:
            turn = self._turns.setdefault(grammar, threading.Lock())
        with turn:
            compiled = self._find(grammar)
            if compiled is not None:
                return compiled
            try:
                with self._compilers:
                    compiled = self._build(grammar)
                self._keep(grammar, compiled)
            finally:
                with self._lock:
                    self._turns.pop(grammar, None)
            return compiled

    def _keep(self, grammar: Grammar, compiled: Any) -> None:  # noqa: ANN401 - foreign
        with self._lock:
            self._compiled[grammar] = compiled
            while len(self._compiled) > COMPILED:
                self._compiled.popitem(last=False)

    def _find(self, grammar: Grammar) -> Any:  # noqa: ANN401 - foreign
        with self._lock:
            if grammar in self._compiled:
                self._compiled.move_to_end(grammar)
            return self._compiled.get(grammar)

    def _build(self, grammar: Grammar) -> Any:  # noqa: ANN401 - foreign
        if len(grammar.text) > GRAMMAR:
            raise LimitError(f"{_NAMES[grammar.kind]} is longer than {GRAMMAR:,} characters")
        try:
            import llguidance
        except ImportError as error:
            raise MissingExtraError("structured output", "runtime") from error
        with self._learning:
            if self._tokenizer is None:
                self._tokenizer = _tokenizer(llguidance, self._library, self._vocabulary)
        try:
            text = _translate(llguidance, grammar)
            if grammar.lead is not None:
                text = _behind(text, leading(grammar.lead, self._vocabulary.control_names))
        except (ValueError, RecursionError) as error:  # what the translators raise
            raise _refusal(grammar, f"{error}") from error
        limits = llguidance.LLParserLimits(max_lexer_states=LEXER_STATES, verbose_errors=False)
        matcher = llguidance.LLMatcher(self._tokenizer, text, log_level=0, limits=limits)
        if matcher.is_error():
            raise _refusal(grammar, matcher.get_error())
        return matcher


def _translate(llguidance: ModuleType, grammar: Grammar) -> str:
    """Return *grammar* as llguidance has it."""
    make = llguidance.LLMatcher
    if grammar.kind in ("json", "json_schema"):
        schema = {"type": "object"} if grammar.kind == "json" else json.loads(grammar.text)
        schema = loosened(schema)
        check_schema(schema)
        made: str = make.grammar_from_json_schema(json.dumps(schema), defaults=dict(OPTIONS))
    elif grammar.kind == "regex":
        made = make.grammar_from_regex(grammar.text)
    elif grammar.kind == "gbnf":
        made = make.grammar_from_lark(_from_gbnf(llguidance, grammar.text))
    else:
        made = make.grammar_from_lark(grammar.text)
    return made


def _behind(text: str, lead: str) -> str:
    """Return the grammar *text*, as llguidance has it, behind the rule `lead`."""
    if not text.lstrip().startswith("{"):  # Lark, and not JSON that says what there is
        return f"start: lead answer\n{lead}answer: %lark {{\n{text}\n}}\n"
    (said,) = json.loads(text)["grammars"]
    if said.get("lark_grammar"):
        return f"start: lead answer\n{lead}answer: %lark {{\n{said['lark_grammar']}\n}}\n"
    return f"start: lead answer\n{lead}answer: %json {json.dumps(said['json_schema'])}\n"


def _from_gbnf(llguidance: ModuleType, text: str) -> str:
    try:
        made: str = llguidance.gbnf_to_lark.gbnf_to_lark(text)
    except Exception as error:
        raise ValueError(f"{error}") from error
    return made


def _tokenizer(llguidance: ModuleType, library: ModuleType, vocabulary: LlamaVocabulary) -> Any:  # noqa: ANN401 - foreign
    """Return what the tokens stand for, control tokens marked as such."""
    tokens = vocabulary.spellings()
    for token in vocabulary.controls():
        tokens[token] = b"\xff" + tokens[token]
    function = ctypes.cast(library.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value
    return llguidance.LLTokenizer.from_llamacpp(
        tokens=tokens,
        vocab_ptr=vocabulary.handle,
        tokenize_fptr=function,
        eos_token=[token for token in range(len(tokens)) if vocabulary.ends(token)],
        slices=None,
    )


def _refusal(grammar: Grammar, complaint: str) -> InputError:
    return InputError(f"{_NAMES[grammar.kind]} cannot be used: {_brief(complaint)}")


def _brief(complaint: str) -> str:
    text = " ".join(complaint.partition("<backtrace>")[0].replace("<non-verbose/>", "").split())
    return text if len(text) <= COMPLAINT else f"{text[:COMPLAINT]}…"
