"""What the server counts, and how Prometheus reads it.

See: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from modelpack.engine.base import Statistics

Labels: TypeAlias = tuple[tuple[str, str], ...]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_SERIES = 2_000
"""Combinations of labels of one metric; others are counted together."""


class Counter:
    """Numbers that only grow, by labels."""

    kind = "counter"

    def __init__(self, name: str, meaning: str) -> None:
        self.name, self.meaning = name, meaning
        self._values: dict[Labels, float] = {}

    def add(self, number: float = 1, **labels: str) -> None:
        """Add *number*."""
        key = _key(labels, self._values)
        self._values[key] = self._values.get(key, 0) + number

    def lines(self) -> Iterator[str]:
        """Yield what Prometheus reads."""
        for labels, value in sorted(self._values.items()):
            yield f"{self.name}{_labels(labels)} {_number(value)}"


class Histogram:
    """How long things took, by labels."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str) -> None:
        self.name, self.meaning = name, meaning
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, seconds: float, **labels: str) -> None:
        """Take note of one time."""
        key = _key(labels, self._counts)
        counts = self._counts.setdefault(key, [0] * (len(_SECONDS) + 1))
        counts[bisect_left(_SECONDS, seconds)] += 1
        self._sums[key] = self._sums.get(key, 0.0) + seconds

    def lines(self) -> Iterator[str]:
        """Yield what Prometheus reads."""
        for labels, counts in sorted(self._counts.items()):
            total = 0
            for bound, count in zip((*map(_number, _SECONDS), "+Inf"), counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_labels((*labels, ('le', bound)))} {total}"
            yield f"{self.name}_sum{_labels(labels)} {_number(self._sums[labels])}"
            yield f"{self.name}_count{_labels(labels)} {total}"


class Metrics:
    """Everything that is counted."""

    def __init__(self) -> None:
        self._started = time.time()
        self.requests = Counter("modelpack_requests_total", "Requests by method, route and status.")
        self._duration = Histogram(
            "modelpack_request_duration_seconds", "From the request to the end of the answer."
        )
        self._first = Histogram(
            "modelpack_time_to_first_token_seconds", "From the request to the first token."
        )
        self._prompt = Counter("modelpack_prompt_tokens_total", "Tokens of prompts.")
        self._cached = Counter(
            "modelpack_prompt_tokens_cached_total", "Those of them that were not computed again."
        )
        self._generated = Counter("modelpack_generated_tokens_total", "Tokens of answers.")
        self._embedded = Counter("modelpack_embedded_tokens_total", "Tokens made into vectors.")

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take note of a request that has ended."""
        self.requests.add(method=method, route=route, status=str(status))
        self._duration.observe(seconds, route=route)

    def first_token(self, model: str, seconds: float) -> None:
        """Take note of how long the first token took."""
        self._first.observe(seconds, model=model)

    def answered(self, model: str, statistics: Statistics) -> None:
        """Take note of an answer that has ended."""
        self._prompt.add(statistics.prompt_tokens, model=model)
        self._cached.add(statistics.cached_tokens, model=model)
        self._generated.add(statistics.generated_tokens, model=model)

    def embedded(self, model: str, tokens: int) -> None:
        """Take note of texts that were made into vectors."""
        self._embedded.add(tokens, model=model)

    def text(self, gauges: Mapping[str, tuple[str, Iterable[tuple[Labels, float]]]]) -> str:
        """Return what Prometheus reads; *gauges* are numbers of this moment, with meanings."""
        lines: list[str] = []
        counted = (
            self.requests, self._duration, self._first, self._prompt, self._cached,
            self._generated, self._embedded,
        )  # fmt: skip
        for metric in counted:
            lines += [
                f"# HELP {metric.name} {metric.meaning}",
                f"# TYPE {metric.name} {metric.kind}",
            ]
            lines += metric.lines()
        for name, (meaning, values) in gauges.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
            lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in values]
        return "\n".join(lines) + "\n"


def _key(labels: Mapping[str, str], known: Mapping[Labels, object]) -> Labels:
    """Return *labels* as a key of *known*; where there are too many already, that of all others."""
    key = tuple(sorted(labels.items()))
    if key in known or len(known) < _SERIES:
        return key
    return tuple((name, "other") for name, _ in key)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
