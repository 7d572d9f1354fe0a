"""What a registry asks for when it answers 401.

Pure: header text in, values out.

See: https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

# compiled when first needed
_SCHEME = r"(?i)(?:^|,)\s*(bearer|basic)(?=\s|,|$)\s*"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAMETER = r'\s*([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))\s*,?'


class Challenge(NamedTuple):
    """One `WWW-Authenticate` challenge."""

    scheme: Literal["basic", "bearer"]
    realm: str = ""
    service: str = ""
    scope: str = ""


def parse_challenge(header: str) -> Challenge | None:
    """Return the first Bearer or Basic challenge in *header*, or None if there is none."""
    bare = re.sub(_QUOTED, lambda found: "_" * len(found[0]), header)
    match = re.search(_SCHEME, bare)
    if match is None:
        return None
    if match[1].lower() == "basic":
        return Challenge("basic")
    found: dict[str, str] = {}
    at = match.end()
    pattern = re.compile(_PARAMETER)
    while parameter := pattern.match(header, at):
        value = parameter[2] if parameter[2] is not None else parameter[3]
        found.setdefault(parameter[1].lower(), re.sub(r"\\(.)", r"\1", value))
        at = parameter.end()
    return Challenge(
        "bearer", found.get("realm", ""), found.get("service", ""), found.get("scope", "")
    )


def scope_of(repository: str, *, push: bool) -> str:
    """Return the token scope that reading, or reading and writing, *repository* needs.

    No repository means no scope: the token only shows that the credentials are right.
    """
    if not repository:
        return ""
    return f"repository:{repository}:{'pull,push' if push else 'pull'}"


def joined(challenged: str, scope: str) -> str:
    """Return the scope to ask for: ours, and what was challenged where that is something else.

    A HEAD is challenged for pull only; the token that it gets must be good for the upload too.
    """
    place, _, actions = challenged.rpartition(":")
    ours_place, _, ours = scope.rpartition(":")
    if place == ours_place and set(actions.split(",")) <= set(ours.split(",")):
        return scope
    return " ".join(part for part in (challenged, scope) if part)
