from __future__ import annotations

from pathlib import Path

import pytest

from modelpack import limits
from modelpack.engine.base import Adapter, LoadOptions
from modelpack.engine.sampling import Sampling
from modelpack.errors import InputError
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.options import LOADING, load_options_from, loading_of, sampling_from

FILES = ModelFiles(name="m", weights=(Path("w"),), adapters=(Path("a"),))


def test_no_parameters_are_the_defaults():
    assert sampling_from({}) == Sampling()
    assert load_options_from(FILES, {}) == LoadOptions(
        weights=(Path("w"),), adapters=(Adapter(Path("a")),)
    )


def test_every_sampling_parameter_arrives():
    given = {
        "seed": 1,
        "num_predict": 2,
        "top_k": 3,
        "top_p": 0.4,
        "min_p": 0.5,
        "typical_p": 0.6,
        "repeat_last_n": 7,
        "temperature": 0.8,
        "repeat_penalty": 0.9,
        "presence_penalty": 1.0,
        "frequency_penalty": 1.1,
        "stop": ["a", "b"],
    }
    assert sampling_from(given) == Sampling(**{**given, "stop": ("a", "b")})


def test_every_loading_parameter_arrives():
    assert load_options_from(FILES, {"lora_scale": 0.5}).adapters == (Adapter(Path("a"), 0.5),)
    given = {"num_ctx": 1, "num_batch": 2, "num_gpu": 3, "main_gpu": 4, "num_thread": 5}
    options = load_options_from(FILES, {**given, "use_mmap": False})
    assert (options.n_ctx, options.n_batch, options.n_gpu_layers) == (1, 2, 3)
    assert (options.main_gpu, options.n_threads, options.use_mmap) == (4, 5, False)


def test_what_loading_reads_is_what_is_known_to_belong_to_it():
    read = set()

    class Noted(dict):
        def get(self, key, default=None):
            read.add(key)
            return default

    load_options_from(FILES, Noted())
    assert read == LOADING
    given = {"num_ctx": 1, "seed": 7, "stop": ["a"], "num_predict": 3, "use_mmap": False}
    assert loading_of(given) == {"num_ctx": 1, "use_mmap": False}


def test_a_value_of_another_type_counts_as_not_given():
    assert sampling_from({"seed": "x", "temperature": ["y"]}) == Sampling()
    assert sampling_from({"stop": "END"}).stop == ("END",)


def test_stop_strings_are_bounded_as_each_is_looked_for_behind_every_token():
    most = [f"{number:04}" * 256 for number in range(limits.STOPS)]
    assert sampling_from({"stop": most}).stop == tuple(most)
    with pytest.raises(InputError, match="65 stop strings"):
        sampling_from({"stop": [*most, "x"]})
    with pytest.raises(InputError, match="a stop string of 1,025 characters"):
        sampling_from({"stop": ["x" * 1025]})


def test_whole_numbers_do_for_fractions():
    assert sampling_from({"temperature": 0}).temperature == 0.0


def test_whoever_loads_a_model_says_how_attention_is_computed():
    given = {"flash_attention": "on", "kv_cache_type": "q8_0", "tensor_split": "3,1.5"}
    options = load_options_from(FILES, given)
    assert (options.flash_attention, options.kv_cache_type) == ("on", "q8_0")
    assert options.tensor_split == (3.0, 1.5)
    assert load_options_from(FILES, {"flash_attention": False}).flash_attention == "off"


@pytest.mark.parametrize(
    ("name", "value"),
    [("flash_attention", "maybe"), ("kv_cache_type", "q5"), ("tensor_split", "a,b")],
)
def test_what_they_cannot_have_is_refused(name, value):
    with pytest.raises(InputError, match=name):
        load_options_from(FILES, {name: value})
