from __future__ import annotations

import mmap
import os
import random
import struct
import tracemalloc

import pytest
from support.ggufs import (
    EVERY_VALUE,
    F32,
    Q4_K,
    gguf_bytes,
    llama_tensors,
    metadata,
    parsed,
    raw_field,
    raw_gguf,
    raw_string,
    raw_tensor,
    tensor,
    write_model,
)

from modelpack import limits
from modelpack.errors import GgufError, NotFoundError
from modelpack.gguf.reader import parse_header, read_header
from modelpack.gguf.values import Value, ValueType
from modelpack.gguf.writer import encode_header, place_tensors

U32, STRING, ARRAY = int(ValueType.UINT32), int(ValueType.STRING), int(ValueType.ARRAY)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("key", sorted(EVERY_VALUE))
def test_header_gives_back_every_value(key, version):
    header = parsed(encode_header({key: EVERY_VALUE[key]}, (), version=version))
    assert header.value(key) == EVERY_VALUE[key]
    assert header.version == version


def test_header_keeps_the_order_of_its_keys():
    header = parsed(gguf_bytes(dict(reversed(EVERY_VALUE.items()))))
    assert list(header.fields) == list(reversed(EVERY_VALUE))


def test_header_tells_texts_and_integers_from_other_values():
    header = parsed(gguf_bytes(EVERY_VALUE))
    assert header.text("a.string") == "zwölf 🙂"
    assert header.text("a.uint32") is None
    assert header.integer("a.uint32") == 2**32 - 1
    assert header.integer("a.bool") is None
    assert header.integer("a.float32") is None
    assert header.integer("a.numbers") is None
    assert header.integer("no.such.key") is None
    assert header.value("no.such.key") is None


@pytest.mark.parametrize("alignment", [8, 32, 64, 4096])
def test_header_places_tensors_by_the_alignment(alignment):
    rows = [tensor("a", (3,)), tensor("b", (256, 2), Q4_K), tensor("c", (1, 2, 3, 4))]
    fields = {"general.alignment": Value.uint32(alignment)} if alignment != 32 else {}
    data = gguf_bytes(fields, rows)
    header = parsed(data)
    assert header.alignment == alignment
    assert header.data_offset % alignment == 0
    for info, (name, shape, kind, body) in zip(header.tensors, rows, strict=True):
        start = header.data_offset + info.offset
        assert (info.name, info.shape, info.type) == (name, tuple(shape), kind)
        assert info.offset % alignment == 0
        assert data[start : start + info.size] == body


def test_header_of_a_model_without_tensors_may_end_without_padding():
    data = encode_header({"general.name": Value.string("x")}, ())
    assert parsed(data.rstrip(b"\0") + b"\0").tensors == ()


def test_header_may_miss_the_padding_behind_the_last_tensor():
    data = gguf_bytes({}, [tensor("a", (3,))])
    header = parsed(data[: -(32 - 12)])
    assert header.data_end == len(data) - (32 - 12)


def test_header_of_a_newer_tensor_type_takes_the_room_up_to_the_next():
    known = raw_tensor("b", (8,), F32, 64)
    header = parsed(raw_gguf(raw_tensor("a", (5,), 999), known, tensors=2, data=96))
    assert [t.size for t in header.tensors] == [64, 32]
    assert header.tensors[0].type_name == "type 999"


class HeaderOnly(bytes):
    """A file's header, for a reader that must not want more."""

    def __getitem__(self, key):
        stop = key.stop if isinstance(key, slice) else key + 1
        assert stop <= len(self)
        return super().__getitem__(key)


