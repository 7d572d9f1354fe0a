"""Every error that ModelPack raises on purpose.

::

    ModelPackError                 exit code 1
    ├── InputError                 2  what the user wrote: Modelfile, reference, option, GGUF
    │   ├── ReferenceFormatError     a name that is not a reference
    │   ├── DigestError            text that is not a digest
    │   ├── ModelfileError         a Modelfile, with line and column
    │   ├── GgufError              a file that is not the GGUF it claims to be
    │   ├── ManifestError          a manifest that does not parse
    │   ├── TemplateError          a prompt template that does not parse or render
    │   └── LimitError             something from outside is larger than we read
    ├── NotFoundError              3  a model, blob or file that is not there
    ├── IntegrityError             4  bytes that are not what their digest says
    ├── RegistryError              5  a registry refused, failed or answered nonsense
    │   ├── AuthenticationError    the credentials are missing or refused
    │   └── NetworkError           the registry could not be reached
    ├── SignatureError             6  a signature that does not verify
    ├── EngineError                7  a model that cannot be loaded or run
    ├── StoreError                 8  the local store cannot be read or written
    ├── StoppedError               1  work of several threads ended because one of them failed
    ├── ServerError               10  the model server cannot be reached, or refused
    └── MissingExtraError          9  an optional part of ModelPack is not installed

`str(error)` says what failed in one line; `hint` says what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class ModelPackError(Exception):
    """Base class. `str(error)` says what failed; `hint` says what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InputError(ModelPackError):
    """What the user gave is not usable as it is."""

    exit_code = 2


class ReferenceFormatError(InputError):
    """Text that is not a reference to a model."""


class DigestError(InputError):
    """Text that is not a digest we accept."""


class ModelfileError(InputError):
    """A Modelfile that does not say what it must; knows *line* and *column* (from 1)."""

    def __init__(self, message: str, *, line: int, column: int, hint: str | None = None) -> None:
        super().__init__(f"line {line}, column {column}: {message}", hint=hint)
        self.line = line
        self.column = column


class GgufError(InputError):
    """A file that is not GGUF, is cut short, or lies about its own contents."""


class ManifestError(InputError):
    """A manifest, index or config that does not parse or is not a model."""


class TemplateError(InputError):
    """A prompt template that does not parse, or fails for this conversation."""


class LimitError(InputError):
    """Something from outside is larger than we are willing to read."""


class NotFoundError(ModelPackError):
    """A model, blob or file that is not there."""

    exit_code = 3


class IntegrityError(ModelPackError):
    """Bytes that are not what their digest or size promised."""

    exit_code = 4


class RegistryError(ModelPackError):
    """A registry refused a request, failed, or answered something else than asked.

    `status` is the HTTP status where there was an answer, and `retry_after` the seconds after
    which the registry wants to be asked again, where it said so.
    """

    exit_code = 5

    def __init__(self, message: str, *, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after: float | None = None


class AuthenticationError(RegistryError):
    """The registry wants credentials that it was not given, or refuses those it was."""


class NetworkError(RegistryError):
    """The registry could not be reached, or the connection broke."""


class SignatureError(ModelPackError):
    """A signature is missing or does not verify."""

    exit_code = 6


class EngineError(ModelPackError):
    """A model cannot be loaded, or stopped running."""

    exit_code = 7


class StoreError(ModelPackError):
    """The local store cannot be read or written."""

    exit_code = 8


class ServerError(ModelPackError):
    """The model server could not be reached, failed, or refused what it was asked for."""

    exit_code = 10


class StoppedError(ModelPackError):
    """Something else failed, or the user gave up; whoever waits hears of that instead."""


class MissingExtraError(ModelPackError):
    """A part of ModelPack that is installed on request is not installed."""

    exit_code = 9

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the '{extra}' extra",
            hint=f"pip install 'modelpack-oci[{extra}]'",
        )
        self.extra = extra
