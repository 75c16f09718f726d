"""Text becomes ids, and ids become a batch to learn from: corpora, word lists, tokenizers, masking, packing."""

from .corpus import Corpus, Document, load_corpus
from .masking import MaskedBatch, mask_tokens
from .packaged_tokenizers import bert_tokenizer, smollm2_tokenizer
from .packing import pack_tokens, sample_windows
from .tokenizer_training import train_bpe, train_wordpiece
from .tokenizers import Tokenizer
from .words import load_analogies, load_glove_words, load_partners, load_senses, load_wordsim

__all__ = [
    "Corpus",
    "Document",
    "MaskedBatch",
    "Tokenizer",
    "bert_tokenizer",
    "load_analogies",
    "load_corpus",
    "load_glove_words",
    "load_partners",
    "load_senses",
    "load_wordsim",
    "mask_tokens",
    "pack_tokens",
    "sample_windows",
    "smollm2_tokenizer",
    "train_bpe",
    "train_wordpiece",
]
