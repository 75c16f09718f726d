"""Shipped models: what is kept comes back, at half precision, and nothing damaged is believed."""

import json
from dataclasses import asdict

import pytest
import torch

from lib.models import Decoder, Encoder, MaskedLM, RewardModel, load_small, save_small
from lib.models import small as shipped
from lib.text import train_bpe, train_wordpiece
from tests.models.small import decoder, encoder, llama, shaken, some_ids

TEXTS = ["the river bank is wet after the rain", "the bank lends money to the town"] * 20
IDS = some_ids()
INFO = {"settings": {"steps": 3}, "seed": 0, "validation_loss": [[3, 1.25]]}


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece(TEXTS, 40)


def rounded(model):
    """What the file can hold of a model."""
    return model.half().float()


@pytest.mark.parametrize(
    "model",
    [
        MaskedLM(encoder()),
        MaskedLM(encoder(), "slide"),
        MaskedLM(encoder(), "tied"),
        Encoder(encoder(pooler=True)),
        Decoder(decoder()),
        Decoder(llama()),
    ],
    ids=["mlm", "mlm-slide", "mlm-tied", "encoder", "gpt", "llama"],
)
def test_what_is_kept_comes_back(model, tokenizer, tmp_path):
    shaken(model)
    save_small(model, tokenizer, "tiny", INFO, folder=tmp_path)
    loaded, same_tokenizer, info = load_small("tiny", folder=tmp_path)
    assert type(loaded) is type(model) and loaded.config == model.config and not loaded.training
    assert torch.equal(loaded(IDS), rounded(model)(IDS))
    assert same_tokenizer.encode("the river bank") == tokenizer.encode("the river bank")
    assert info == INFO
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tiny.json", "tiny.safetensors", "tiny.tokenizer.json"]


def test_the_description_can_be_read_by_people(tokenizer, tmp_path):
    model = MaskedLM(encoder(), "slide")
    save_small(model, tokenizer, "tiny", INFO, folder=tmp_path)
    described = json.loads((tmp_path / "tiny.json").read_text())
    assert described["model"] == "MaskedLM" and described["head"] == "slide"
    assert described["config"] == asdict(model.config) and described["info"]["seed"] == 0
    assert {len(checksum) for checksum in described["sha256"].values()} == {64}


