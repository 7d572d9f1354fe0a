"""The lines someone typed, kept for the next session: a file of at most 100 lines, mode 0600."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

KEPT = 100
_BYTES = 1024 * 1024
"""More than that is not our file."""


class LineHistory:
    """Typed lines in a file; without a path, nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lines = _read(path)[-KEPT:] if path is not None else []

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, oldest first."""
        return tuple(self._lines)

    def add(self, line: str) -> None:
        """Keep *line*, unless it is empty or the same as the one before."""
        line = line.rstrip("\n")
        if self._path is None or not line.strip() or self._lines[-1:] == [line]:
            return
        self._lines = [*self._lines, line][-KEPT:]
        _write(self._path, "".join(f"{kept}\n" for kept in self._lines))

    def teach_readline(self) -> None:
        """Let the arrow keys find the lines, where Python has readline."""
        try:
            import readline
        except ImportError:
            return
        readline.clear_history()
        for line in self._lines:
            readline.add_history(line)


def _read(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _BYTES:
            return []
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _write(path: Path, text: str) -> None:
    """Replace the file whole; that it cannot be written does not end a conversation."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    except OSError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        Path(scratch).replace(path)
    except OSError:
        Path(scratch).unlink(missing_ok=True)
