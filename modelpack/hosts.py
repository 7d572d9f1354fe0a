"""What the configuration file says about single registries.

::

    registries:
      registry.example.com:5000:     # as in names
        chunk-size: 100MiB           # or none
        put-limit: 20GB
        insecure: true
        ca-file: team.pem            # beside this file
        cert-file: me.pem
        key-file: me.key
      "*.example.org":               # every host below it
        insecure: true
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple, TypeVar

from modelpack import limits
from modelpack.content.disk import expanded
from modelpack.errors import InputError
from modelpack.oci.reference import Reference
from modelpack.sizes import parse_size

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """What is said about one registry; None or empty where nothing is."""

    chunk_size: int | None = None
    """Bytes of a chunk of an upload; 0: never in chunks."""
    put_limit: int | None = None
    """Bytes above which a blob goes in chunks."""
    insecure: bool | None = None
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


def find(hosts: Mapping[str, HostSettings], host: str) -> HostSettings:
    """Return what *hosts* says about *host*: by its name, else by the longest pattern."""
    wanted = host.lower()
    if wanted in hosts:
        return hosts[wanted]
    without_port = wanted.rpartition(":")[0] or wanted
    patterns = [
        pattern
        for pattern in hosts
        if pattern.startswith("*.")
        and (wanted.endswith(pattern[1:]) or without_port.endswith(pattern[1:]))
    ]
    return hosts[max(patterns, key=len)] if patterns else HostSettings()


def read(path: Path) -> Mapping[str, HostSettings]:
    """Return what the configuration file *path* says, by host.

    Raises:
        InputError: it cannot be read, or does not say what it should.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(limits.CONFIG_FILE + 1)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", hint="MODELPACK_CONFIG names another"
        ) from None
    if len(raw) > limits.CONFIG_FILE:
        raise InputError(f"{path} is larger than {limits.CONFIG_FILE} bytes")
    place = _Place(path, ())
    top = _table(_yaml(raw, path), place, ("registries",))
    place /= "registries"
    hosts: dict[str, HostSettings] = {}
    for text, said in _table(top.get("registries"), place).items():
        host = _host(text, place).lower()
        if host in hosts:
            raise place.error(f"{host[:40]!r} is there twice", "capitals make no difference")
        hosts[host] = _settings(said, place / text)
    return hosts


class _Place(NamedTuple):
    """Where in which file something stands."""

    path: Path
    keys: tuple[str, ...]

    def __truediv__(self, key: str) -> _Place:
        return _Place(self.path, (*self.keys, key))

    def error(self, why: str, hint: str | None = None) -> InputError:
        where = f" at {': '.join(self.keys)}" if self.keys else ""
        return InputError(f"{self.path}{where}: {why}", hint=hint)


def _yaml(raw: bytes, path: Path) -> object:
    import yaml

    class Loader(yaml.SafeLoader):
        """Knows no aliases, so that what comes out is no larger than what went in.

        Nor does it let a key replace an earlier one of the same mapping.
        """

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
            return super().compose_node(parent, index)

        def compose_mapping_node(self, anchor: dict[str, yaml.Node]) -> yaml.MappingNode:
            node = super().compose_mapping_node(anchor)
            lines: dict[str, int] = {}
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue  # no name, and refused as such
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise InputError(
                        f"{path}: line {line}: {key.value[:40]!r} is there twice",
                        hint=f"it is first on line {lines[key.value]}",
                    )
                lines[key.value] = line
            return node

    try:
        return yaml.load(raw, Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise InputError(
            f"{path}:{line} {error.problem or 'not YAML'}",
            hint='a name that begins with * or [ stands in quotes: "*.example.com":',
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date in February's 30th
        raise InputError(f"{path} is not YAML") from None


def _table(value: object, place: _Place, known: tuple[str, ...] = ()) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise place.error("key: value is expected")
    for key in value:
        if not isinstance(key, str):
            raise place.error(f"{str(key)[:40]!r} is not a name", 'put it in quotes: "…"')
        if known and key not in known:
            raise place.error(f"unknown key {key[:40]!r}", f"known are {', '.join(known)}")
    return value


def _host(text: str, place: _Place) -> str:
    example = f"any{text[1:]}" if text.startswith("*.") else text
    try:
        found = Reference.parse(f"{example}/x").host
    except InputError:
        found = ""
    if found != example:
        raise place.error(f"{text[:40]!r} is not a registry host", "host[:port], or *.example.com")
    return text


def _settings(value: object, place: _Place) -> HostSettings:
    known = tuple(field.name.replace("_", "-") for field in fields(HostSettings))
    said = _table(value, place, known)

    def take(key: str, parse: Callable[[object, _Place], T], default: T) -> T:
        return parse(said[key], place / key) if key in said else default

    if "key-file" in said and "cert-file" not in said:
        raise (place / "key-file").error("there is no cert-file for it")
    return HostSettings(
        chunk_size=take("chunk-size", _chunk_size, None),
        put_limit=take("put-limit", _size, None),
        insecure=take("insecure", _flag, None),
        ca_file=take("ca-file", _file, ""),
        cert_file=take("cert-file", _file, ""),
        key_file=take("key-file", _file, ""),
    )


def _chunk_size(value: object, place: _Place) -> int | None:
    return 0 if value == "none" else _size(value, place)


def _size(value: object, place: _Place) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise place.error("a size is expected", "such as 100MiB")
    try:
        return parse_size(str(value))
    except InputError as error:
        raise place.error(str(error), error.hint) from None


def _flag(value: object, place: _Place) -> bool | None:
    if not isinstance(value, bool):
        raise place.error("true or false is expected")
    return value


def _file(value: object, place: _Place) -> str:
    if not isinstance(value, str) or not value:
        raise place.error("a path is expected")
    try:
        return str(place.path.absolute().parent / expanded(value))
    except InputError as error:
        raise place.error(str(error), error.hint) from None
