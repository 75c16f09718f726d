"""The comparison of decoders on a tiny Llama: all have the same weights, write the same, and are refused if they do not."""

import math

import pytest
import torch

from lib.bench import generation as bench_generation
from lib.bench.generation import check_alike, held_bytes, transformers_model
from lib.bench.suites import SUITES
from lib.errors import CourseError
from lib.models import Decoder, model_bytes, quantize_model
from tests.models import small


@pytest.fixture
def tiny(monkeypatch):
    model = small.shaken(Decoder(small.llama(d_model=32, d_ff=64, max_positions=16, tie_embeddings=True))).eval()
    ids = small.some_ids(length=8)
    changes = dict(
        PROMPT=4, NEW_TOKENS=6, REPEATS=1, ALIKE=3, load_smollm2=lambda: model, _texts=lambda: (ids[:1, :4], ids)
    )
    for name, value in changes.items():
        monkeypatch.setattr(bench_generation, name, value)
    return model


def test_a_llama_of_transformers_has_the_same_logits(tiny):
    ids = small.some_ids(length=8)
    torch.testing.assert_close(transformers_model(tiny)(ids).logits, tiny(ids))


def test_the_rows_without_ctranslate2(tiny, monkeypatch):
    monkeypatch.setattr(bench_generation, "find_spec", lambda name: None)
    assert SUITES["generation"] == bench_generation.__name__
    rows = bench_generation.rows(1)
    assert [row.is_time for row in rows] == [True] * 4 + [False] * 2
    assert [math.isnan(row.ratio) for row in rows] == [False, True, False, True, False, False]
    names = [row.name.partition(": ")[2] for row in rows[:4]]
    assert names == ["ours, fp32 / transformers", "ours, fp32 / CTranslate2, fp32", "ours, int8 / ours, fp32",
                     "ours, int8 / CTranslate2, int8"]  # fmt: skip
    assert rows[2].theirs == rows[0].ours == rows[1].ours and rows[2].ours == rows[3].ours
    assert 0.9 < rows[5].ratio < 1.1 and rows[4].ours < rows[4].theirs


def test_where_ctranslate2_is_installed_it_takes_part(tiny, monkeypatch):
    asked = []

    def peer(model, prompt, kind, threads):
        asked.append((kind, threads))
        return lambda: bench_generation._ours(tiny, prompt)

    monkeypatch.setattr(bench_generation, "find_spec", lambda name: name == "ctranslate2")
    monkeypatch.setattr(bench_generation, "_ctranslate2", peer)
    assert not any(math.isnan(row.ratio) for row in bench_generation.rows(1))
    assert asked == [("fp32", 1), ("int8", 1)]


def test_a_peer_that_writes_something_else_is_refused(tiny, monkeypatch):
    good = [1, 2, 3, 4, 5, 6]
    check_alike({"a": good, "b": [1, 2, 3, 9, 9, 9]})
    for other in ([1, 2, 9, 4, 5, 6], good[:5]):
        with pytest.raises(CourseError, match="b writes"):
            check_alike({"a": good, "b": other})
    monkeypatch.setattr(bench_generation, "_theirs", lambda model, prompt: good[:5])
    with pytest.raises(CourseError, match="transformers writes"):
        bench_generation.rows(1)


def test_the_packed_copy_is_counted(tiny):
    int8 = quantize_model(tiny, scheme="int8-dynamic", output=True)
    matrices = sum(layer.values.numel() for layer in int8.modules() if hasattr(layer, "values"))
    assert held_bytes(tiny) == model_bytes(tiny)
    assert held_bytes(int8) == model_bytes(int8) + matrices


def test_the_prompt_begins_the_first_text():
    prompt, texts = bench_generation._texts()
    assert prompt.shape == (1, bench_generation.PROMPT) and texts.shape[1] == bench_generation.LENGTH
    assert torch.equal(prompt[0], texts[0, : bench_generation.PROMPT])
