"""Train a vocabulary from text: WordPiece as in BERT, byte-level BPE as in GPT-2."""

from collections.abc import Iterable, Sequence

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from lib import checks

from .tokenizers import Tokenizer

WORDPIECE_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BPE_SPECIALS = ("<|endoftext|>", "<|pad|>")


def train_wordpiece(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A lower-casing WordPiece tokenizer with BERT's special tokens, [PAD] 0 to [MASK] 4.

    `vocab_size` counts special tokens and single characters too; a small text may give fewer pieces, and all
    characters of the text are kept even if there are more. The same texts give the same ids every time.

    Raises ValueError if `texts` is empty or `vocab_size` does not exceed the special tokens, TypeError if a
    text is no string.

    >>> tokenizer = train_wordpiece(["a dog, a doge"], vocab_size=60)
    >>> tokenizer.decode(tokenizer.encode("A dog!"))
    'a dog [UNK]'
    """
    checks.whole("vocab_size", vocab_size, at_least=len(WORDPIECE_SPECIALS) + 1)
    texts = _strings(texts)
    letters = _wordpiece_vocabulary(texts, len(WORDPIECE_SPECIALS), WORDPIECE_SPECIALS)
    inner = sorted(piece for piece in letters if piece.startswith("##"))
    vocabulary = _wordpiece_vocabulary(texts, vocab_size, (*WORDPIECE_SPECIALS, *inner))
    backend = _wordpiece(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.add_special_tokens(list(WORDPIECE_SPECIALS))
    cls, sep = (WORDPIECE_SPECIALS.index(name) for name in ("[CLS]", "[SEP]"))
    backend.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return Tokenizer(backend)


def _wordpiece_vocabulary(texts: list[str], vocab_size: int, first: Sequence[str]) -> dict[str, int]:
    """The trained vocabulary, in which the tokens `first` have the first ids.

    The library numbers the letters within words ("##a") in an order that differs from run to run, and breaks
    ties between merges by these numbers. So it is trained twice: once for the letters alone, once with them
    put in order.
    """
    backend = _wordpiece(models.WordPiece(unk_token="[UNK]"))
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=list(first), show_progress=False)
    backend.train_from_iterator(texts, trainer)
    return backend.get_vocab()


def _wordpiece(model: models.WordPiece) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


def train_bpe(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer, <|endoftext|> 0 and <|pad|> 1, that gives back any text exactly.

    Every byte is in the vocabulary, so there is no unknown token and `decode(encode(text)) == text`.
    `vocab_size` counts the 256 bytes and the 2 special tokens; a small text may give fewer. The same texts
    give the same ids.

    Raises ValueError if `texts` is empty or `vocab_size` has no room for the bytes, TypeError if a text is no
    string.

    >>> tokenizer = train_bpe(["low lower lowest"], vocab_size=262)
    >>> tokenizer.decode(tokenizer.encode("Zürich, 日本"))
    'Zürich, 日本'
    """
    checks.whole("vocab_size", vocab_size, at_least=256 + len(BPE_SPECIALS))
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(BPE_SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_strings(texts), trainer)
    return Tokenizer(backend)


def _strings(texts: Iterable[str]) -> list[str]:
    texts = [texts] if isinstance(texts, str) else checks.strings("texts", texts)
    if not any(texts):
        raise ValueError("texts must hold at least one text that is not empty")
    return texts
