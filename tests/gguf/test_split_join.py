from __future__ import annotations

import random
import struct

import pytest
from support.ggufs import (
    F16,
    F32,
    Q4_0,
    Q4_K,
    gguf_bytes,
    join_bytes,
    llama_tensors,
    metadata,
    parsed,
    raw_gguf,
    raw_tensor,
    shard_bytes,
    tensor,
    write_split,
)

from modelpack.errors import GgufError
from modelpack.gguf.group import plan_groups
from modelpack.gguf.join import order_shards, plan_join
from modelpack.gguf.split import plan_split, split_name, why_not_split
from modelpack.gguf.values import Value, ValueType
from modelpack.gguf.writer import encode_header, place_tensors

LAYERINGS = ("block", "tensor")


def cut(source: bytes, *, size: int = 20_000, layering="block", groups: int = 400) -> list[bytes]:
    header = parsed(source)
    assert why_not_split(header) is None
    plan = plan_groups(header.tensors, max_size=size, layering=layering, max_groups=groups)
    files = [shard_bytes(source, shard) for shard in plan_split(header, plan)]
    assert [len(f) for f in files] == [shard.size for shard in plan_split(header, plan)]
    return files


@pytest.mark.parametrize("layering", LAYERINGS)
@pytest.mark.parametrize("size", [1, 100, 5_000, 20_000, 10**9])
@pytest.mark.parametrize("alignment", [32, 64, 4096])
def test_joining_gives_back_the_source(layering, size, alignment):
    fields = metadata()
    if alignment != 32:
        fields["general.alignment"] = Value.uint32(alignment)
    source = gguf_bytes(fields, llama_tensors(blocks=3, width=32))
    assert join_bytes(cut(source, size=size, layering=layering)) == source


@pytest.mark.parametrize("seed", range(60))
def test_joining_gives_back_random_sources(seed):
    chance = random.Random(seed)
    rows = []
    for number in range(chance.randint(1, 30)):
        kind = chance.choice([F32, F16, Q4_0, Q4_K])
        first = {F32: chance.randint(1, 9), F16: chance.randint(1, 9), Q4_0: 32, Q4_K: 256}[kind]
        shape = [first, *(chance.randint(1, 3) for _ in range(chance.randint(0, 3)))]
        block = f"blk.{chance.randrange(6)}." if chance.random() < 0.8 else ""
        role = chance.choice(["attn_v", "ffn_up", "token_embd", "output", "attn_norm"])
        rows.append(tensor(f"{block}{role}.{number}.weight", shape, kind))
    fields = metadata(x__y=Value.array(ValueType.STRING, ["a", "b"]))
    fields["general.alignment"] = Value.uint32(chance.choice([8, 32, 64, 128]))
    source = gguf_bytes(fields, rows)
    header = parsed(source)
    source = source[: chance.randint(header.data_end, len(source))]
    files = cut(
        source,
        size=chance.choice([1, 64, 500, 2000]),
        layering=chance.choice(LAYERINGS),
        groups=chance.choice([3, 8, 400]),
    )
    assert join_bytes(files) == source


@pytest.mark.parametrize("version", [2, 3])
def test_joining_keeps_the_version(version):
    rows = [tensor(f"blk.{i}.ffn_up.weight") for i in range(3)]
    head = encode_header(metadata(), place_tensors(r[:3] for r in rows), version=version)
    source = head + b"".join(row[3] for row in rows)
    files = cut(source, size=1)
    assert {parsed(file).version for file in files} == {version}
    assert join_bytes(files) == source


def test_joining_keeps_padding_that_is_not_zero():
    rows = [raw_tensor("blk.1.a", (1,), F32, 0), raw_tensor("blk.0.a", (1,), F32, 32)]
    source = raw_gguf(*rows, tensors=2) + b"\x01" * 64
    assert join_bytes(cut(source, size=1)) == source


def test_joining_gives_back_tensor_types_newer_than_ours():
    rows = [raw_tensor("blk.1.a", (5,), 999, 0), raw_tensor("blk.0.a", (5,), 999, 64)]
    source = raw_gguf(*rows, tensors=2) + bytes(range(64)) + b"tail"
    assert join_bytes(cut(source, size=1)) == source


def test_first_shard_has_all_metadata_and_no_tensor():
    source = gguf_bytes(metadata(), llama_tensors())
    first, *others = [parsed(file) for file in cut(source)]
    assert first.tensors == ()
    for key in metadata():
        assert first.value(key) == parsed(source).value(key)
    assert sum(len(other.tensors) for other in others) == len(llama_tensors())
    assert all(other.text("general.architecture") is None for other in others)


def test_shards_carry_the_keys_of_llama_cpp():
    files = [parsed(file) for file in cut(gguf_bytes(metadata(), llama_tensors()))]
    assert [file.integer("split.no") for file in files] == list(range(len(files)))
    assert {file.integer("split.count") for file in files} == {len(files)}
    assert {file.value("split.tensors.count") for file in files} == {
        Value.int32(len(llama_tensors()))
    }


def test_shards_are_named_as_llama_cpp_names_them():
    assert split_name("model", 3, 12) == "model-00003-of-00012.gguf"


