"""The members of a tar that others wrote: where each file's bytes begin, and nothing unpacked.

What an OCI layout has no use for (links, devices, sparse files, names that lead outside, two
files of one name) is refused.

See: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_01
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from modelpack import limits
from modelpack.errors import InputError, LimitError

BLOCK = 512
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK = b"x", b"g", b"L", b"K"
_EXTENDED = (_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


@dataclass(frozen=True, slots=True)
class Member:
    """Where the bytes of one file are."""

    offset: int
    size: int


def read_members(descriptor: int, where: str) -> Mapping[str, Member]:
    """Return the files of the tar that is open as *descriptor*, by name.

    Raises:
        InputError: it is not a tar, or not one of an OCI layout.
        LimitError: it has more members, or larger headers, than we read.
    """
    return _Scan(descriptor, where).run()


class _Scan:
    """One pass over the headers."""

    def __init__(self, descriptor: int, where: str) -> None:
        self._descriptor = descriptor
        self._where = where
        self._end = os.fstat(descriptor).st_size
        self._found: dict[str, Member] = {}

    def run(self) -> Mapping[str, Member]:
        at, count = 0, 0
        said: dict[str, str] = {}
        while (header := self._header(at)) is not None:
            count += 1
            if count > limits.TAR_MEMBERS:
                raise LimitError(f"{self._where} has more than {limits.TAR_MEMBERS:,} members")
            extended = header.type in _EXTENDED
            size = header.size if extended else self._size(header, said)
            start = at + BLOCK
            if size < 0 or start + size > self._end:
                raise self._bad(f"{header.name[:100]!r} goes beyond the end of the file")
            if extended:
                self._extend(header, start, said)
            else:
                self._take(header, said.get("path") or header.name, Member(start, size))
                said = {}
            at = start + -(-size // BLOCK) * BLOCK
        return self._found

    def _header(self, at: int) -> tarfile.TarInfo | None:
        raw = os.pread(self._descriptor, BLOCK, at)
        if at and (not raw or not raw.strip(b"\0")):
            return None
        try:
            return tarfile.TarInfo.frombuf(raw, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise self._bad(f"not a tar header at byte {at:,} ({error})") from None

    def _size(self, header: tarfile.TarInfo, said: Mapping[str, str]) -> int:
        try:
            return int(said.get("size", header.size))
        except ValueError:
            raise self._bad(f"{header.name[:100]!r} has no usable size") from None

    def _extend(self, header: tarfile.TarInfo, start: int, said: dict[str, str]) -> None:
        """Note what an extended header says about the member behind it."""
        if header.size > limits.TAR_HEADER:
            raise LimitError(f"{self._where} has an extended header of {header.size:,} bytes")
        raw = os.pread(self._descriptor, header.size, start)
        if header.type == _PAX:
            said.update(self._pax(raw))
        elif header.type == _GNU_NAME:
            said["path"] = raw.rstrip(b"\0").decode("utf-8", "replace")

    def _pax(self, raw: bytes) -> dict[str, str]:
        """Read the records, each `LENGTH KEY=VALUE` and a line end."""
        records: dict[str, str] = {}
        while raw:
            digits, space, _ = raw[:20].partition(b" ")
            length = int(digits) if digits.isdigit() else 0
            record = raw[len(digits) + 1 : length]
            key, equals, value = record.partition(b"=")
            if not space or not equals or length > len(raw) or not value.endswith(b"\n"):
                raise self._bad("an extended header is damaged")
            records[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "replace")
            raw = raw[length:]
        return records

    def _take(self, header: tarfile.TarInfo, path: str, member: Member) -> None:
        name = path.removeprefix("./").rstrip("/")
        if header.type == tarfile.DIRTYPE:
            return
        if header.type not in _FILES or path.endswith("/"):
            raise self._bad(f"{name[:100]!r} is a link, or no file at all")
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "/".join(parts) != name or "\0" in name:
            raise self._bad(f"{name[:100]!r} leads outside")
        if name in self._found:
            raise self._bad(f"{name[:100]!r} is there twice")
        self._found[name] = member

    def _bad(self, why: str) -> InputError:
        return InputError(
            f"{self._where} is not a tar of an OCI image layout: {why}",
            hint="a compressed tar must be unpacked first",
        )