def test_the_same_model_gives_the_same_bytes(tokenizer, tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        save_small(
            MaskedLM(encoder(), generator=torch.Generator().manual_seed(0)), tokenizer, "tiny", INFO, folder=folder
        )
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_saving_leaves_the_model_as_it_is(tokenizer, tmp_path):
    model = MaskedLM(encoder())
    before = model.encoder.tokens.weight.clone()
    save_small(model, tokenizer, "tiny", INFO, folder=tmp_path)
    assert model.training and torch.equal(model.encoder.tokens.weight, before)


@pytest.mark.parametrize("ending", ["safetensors", "tokenizer.json"])
def test_damage_is_noticed(ending, tokenizer, tmp_path, unchecked):
    save_small(MaskedLM(encoder()), tokenizer, "tiny", INFO, folder=tmp_path)
    file = tmp_path / f"tiny.{ending}"
    data = file.read_bytes()
    for damaged in (data[:-1], data[:-1] + bytes([data[-1] ^ 1]), b""):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"tiny.{ending} is damaged .*course train tiny"):
            load_small("tiny", folder=tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=f"tiny.{ending} is missing beside tiny.json"):
        load_small("tiny", folder=tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("config"),
        lambda d: d.pop("sha256"),
        lambda d: d.update(model="LSTM"),
        lambda d: d["config"].update(num_heads=7),
        lambda d: d["config"].update(depth=3),
    ],
    ids=["no-config", "no-checksum", "other-class", "impossible", "unknown-field"],
)
def test_a_wrong_description_is_noticed(change, tokenizer, tmp_path, unchecked):
    save_small(MaskedLM(encoder()), tokenizer, "tiny", INFO, folder=tmp_path)
    described = json.loads((tmp_path / "tiny.json").read_text())
    change(described)
    (tmp_path / "tiny.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match="tiny.json does not describe a model"):
        load_small("tiny", folder=tmp_path)
    (tmp_path / "tiny.json").write_text("{")
    with pytest.raises(ValueError, match="tiny.json does not describe a model"):
        load_small("tiny", folder=tmp_path)


def test_refusals_leave_nothing_behind(tokenizer, tmp_path, unchecked, monkeypatch):
    model = MaskedLM(encoder())
    with pytest.raises(TypeError, match="model must be an Encoder, .* got RewardModel"):
        save_small(RewardModel(Decoder(decoder())), tokenizer, "tiny", INFO, folder=tmp_path)
    for wrong in ("../x", "", "A", "a b", None):
        with pytest.raises(ValueError, match="name must be lower-case letters"):
            save_small(model, tokenizer, wrong, INFO, folder=tmp_path)
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_small(model, tokenizer, "tiny", {"path": tmp_path}, folder=tmp_path)
    with pytest.raises(ValueError, match="more than the model's vocabulary of 40"):
        save_small(model, train_bpe(TEXTS, 300), "tiny", INFO, folder=tmp_path)
    for broken in (float("nan"), 1e6):
        worse = MaskedLM(encoder())
        with torch.no_grad():
            worse.head.bias[3] = broken
        with pytest.raises(ValueError, match="head.bias that are NaN or beyond float16's range"):
            save_small(worse, tokenizer, "tiny", INFO, folder=tmp_path)
    monkeypatch.setattr(shipped, "LIMIT", 1000)
    with pytest.raises(ValueError, match="more than the 1,000 allowed"):
        save_small(model, tokenizer, "tiny", INFO, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_is_answered_with_the_nearest(tokenizer, tmp_path, unchecked):
    with pytest.raises(ValueError, match="there is no model 'bert-wiki': known are none yet"):
        load_small("bert-wiki", folder=tmp_path)
    save_small(MaskedLM(encoder()), tokenizer, "bert-wiki-small", INFO, folder=tmp_path)
    with pytest.raises(ValueError, match="did you mean bert-wiki-small"):
        load_small("bert-wiki", folder=tmp_path)


@pytest.mark.parametrize("name", shipped.small_models())
def test_every_shipped_model_is_whole_small_and_has_learned(name):
    """Well below the ln V nats of a model that knows nothing."""
    model, tokenizer, info = load_small(name)
    assert (shipped.FOLDER / f"{name}.safetensors").stat().st_size <= 3_000_000
    assert model.config.vocab_size == tokenizer.vocab_size
    first, last = info["validation_loss"][0][1], info["validation_loss"][-1][1]
    assert last < first and last < 0.8 * torch.tensor(float(tokenizer.vocab_size)).log()


def test_a_file_of_just_the_limit_is_kept_and_names_come_in_order(tokenizer, tmp_path, unchecked, monkeypatch):
    model = MaskedLM(encoder())
    for name in ("b", "a-2", "a"):
        save_small(model, tokenizer, name, INFO, folder=tmp_path)
    assert shipped.small_models(tmp_path) == ["a", "a-2", "b"]
    size = (tmp_path / "b.safetensors").stat().st_size
    monkeypatch.setattr(shipped, "LIMIT", size)
    save_small(model, tokenizer, "c", INFO, folder=tmp_path)
    monkeypatch.setattr(shipped, "LIMIT", size - 1)
    with pytest.raises(ValueError, match="d takes"):
        save_small(model, tokenizer, "d", INFO, folder=tmp_path)
    assert shipped.small_models(tmp_path) == ["a", "a-2", "b", "c"]
    for wrong in ("-a", "a.b", "a_b", "a\n", "ä"):
        with pytest.raises(ValueError, match="name must be lower-case letters"):
            load_small(wrong, folder=tmp_path)
