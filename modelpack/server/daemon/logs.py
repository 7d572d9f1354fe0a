"""Logs: one line for each event, for people or as JSON. What users write is not in them."""

from __future__ import annotations

import json
import logging
import sys
import time

_LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warn", "ERROR": "error"}


class _Lines(logging.Formatter):
    """`time level message name=value …`."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        said: dict[str, object] = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": _LEVELS.get(record.levelname, record.levelname.lower()),
            "message": record.getMessage(),
            **getattr(record, "said", {}),
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(said, default=str)
        head = f"{said.pop('time')} {said.pop('level'):<5} {_plain(said.pop('message'))}"
        error = said.pop("error", "")
        rest = "".join(f" {name}={_plain(value)}" for name, value in said.items())
        return f"{head}{rest}" + (f"\n{error}" if error else "")


def begin_logging(form: str, *, debug: bool) -> None:
    """Write logs to stderr in *form*, `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(as_json=form == "json"))
    logger = logging.getLogger("modelpack")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    # Where a line was logged from, and by which thread, is in none of them and costs most of it.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _plain(value: object) -> str:
    """Return *value* in one word or quoted, without control characters."""
    text = "".join(c if c.isprintable() else "?" for c in str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text and "=" in text else text