def test_a_shard_holds_the_same_bytes_whatever_the_metadata_says():
    one = cut(gguf_bytes(metadata(tokenizer__chat_template=Value.string("a")), llama_tensors()))
    two = cut(
        gguf_bytes(metadata(tokenizer__chat_template=Value.string("b" * 99)), llama_tensors())
    )
    assert one[0] != two[0]
    assert one[1:] == two[1:]


@pytest.mark.parametrize("key", ["split.no", "split.count", "split.tensors.count"])
def test_a_shard_is_not_cut_again(key):
    header = parsed(gguf_bytes(metadata() | {key: Value.uint16(0)}))
    assert "split model already" in str(why_not_split(header))


@pytest.mark.parametrize("key", ["modelpack.split.size", "modelpack.split.order"])
def test_a_file_with_our_own_keys_is_not_cut(key):
    assert why_not_split(parsed(gguf_bytes(metadata() | {key: Value.uint64(1)}))) is not None


def test_a_file_that_would_not_come_back_is_not_cut():
    assert "no tensors" in str(why_not_split(parsed(gguf_bytes(tensors=[]))))
    assert "behind" in str(why_not_split(parsed(gguf_bytes() + b"x")))
    source = bytearray(gguf_bytes())
    source[parsed(bytes(source)).data_offset - 1] = 7
    assert "usual form" in str(why_not_split(parsed(bytes(source))))


def ordered(files: list[bytes]) -> list[int]:
    return order_shards([parsed(file) for file in files], [f"file {i}" for i in range(len(files))])


def test_shards_are_put_in_order():
    files = cut(gguf_bytes(metadata(), llama_tensors()))
    assert len(files) > 3
    shuffled = list(reversed(files))
    assert [shuffled[i] for i in ordered(shuffled)] == files


def test_a_missing_shard_is_named():
    files = cut(gguf_bytes(metadata(), llama_tensors()))
    with pytest.raises(GgufError, match=f"shard 3 of {len(files)} is missing"):
        ordered(files[:2] + files[3:])


def test_a_shard_given_twice_is_refused():
    files = cut(gguf_bytes(metadata(), llama_tensors()))
    with pytest.raises(GgufError, match=r"given twice: file 1 and file 2"):
        ordered([files[0], files[1], files[1], *files[3:]])


def test_a_shard_of_another_model_is_refused():
    files = cut(gguf_bytes(metadata(), llama_tensors(blocks=2)))
    others = cut(gguf_bytes(metadata(), llama_tensors(blocks=3)))
    with pytest.raises(GgufError, match="not a shard of the same model"):
        ordered([*files[:-1], others[-1]])
    with pytest.raises(GgufError, match="not a split GGUF"):
        ordered([gguf_bytes()])


def test_a_shard_with_tensors_of_another_is_refused():
    files = cut(gguf_bytes(metadata(), llama_tensors()))
    swapped = bytearray(files[2])
    at = swapped.index(b"split.no") + len(b"split.no") + 4
    swapped[at : at + 2] = struct.pack("<H", 1)
    with pytest.raises(GgufError, match="stands in both"):
        ordered([files[0], bytes(swapped), *files[2:]])


def test_shards_with_too_few_tensors_are_refused(tmp_path):
    paths = write_split(tmp_path, "m", [[tensor("a")], [tensor("b")]])
    others = write_split(tmp_path / "o", "m", [[tensor("a")], []])
    with pytest.raises(GgufError, match="promises 2 tensors"):
        ordered([paths[0].read_bytes(), others[1].read_bytes()])


def test_a_set_made_by_others_joins_in_the_order_of_its_shards(tmp_path):
    parts = [[tensor("b"), tensor("a")], [tensor("d", (3,))], [tensor("c")]]
    files = [path.read_bytes() for path in write_split(tmp_path, "m", parts)]
    expected = gguf_bytes(metadata(), [row for part in parts for row in part])
    assert join_bytes(files) == expected


def test_a_set_with_a_larger_alignment_in_its_first_file_joins():
    first = metadata() | {
        "general.alignment": Value.uint32(256),
        "split.no": Value.uint16(0),
        "split.count": Value.uint16(2),
    }
    second = {"split.no": Value.uint16(1), "split.count": Value.uint16(2)}
    rows = [tensor("b"), tensor("a", (3,)), tensor("c")]
    files = [gguf_bytes(first, rows[:1]), gguf_bytes(second, rows[1:])]
    aligned = metadata() | {"general.alignment": Value.uint32(256)}
    assert join_bytes(files) == gguf_bytes(aligned, rows)


@pytest.mark.parametrize("order", [[0], [0, 0, 1], [0, 1, 3], [2**32 - 1, 0, 1], [0, 1, 2, 3]])
def test_an_order_that_is_no_permutation_is_refused(order):
    keys = {"modelpack.split.order": Value.array(ValueType.UINT32, order)}
    rows = [tensor(name) for name in "abc"]
    with pytest.raises(GgufError, match="permutation"):
        plan_join([parsed(gguf_bytes(keys, rows))])


@pytest.mark.parametrize("size", [0, 1, 2**63])
def test_a_size_that_does_not_fit_is_refused(size):
    keys = {"modelpack.split.size": Value.uint64(size)}
    with pytest.raises(GgufError, match="does not fit"):
        plan_join([parsed(gguf_bytes(keys, [tensor("a")]))])
