from __future__ import annotations

import io

import pytest
from support.ggufs import F32, Q4_K, gguf_bytes, metadata, parsed, tensor

from modelpack.errors import GgufError
from modelpack.gguf.values import Value, ValueType, aligned, tensor_size
from modelpack.gguf.writer import encode_field, place_tensors, write_gguf


def test_writer_writes_the_same_bytes_for_the_same_input():
    assert gguf_bytes() == gguf_bytes()


def test_writer_refuses_data_that_does_not_fit_its_shape():
    with pytest.raises(GgufError, match=r"31 bytes, not 32"):
        write_gguf(io.BytesIO(), metadata(), [("a", (8,), F32, bytes(31))])


def test_writer_refuses_rows_that_are_not_whole_blocks():
    with pytest.raises(GgufError, match="whole blocks"):
        place_tensors([("a", (100,), Q4_K)])


def test_writer_refuses_tensor_types_it_does_not_know():
    with pytest.raises(GgufError, match="unknown type 999"):
        place_tensors([("a", (8,), 999)])


@pytest.mark.parametrize(
    ("kind", "number"),
    [(ValueType.UINT8, 256), (ValueType.UINT16, -1), (ValueType.INT32, 2**31)],
)
def test_writer_refuses_numbers_that_do_not_fit(kind, number):
    with pytest.raises(GgufError, match="does not fit"):
        encode_field("a", Value(kind, number))


def test_writer_refuses_arrays_without_element_type():
    with pytest.raises(GgufError, match="element type"):
        encode_field("a", Value(ValueType.ARRAY, (1, 2)))


def test_sizes_follow_the_blocks_of_the_type():
    assert tensor_size(F32, (3, 5)) == 60
    assert tensor_size(Q4_K, (512, 2)) == 2 * 2 * 144
    assert tensor_size(F32, ()) == 4
    assert tensor_size(999, (8,)) is None


def test_sizes_are_rounded_up_to_the_alignment():
    assert [aligned(n, 32) for n in (0, 1, 32, 33)] == [0, 32, 32, 64]


def test_padding_is_zero():
    data = gguf_bytes({}, [tensor("a", (1,)), tensor("b", (1,))])
    header = parsed(data)
    first, second = (header.data_offset + t.offset for t in header.tensors)
    assert not any(data[first + 4 : second])
    assert not any(data[second + 4 :])
    assert len(data) == second + 32
