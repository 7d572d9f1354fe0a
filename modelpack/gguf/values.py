"""The kinds of values and tensors that a GGUF file may hold.

See: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#file-structure
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Self, TypeAlias

MAGIC: Final = b"GGUF"
DEFAULT_ALIGNMENT: Final = 32
VERSIONS: Final = (2, 3)

Scalar: TypeAlias = bool | int | float | str


class ValueType(IntEnum):
    """`gguf_metadata_value_type`."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


SCALAR_FORMATS: Final[dict[int, str]] = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.BOOL: "?",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
}
"""`struct` letters of the value types of fixed size, little-endian."""


class Layout(NamedTuple):
    """How a tensor type is stored: *size* bytes for each block of *block* elements."""

    name: str
    block: int
    size: int


TENSOR_TYPES: Final[dict[int, Layout]] = {
    0: Layout("F32", 1, 4),
    1: Layout("F16", 1, 2),
    2: Layout("Q4_0", 32, 18),
    3: Layout("Q4_1", 32, 20),
    6: Layout("Q5_0", 32, 22),
    7: Layout("Q5_1", 32, 24),
    8: Layout("Q8_0", 32, 34),
    9: Layout("Q8_1", 32, 36),
    10: Layout("Q2_K", 256, 84),
    11: Layout("Q3_K", 256, 110),
    12: Layout("Q4_K", 256, 144),
    13: Layout("Q5_K", 256, 176),
    14: Layout("Q6_K", 256, 210),
    15: Layout("Q8_K", 256, 292),
    16: Layout("IQ2_XXS", 256, 66),
    17: Layout("IQ2_XS", 256, 74),
    18: Layout("IQ3_XXS", 256, 98),
    19: Layout("IQ1_S", 256, 50),
    20: Layout("IQ4_NL", 32, 18),
    21: Layout("IQ3_S", 256, 110),
    22: Layout("IQ2_S", 256, 82),
    23: Layout("IQ4_XS", 256, 136),
    24: Layout("I8", 1, 1),
    25: Layout("I16", 1, 2),
    26: Layout("I32", 1, 4),
    27: Layout("I64", 1, 8),
    28: Layout("F64", 1, 8),
    29: Layout("IQ1_M", 256, 56),
    30: Layout("BF16", 1, 2),
    34: Layout("TQ1_0", 256, 54),
    35: Layout("TQ2_0", 256, 66),
    39: Layout("MXFP4", 32, 17),
    40: Layout("NVFP4", 64, 36),
    41: Layout("Q1_0", 128, 18),
    42: Layout("Q2_0", 64, 18),
}
"""`ggml_type`; the numbers that are missing were removed from the format."""

FILE_TYPES: Final[dict[int, str]] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
    39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip
"""`general.file_type`: llama.cpp's `llama_ftype`."""


@dataclass(frozen=True, slots=True)
class Value:
    """A metadata value with the type it is stored as; `element` is the type within an array."""

    type: ValueType
    value: Scalar | tuple[Scalar, ...]
    element: ValueType | None = None

    @classmethod
    def string(cls, text: str) -> Self:
        """Return *text* as a string value."""
        return cls(ValueType.STRING, text)

    @classmethod
    def uint16(cls, number: int) -> Self:
        """Return *number* as an unsigned 16-bit value."""
        return cls(ValueType.UINT16, number)

    @classmethod
    def uint32(cls, number: int) -> Self:
        """Return *number* as an unsigned 32-bit value."""
        return cls(ValueType.UINT32, number)

    @classmethod
    def int32(cls, number: int) -> Self:
        """Return *number* as a signed 32-bit value."""
        return cls(ValueType.INT32, number)

    @classmethod
    def uint64(cls, number: int) -> Self:
        """Return *number* as an unsigned 64-bit value."""
        return cls(ValueType.UINT64, number)

    @classmethod
    def float32(cls, number: float) -> Self:
        """Return *number* as a 32-bit float value."""
        return cls(ValueType.FLOAT32, number)

    @classmethod
    def boolean(cls, flag: bool) -> Self:
        """Return *flag* as a boolean value."""
        return cls(ValueType.BOOL, flag)

    @classmethod
    def array(cls, element: ValueType, items: Sequence[Scalar]) -> Self:
        """Return *items* as an array of *element*."""
        return cls(ValueType.ARRAY, tuple(items), element)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One row of the tensor table."""

    name: str
    shape: tuple[int, ...]
    """Dimensions in GGUF's order: the contiguous one first."""
    type: int
    """`ggml_type` number."""
    offset: int
    """Bytes from the start of the data section."""
    size: int
    """Bytes of data, without padding."""

    @property
    def elements(self) -> int:
        """How many numbers the tensor has."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count

    @property
    def type_name(self) -> str:
        """The type as ggml spells it, or its number where we do not know it."""
        layout = TENSOR_TYPES.get(self.type)
        return layout.name if layout else f"type {self.type}"


def tensor_size(type_number: int, shape: Sequence[int]) -> int | None:
    """Return the bytes a tensor takes; None where we do not know its type.

    Raises:
        ValueError: the first dimension is not a whole number of the type's blocks.
    """
    layout = TENSOR_TYPES.get(type_number)
    if layout is None:
        return None
    rows = 1
    for dimension in shape[1:]:
        rows *= dimension
    first = shape[0] if shape else 1
    if first % layout.block:
        raise ValueError(f"rows of {first} are not whole blocks of {layout.block}")
    return first // layout.block * layout.size * rows


def aligned(size: int, alignment: int) -> int:
    """Return *size* rounded up to a multiple of *alignment*."""
    return -(-size // alignment) * alignment
