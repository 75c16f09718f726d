"""`Tokenizer`, text to ids and back: a thin, frozen wrapper over the `tokenizers` library."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tokenizers
import torch
from jaxtyping import Int
from tokenizers.models import WordPiece
from torch import Tensor

from lib import checks
from lib.files import atomic_write

_ROLES = {  # the first of these that the vocabulary has takes the role
    "pad": ("[PAD]", "<|pad|>", "<|im_end|>"),
    "unk": ("[UNK]",),
    "cls": ("[CLS]",),
    "sep": ("[SEP]",),
    "mask": ("[MASK]",),
    "bos": ("<|im_start|>", "<|endoftext|>"),
    "eos": ("<|im_end|>", "<|endoftext|>"),
}


@dataclass(frozen=True, repr=False)
class Tokenizer:
    """A trained tokenizer: text to ids, ids to text, and the ids that have a role.

    `pad_id`, `unk_id`, `cls_id`, `sep_id`, `mask_id`, `bos_id` and `eos_id` are None where the vocabulary has
    no such token; `special_ids` are all tokens that stand for no text.
    """

    backend: tokenizers.Tokenizer
    chat_template: str | None = None  # Jinja, as in transformers

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """The ids of `text`; `add_special_tokens` puts [CLS] before and [SEP] after it, where there are such.

        Raises TypeError if `text` is no string, ValueError if it holds half of a surrogate pair.

        >>> from lib.text import bert_tokenizer
        >>> bert_tokenizer().encode("my dog is hairy.")
        [2026, 3899, 2003, 15892, 1012]
        """
        _check_text("text", text)
        return self.backend.encode(text, add_special_tokens=add_special_tokens).ids

    def encode_batch(self, texts: Sequence[str], *, add_special_tokens: bool = False) -> list[list[int]]:
        """The ids of each text, in parallel where more than one core is free; nothing is padded or cut.

        >>> from lib.text import bert_tokenizer
        >>> bert_tokenizer().encode_batch(["a dog", "cats"])
        [[1037, 3899], [8870]]
        """
        texts = checks.strings("texts", texts)
        for text in texts:
            _check_text("texts", text)
        encodings = self.backend.encode_batch(texts, add_special_tokens=add_special_tokens)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Iterable[int] | Int[Tensor, " T"], *, skip_special_tokens: bool = False) -> str:
        """The text of `ids`; byte-level BPE gives back exactly what was encoded, WordPiece in lower case.

        Raises ValueError for an id outside the vocabulary.

        >>> from lib.text import bert_tokenizer
        >>> bert_tokenizer().decode([2026, 3899, 2003, 103, 1012])
        'my dog is [MASK].'
        """
        ids = torch.as_tensor(ids if isinstance(ids, Tensor) else list(ids), dtype=torch.long)
        checks.ids_below(self.vocab_size, ids=ids)
        return self.backend.decode(ids.tolist(), skip_special_tokens=skip_special_tokens)

    def __repr__(self) -> str:
        return f"Tokenizer({type(self.backend.model).__name__}, vocab_size={self.vocab_size})"

    @cached_property
    def vocab_size(self) -> int:
        """How many tokens there are, special ones included."""
        return self.backend.get_vocab_size()

    def id_of(self, token: str) -> int:
        """The id of `token`, written as in the vocabulary ("##ing", "Ġthe").

        Raises ValueError if there is none.

        >>> from lib.text import bert_tokenizer
        >>> bert_tokenizer().id_of("[MASK]")
        103
        """
        token_id = self.backend.token_to_id(token)
        if token_id is None:
            raise ValueError(f"token {token!r} is not in the vocabulary of {self.vocab_size:,} tokens")
        return token_id

    def token_of(self, token_id: int) -> str:
        """The token with this id. Raises ValueError for an id outside the vocabulary.

        >>> from lib.text import bert_tokenizer
        >>> bert_tokenizer().token_of(103)
        '[MASK]'
        """
        checks.whole("token_id", token_id, 0, self.vocab_size - 1)
        token = self.backend.id_to_token(token_id)
        if token is None:
            raise ValueError(f"token_id must be that of a token, got {token_id}: the vocabulary has a hole there")
        return token

    @cached_property
    def special_ids(self) -> tuple[int, ...]:
        """The ids of the tokens that stand for no text ([PAD], <|endoftext|>, ...), in order."""
        added = self.backend.get_added_tokens_decoder()
        return tuple(sorted(token_id for token_id, token in added.items() if token.special))

    @property
    def pad_id(self) -> int | None:
        return self._role("pad")

    @property
    def unk_id(self) -> int | None:
        return self._role("unk")

    @property
    def cls_id(self) -> int | None:
        return self._role("cls")

    @property
    def sep_id(self) -> int | None:
        return self._role("sep")

    @property
    def mask_id(self) -> int | None:
        return self._role("mask")

    @property
    def bos_id(self) -> int | None:
        return self._role("bos")

    @property
    def eos_id(self) -> int | None:
        return self._role("eos")

    def word_ids(self, ids: Sequence[int] | Int[Tensor, "*B T"]) -> Int[Tensor, "*B T"]:
        """The number of the word that each WordPiece belongs to, counted within its row; -1 for special tokens.

        A piece that begins with "##" continues the word before it (at the start of a row, or after a special
        token, there is none before it, and it counts as a word of its own). Raises ValueError for an id
        outside the vocabulary, or for a tokenizer that is no WordPiece.

        >>> from lib.text import bert_tokenizer
        >>> bert = bert_tokenizer()
        >>> bert.word_ids(bert.encode("unmask words", add_special_tokens=True)).tolist()
        [-1, 0, 0, 0, 1, -1]
        """
        ids = torch.as_tensor(ids, dtype=torch.long)
        checks.ids_below(self.vocab_size, ids=ids)
        special = self._is_special.to(ids.device)[ids]
        after_special = special.roll(1, -1)
        after_special[..., :1] = True
        begins = (after_special | ~self._continues.to(ids.device)[ids]) & ~special
        return (begins.cumsum(-1) - 1).masked_fill(special, -1)

    def render_chat(self, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool = True) -> str:
        """The messages ({"role": ..., "content": ...}) as the one string that the chat model was trained on.

        Raises ValueError if the tokenizer has no chat template.

        >>> from lib.text import smollm2_tokenizer
        >>> print(smollm2_tokenizer().render_chat([{"role": "system", "content": "Be brief."}]))
        <|im_start|>system
        Be brief.<|im_end|>
        <|im_start|>assistant
        <BLANKLINE>
        """
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        if self.chat_template is None:
            raise ValueError("this tokenizer has no chat_template: it does not belong to a chat model")
        jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)  # as transformers sets it
        template = jinja.from_string(self.chat_template)
        return template.render(messages=messages, add_generation_prompt=add_generation_prompt)

    def save(self, path: Path | str) -> None:
        """Write the tokenizer as JSON that `Tokenizer.load`, `tokenizers` and `transformers` read.

        The chat template, if any, is not part of that format and is not written.
        """
        with atomic_write(path) as file:
            file.write(self.backend.to_str(pretty=True))

    @classmethod
    def load(cls, path: Path | str) -> "Tokenizer":
        """Read what `save` wrote. Raises FileNotFoundError, or ValueError if the file is no tokenizer.

        >>> import tempfile
        >>> from lib.text import train_bpe
        >>> path = Path(tempfile.mkdtemp()) / "tokenizer.json"
        >>> train_bpe(["a b a b"], 300).save(path)
        >>> Tokenizer.load(path).eos_id
        0
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            return cls(tokenizers.Tokenizer.from_str(text))
        except Exception as error:  # the library raises a bare Exception
            raise ValueError(f"path {Path(path).name!r} holds no tokenizer: {error}") from error

    @cached_property
    def _is_special(self) -> Tensor:
        flags = torch.zeros(self.vocab_size, dtype=torch.bool)
        flags[list(self.special_ids)] = True
        return flags

    @cached_property
    def _continues(self) -> Tensor:
        if not isinstance(self.backend.model, WordPiece):
            raise ValueError("word_ids needs a WordPiece tokenizer, whose '##' marks that a word continues")
        return torch.tensor([self.token_of(i).startswith("##") for i in range(self.vocab_size)])

    def _role(self, role: str) -> int | None:
        ids = (self.backend.token_to_id(token) for token in _ROLES[role])
        return next((token_id for token_id in ids if token_id is not None), None)


def _check_text(name: str, text: str) -> None:
    checks.instance(name, text, str)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} must be valid Unicode, got {error.object[error.start]!r} alone") from error
