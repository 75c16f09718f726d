"""Which token begins a text, ends it, fills it up: told by the files of a published model, or guessed from the names."""

import json
from pathlib import Path
from typing import Any

ROLES = {  # without a word about it, the first of these that the vocabulary has takes the role
    "pad": ("[PAD]", "<|pad|>", "<|im_end|>", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]",),
    "sep": ("[SEP]",),
    "mask": ("[MASK]", "<mask>"),
    "bos": ("<|im_start|>", "<|endoftext|>", "<s>", "<bos>", "<|begin_of_text|>"),
    "eos": ("<|im_end|>", "<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>"),
}


def beside(path: Path) -> tuple[str | None, dict[str, str | None]]:
    """The chat template and the roles that transformers keeps beside a file named tokenizer.json; else None and {}.

    Raises ValueError if tokenizer_config.json is damaged.
    """
    if path.name != "tokenizer.json":
        return None, {}
    config = _config(path.with_name("tokenizer_config.json"))
    named = {role: config[f"{role}_token"] for role in ROLES if f"{role}_token" in config}
    roles = {role: token["content"] if isinstance(token, dict) else token for role, token in named.items()}
    template = path.with_name("chat_template.jinja")
    if template.exists():
        return template.read_text(encoding="utf-8"), roles
    kept = config.get("chat_template")
    if isinstance(kept, list):  # several, by name
        kept = next((entry["template"] for entry in kept if entry["name"] == "default"), None)
    return kept, roles


def _config(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except ValueError as error:
        raise ValueError(f"{file.name} beside the tokenizer is damaged: {error}") from error
