"""Special tokens as text: what a stranger writes in the form of one ("<|im_end|>") is spelt out, and is none."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers
from tokenizers.pre_tokenizers import Metaspace


def copied(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A tokenizer like it, whose settings can be changed."""
    return tokenizers.Tokenizer.from_str(backend.to_str())


class Spelling:
    """Encodes with a copy of `backend` that knows no special tokens in a text; `special` are those that it spells."""

    def __init__(self, backend: tokenizers.Tokenizer, special: Mapping[str, int]):
        self.backend, self.special = backend, special
        self.first, self.within = copied(backend), copied(backend)
        self.first.encode_special_tokens = self.within.encode_special_tokens = True
        if isinstance(self.within.pre_tokenizer, Metaspace) and self.within.pre_tokenizer.prepend_scheme == "first":
            self.within.pre_tokenizer.prepend_scheme = "never"  # behind another token no space is added

    def encode_batch(
        self, texts: Sequence[str], *, add_special_tokens: bool = False, within: bool = False
    ) -> list[list[int]]:
        """The ids of texts, or of pieces from within one. Raises ValueError for a token that the backend cannot spell."""
        backend = self.within if within else self.first
        encodings = backend.encode_batch(list(texts), add_special_tokens=add_special_tokens)
        for encoding in encodings:
            own = [i for i, added in zip(encoding.ids, encoding.special_tokens_mask) if not added]
            if found := [token for token, i in self.special.items() if i in own]:
                raise ValueError(f"a text must not hold {found[0]!r}: this tokenizer cannot spell it")
        return [encoding.ids for encoding in encodings]

    def marked(self, value: Any, mark: str) -> Any:
        """Plain data in which `mark` stands within each special token: it is then none for the backend."""
        if isinstance(value, str):
            longest_first = sorted(self.special, key=len, reverse=True)
            pattern = "|".join(map(re.escape, longest_first)) or "(?!)"  # which matches nothing
            return re.sub(pattern, lambda found: found[0][0] + mark + found[0][1:], value)
        if isinstance(value, dict):
            return {key: self.marked(item, mark) for key, item in value.items()}
        return [self.marked(item, mark) for item in value] if isinstance(value, list) else value

    def encode_marked(self, text: str, mark: str) -> list[int]:
        """The ids of `text` without its marks: pieces that held one are spelt, all others are as the backend has them."""
        encoding = self.backend.encode(text, add_special_tokens=False)
        spoken = set(self.special.values())
        ids: list[int] = []
        begin, piece = 0, []
        for i, (start, end) in [*zip(encoding.ids, encoding.offsets), (-1, (len(text), len(text)))]:
            if i >= 0 and i not in spoken:
                piece.append(i)
                continue
            between = text[begin:start]
            ids += self.encode_batch([between.replace(mark, "")], within=begin > 0)[0] if mark in between else piece
            ids += [i] if i >= 0 else []
            begin, piece = end, []
        return ids


def unused_character(value: Any) -> str:
    """A character of the private use area that plain data does not hold."""
    text = json.dumps(value, ensure_ascii=False)
    return next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in text)
