"""`doctor`."""

from __future__ import annotations

import pytest

from modelpack.ops import doctor
from modelpack.runtime.placement.library import Library
from modelpack.runtime.placement.system import Device, Memory, System

BUILD = Library(
    installed=True,
    version="0.3.36",
    llama_version="b1",
    path="/lib/libllama.so",
    system_info="CPU : AVX = 1 | ",
)


@pytest.fixture
def library(monkeypatch):
    """Say which library is found."""

    def use(found: Library) -> None:
        monkeypatch.setattr(doctor, "probe_library", lambda: found)

    use(BUILD)
    return use


def facts(result):
    return {s["title"]: s["facts"] for s in result.json["sections"]}


def advice(result):
    return [a for s in result.json["sections"] for a in s["advice"]]


def test_doctor_shows_machine_and_store(cli, store, built, library):
    result = cli("doctor")
    assert (result.code, result.err) == (0, "")
    for title in ("Versions", "Processor", "Memory", "GPUs", "Store", "Optional packages"):
        assert title in result.lines
    assert any(line.split() == ["path", str(store)] for line in result.lines)
    assert "better" in result.lines[-1] or "should be" in result.lines[-1]


def test_doctor_gives_scripts_the_same(cli, store, built, library):
    result = cli("doctor", "--json")
    assert result.json["broken"] is False
    assert facts(result)["Versions"]["llama.cpp"] == "b1"
    assert facts(result)["Store"]["models"] == 1
    assert facts(result)["Memory"]["total_bytes"] > 0


def test_doctor_does_not_make_a_store(cli, store, library):
    result = cli("doctor", "--json")
    assert (result.code, facts(result)["Store"]["models"]) == (0, 0)
    assert not store.exists()


def test_doctor_does_without_the_runtime(cli, library):
    library(Library(installed=False))
    result = cli("doctor", "--json")
    assert result.code == 0
    assert facts(result)["Versions"]["llama-cpp-python"] == "not installed"
    assert any("[runtime]" in item["do"] for item in advice(result))


def test_a_library_that_crashes_is_broken_and_one_line(cli, library):
    library(Library(installed=True, version="1", error="loading it ends the process (SIGILL)"))
    result = cli("doctor")
    assert (result.code, result.err) == (1, "")
    assert (
        "  broken: llama.cpp cannot be loaded: loading it ends the process (SIGILL)" in result.lines
    )


def test_a_damaged_store_is_broken(cli, store, built, library):
    next((store / "manifests").rglob("latest")).write_text("{")
    result = cli("doctor")
    assert result.code == 1
    assert "  broken: 1 model cannot be read" in result.lines


def test_leftovers_are_worth_a_word(cli, store, built, library):
    (store / "ingest").mkdir(exist_ok=True)
    (store / "ingest" / "tmpold").write_bytes(bytes(1_000))
    result = cli("doctor", "--json")
    assert any("broke off" in item["what"] for item in advice(result))


def test_gpus_are_listed_with_their_memory(clean_environment, library):
    from modelpack.ops.context import Context

    card = Device(
        backend="cuda", id="GPU-1", name="Card", free=5, total=9, architecture="8.9", driver="550"
    )
    system = System(memory=Memory(total=10, available=5, limit=10), devices=(card,))
    sections = doctor.examine(Context.create(), system=system)
    (gpus,) = [section for section in sections if section.title == "GPUs"]
    assert [fact.value for fact in gpus.facts] == ["Card, 8.9, CUDA, 550", 5, 9]
    assert "-DGGML_CUDA=on" in gpus.advice[0].do
