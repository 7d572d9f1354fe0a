"""What a JSON schema may ask of the compiler, whose work grows faster than the schema. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelpack.errors import InputError

PATTERN_PROPERTIES = 100
"""Patterns of names in a schema; each is set against all others."""
ALL_OF = 16
"""Schemas that must all hold at once, those within them included; so many patterns take a while."""
PATTERN = 4_096
"""Characters of a pattern."""


def check_schema(schema: object) -> None:
    """Refuse what takes longer to compile than anyone would wait.

    Raises:
        InputError: *schema* has too much of something.
    """
    names = 0
    for said in _objects(schema):
        pattern, patterns = said.get("pattern"), said.get("patternProperties")
        named = list(patterns) if isinstance(patterns, Mapping) else []
        names += len(named)
        longest = max(map(len, [*named, pattern if isinstance(pattern, str) else ""]))
        if longest > PATTERN:
            raise _refusal(f"a pattern of {longest:,} characters", PATTERN)
        together = _together(said)
        if together > ALL_OF:
            raise _refusal(f"{together:,} schemas in allOf", ALL_OF)
    if names > PATTERN_PROPERTIES:
        raise _refusal(f"{names:,} patterns in patternProperties", PATTERN_PROPERTIES)


def _together(said: Mapping[str, object]) -> int:
    """Return how many schemas must hold at once where *said* does."""
    count, waiting = 0, [said]
    while waiting:
        parts = waiting.pop().get("allOf")
        if isinstance(parts, list):
            count += len(parts)
            waiting += [part for part in parts if isinstance(part, Mapping)]
    return count


def _objects(schema: object) -> Iterator[Mapping[str, object]]:
    waiting = [schema]
    while waiting:
        said = waiting.pop()
        if isinstance(said, Mapping):
            yield said
            waiting += said.values()
        elif isinstance(said, list):
            waiting += said


def _refusal(what: str, most: int) -> InputError:
    return InputError(f"the JSON schema cannot be used: {what}", hint=f"{most:,} are the most")
