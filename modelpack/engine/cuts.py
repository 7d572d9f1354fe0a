"""Where a long text is cut, so that the tokens of its parts are those of the whole. Pure.

llama.cpp first looks for the names of some tokens, wherever they stand, and then makes tokens of
what is between them. It keeps all parts in a list that it goes through for each name found: 32,000
names take four seconds, and twice as many four times as long. So a text is cut in front of such a
name now and then, where it is sure that llama.cpp finds it: no other name overlaps with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelpack.engine.names import finder

EVERY = 64
"""Names in one part."""


class Cuts:
    """Cuts texts at *names*; where some are *stripping*, they take the space before them along."""

    def __init__(
        self, names: frozenset[str], *, stripping: bool = False, every: int = EVERY
    ) -> None:
        self._finder = finder(names)
        self._longest = max(map(len, names), default=0)
        self._stripping = stripping
        self._every = every

    def parts(self, text: str) -> Iterator[str]:
        """Yield the parts of *text*, which is one of them if it has few names in it."""
        if not self._longest:
            yield text
            return
        begin = met = 0
        for found in self._finder.finditer(text):
            if met >= self._every and self._is_alone(text, *found.span()):
                yield text[begin : found.start()]
                begin, met = found.start(), 0
            met += 1
        yield text[begin:]

    def _is_alone(self, text: str, start: int, end: int) -> bool:
        """Tell whether the name from *start* to *end* overlaps with no other one."""
        if self._stripping and (text[start - 1].isspace() or text[end - 1].isspace()):
            return False
        for at in range(max(0, start - self._longest + 1), end):
            other = self._finder.match(text, at)
            if other is not None and at != start and other.end() > (start if at < start else end):
                return False
        return True
