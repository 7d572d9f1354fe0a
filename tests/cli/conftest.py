from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.models import MODELFILE
from support import ggufs

from modelpack.cli.start import main


@dataclass(frozen=True)
class Result:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> object:
        return json.loads(self.out)

    def error(self, code: int) -> str:
        """Check that this is one error line, perhaps a hint, and exit code *code*; return it."""
        lines = self.err.splitlines()
        begin = [line.startswith("Error: ") for line in lines]
        assert begin.count(True) == 1, self.err
        at = begin.index(True)
        assert all(line.startswith("hint: ") for line in lines[at + 1 :]), self.err
        assert len(lines) <= at + 2
        assert "Traceback" not in self.err
        assert (self.code, self.out) == (code, "")
        return lines[at]


Run = Callable[..., Result]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `modelpack` with words and a standard input."""

    def run(*words: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["modelpack", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdin.close()
        said = capsys.readouterr()
        return Result(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a Modelfile and the GGUF that it names."""
    folder = tmp_path / "Tiny Model"
    ggufs.write_model(folder / "weights.gguf")
    (folder / "Modelfile").write_text(MODELFILE)
    return folder


@pytest.fixture
def store(clean_environment: Path) -> Path:
    """The folder of the store."""
    return clean_environment / "models"


@pytest.fixture
def built(cli: Run, folder: Path) -> str:
    """The digest of a model called `tiny` in the store."""
    return cli("build", "-q", "-t", "tiny", folder).out.strip()