def test_reading_a_large_vocabulary_touches_no_tensor_data():
    tokens = [f"token {i} ü" for i in range(150_000)]
    fields = metadata(
        tokenizer__ggml__tokens=Value.array(ValueType.STRING, tokens),
        tokenizer__ggml__scores=Value.array(ValueType.FLOAT32, [0.0] * len(tokens)),
    )
    size = 4 << 40
    data = encode_header(fields, place_tensors([("huge", (size // 4,), F32)]))
    header = parse_header(HeaderOnly(data), len(data) + size, "model.gguf")
    assert header.data_end == len(data) + size
    assert header.value("tokenizer.ggml.tokens") == Value.array(ValueType.STRING, tokens)


def test_reading_a_huge_sparse_file_reads_its_header_only(tmp_path):
    path = tmp_path / "model.gguf"
    size = 1 << 40
    with path.open("wb") as file:
        file.write(encode_header(metadata(), place_tensors([("huge", (size // 4,), F32)])))
        file.truncate(file.tell() + size)
    assert len(read_header(path).raw) < limits.MiB


def test_reading_a_missing_file_says_so(tmp_path):
    with pytest.raises(NotFoundError, match=r"gone\.gguf"):
        read_header(tmp_path / "gone.gguf")
    with pytest.raises(GgufError, match="not a regular file"):
        read_header(tmp_path)


def test_reading_something_that_is_no_file_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(GgufError, match="not a regular file"):
        read_header(tmp_path / "pipe.gguf")


@pytest.mark.parametrize("data", [b"", b"GGUF", b"GGUF" + bytes(19), b"PK\x03\x04" + bytes(96)])
def test_reading_something_else_says_that_it_is_not_gguf(tmp_path, data):
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    with pytest.raises(GgufError, match=r"not a GGUF|not supported"):
        read_header(path)


def test_big_endian_files_are_refused_with_a_clear_word():
    with pytest.raises(GgufError, match="big-endian") as caught:
        parsed(b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + bytes(8))
    assert "convert" in str(caught.value.hint)


@pytest.mark.parametrize("version", [0, 1, 4, 65_535])
def test_other_versions_are_refused(version):
    with pytest.raises(GgufError, match=f"version {version} "):
        parsed(raw_gguf(version=version))


HUGE = 2**63
HOSTILE = {
    "more keys than there are": raw_gguf(fields=1),
    "a huge number of keys": raw_gguf(fields=HUGE),
    "more tensors than there are": raw_gguf(tensors=1),
    "a huge number of tensors": raw_gguf(tensors=HUGE),
    "many tensors": raw_gguf(tensors=limits.GGUF_TENSORS),
    "a key without end": raw_gguf(struct.pack("<Q", HUGE), fields=1),
    "a key longer than the file": raw_gguf(struct.pack("<Q", 60_000), fields=1),
    "a key that is not UTF-8": raw_gguf(raw_field(b"\xff\xfe", U32, bytes(4)), fields=1),
    "a key twice": raw_gguf(*[raw_field("a", U32, bytes(4))] * 2, fields=2),
    "an unknown value type": raw_gguf(raw_field("a", 13, bytes(64)), fields=1),
    "a huge value type": raw_gguf(raw_field("a", 2**32 - 1, bytes(64)), fields=1),
    "a string without end": raw_gguf(raw_field("a", STRING, struct.pack("<Q", HUGE)), fields=1),
    "a string past the end": raw_gguf(raw_field("a", STRING, struct.pack("<Q", 999)), fields=1),
    "an array past the end": raw_gguf(
        raw_field("a", ARRAY, struct.pack("<IQ", U32, 999)), fields=1
    ),
    "a huge array": raw_gguf(raw_field("a", ARRAY, struct.pack("<IQ", U32, HUGE)), fields=1),
    "a huge array of strings": raw_gguf(
        raw_field("a", ARRAY, struct.pack("<IQ", STRING, limits.GGUF_ARRAY)), fields=1
    ),
    "a string without end in an array": raw_gguf(
        raw_field("a", ARRAY, struct.pack("<IQQ", STRING, 1, HUGE)), fields=1
    ),
    "an array of arrays": raw_gguf(
        raw_field("a", ARRAY, struct.pack("<IQIQ", ARRAY, 1, U32, 0)), fields=1
    ),
    "an array of an unknown type": raw_gguf(
        raw_field("a", ARRAY, struct.pack("<IQ", 77, 0)), fields=1
    ),
    "an alignment of 0": raw_gguf(raw_field("general.alignment", U32, bytes(4)), fields=1),
    "an alignment of 33": raw_gguf(
        raw_field("general.alignment", U32, struct.pack("<I", 33)), fields=1
    ),
    "a huge alignment": raw_gguf(
        raw_field("general.alignment", U32, struct.pack("<I", 2**31)), fields=1
    ),
    "an alignment that is text": raw_gguf(
        raw_field("general.alignment", STRING, raw_string("32")), fields=1
    ),
    "a tensor name that is not UTF-8": raw_gguf(raw_tensor(b"\xc3", (8,)), tensors=1, data=32),
    "a long tensor name": raw_gguf(raw_tensor("x" * 1025, (8,)), tensors=1, data=32),
    "a tensor twice": raw_gguf(
        raw_tensor("a", (8,)), raw_tensor("a", (8,), F32, 32), tensors=2, data=64
    ),
    "five dimensions": raw_gguf(raw_tensor("a", (1, 1, 1, 1, 8)), tensors=1, data=32),
    "a billion dimensions": raw_gguf(
        raw_string("a"), struct.pack("<I", 10**9), bytes(99), tensors=1
    ),
    "a huge dimension": raw_gguf(raw_tensor("a", (2**64 - 1,)), tensors=1, data=32),
    "dimensions that overflow": raw_gguf(raw_tensor("a", (2**32, 2**32)), tensors=1, data=32),
    "a huge dimension of nothing": raw_gguf(raw_tensor("a", (0, 2**63)), tensors=1, data=32),
    "half a block": raw_gguf(raw_tensor("a", (100,), Q4_K), tensors=1, data=999),
    "an offset that is not a multiple": raw_gguf(
        raw_tensor("a", (8,), F32, 1), tensors=1, data=99
    ),
    "an offset that is not the next": raw_gguf(
        raw_tensor("a", (8,), F32, 32), tensors=1, data=99
    ),
    "tensors that overlap": raw_gguf(
        raw_tensor("a", (16,)), raw_tensor("b", (16,), F32, 32), tensors=2, data=128
    ),
    "an offset before the last one": raw_gguf(
        raw_tensor("a", (8,), 999), raw_tensor("b", (8,), 999, 64),
        raw_tensor("c", (8,), 999, 32), tensors=3, data=128,
    ),
    "data that is not there": raw_gguf(raw_tensor("a", (64,)), tensors=1, data=255),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_a_header_may_not_have(what, tmp_path):
    with pytest.raises(GgufError):
        parsed(HOSTILE[what])
    path = tmp_path / "x.gguf"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(GgufError):
        read_header(path)


def test_an_array_has_a_limit_of_elements(monkeypatch):
    data = gguf_bytes({"a": Value.array(ValueType.UINT8, bytes(3))})
    monkeypatch.setattr(limits, "GGUF_ARRAY", 3)
    parsed(data)
    monkeypatch.setattr(limits, "GGUF_ARRAY", 2)
    with pytest.raises(GgufError, match="claims 3 elements"):
        parsed(data)


def small_file() -> bytes:
    return gguf_bytes(EVERY_VALUE, [tensor("a", (3,)), tensor("b", (256, 1), Q4_K)])


def test_a_file_cut_anywhere_is_refused_as_gguf_error():
    data = small_file()
    header = parsed(data)
    for length in range(header.data_end):
        with pytest.raises(GgufError):
            parse_header(data[:length], length, "cut.gguf")


def test_random_damage_is_refused_as_gguf_error_or_read():
    whole = small_file()
    end = parsed(whole).data_offset
    chance = random.Random(20_260_101)
    refused = 0
    tracemalloc.start()
    for _ in range(4000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(4, end)
            if chance.random() < 0.3:
                data[at : at + 8] = chance.choice(
                    [struct.pack("<Q", n) for n in (0, 1, 2**31, 2**32, 2**63, 2**64 - 1)]
                )
            else:
                data[at] = chance.randrange(256)
        damaged = bytes(data)
        try:
            header = parsed(damaged)
            for key in header.fields:
                header.value(key)
        except GgufError:
            refused += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 500
    assert peak < 16 * limits.MiB


def test_a_mapped_file_reads_as_its_bytes_do(tmp_path):
    path = tmp_path / "m.gguf"
    data = write_model(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert parse_header(mapped, len(data), "m") == parse_header(data, len(data), "m")
    assert len(read_header(path).tensors) == len(llama_tensors())
