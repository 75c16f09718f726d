"""Weights of `transformers` models in our classes: six families, checked key by key."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lib.models.config import TransformerConfig
from lib.models.count import MODELS
from lib.models.heads import MaskedLM
from lib.models.pretrained_configs import config_from_transformers
from lib.models.pretrained_maps import BART, BERT, CONSTANTS, COPIES, GPT2, LLAMA, MLM_HEAD, PREFIX, Table, t5

__all__ = ["config_from_transformers", "load_transformers"]


def load_transformers(source: nn.Module | Mapping[str, Tensor], hf_config: Any = None) -> nn.Module:
    """Our model, in `eval()`, that computes what a model of `transformers` computes.

    `source` is such a model or its state dict, then with `hf_config`; weights are copied and keep their dtype.
    The result is an `Encoder`, `Decoder` or `EncoderDecoder`, or a `MaskedLM` where a BERT or RoBERTa has such a
    head; a BERT without pooler gives an encoder without one. Unlike in their `forward`, positions of a padded
    batch are counted over its real tokens (as their `generate` does), so that padding changes nothing.
    Raises ValueError naming the keys that are missing, extra or misshapen, or an unsupported option.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> theirs = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=8, n_embd=4, n_layer=1, n_head=2))
    >>> load_transformers(theirs).config.d_model
    4
    """
    hf_config = hf_config if hf_config is not None else getattr(source, "config", None)
    if hf_config is None:
        raise ValueError("hf_config must be given with a state dict: it says what the weights belong to")
    config, family = config_from_transformers(hf_config), hf_config.model_type
    state = source.state_dict() if isinstance(source, nn.Module) else source
    state = {key.removeprefix(PREFIX[family]): tensor for key, tensor in state.items()}
    config = _as_found(config, family, state)
    with torch.device("meta"):
        kind = MaskedLM if _has_mlm_head(config, family, state) else MODELS[config.architecture]
        model = kind(config)
    weights = _translate(state, family, model)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _as_found(config: TransformerConfig, family: str, state: Mapping[str, Tensor]) -> TransformerConfig:
    """What a configuration of `transformers` leaves to the model class, read off the keys."""
    if family in ("bert", "roberta"):
        return replace(config, pooler="pooler.dense.weight" in state)
    if family == "bart":
        return replace(config, logits_bias="final_logits_bias" in state)
    if family == "t5":  # transformers 5 ties even 1.1's head; the original has its own
        return replace(config, tie_embeddings=_same(state.get("lm_head.weight"), state.get("shared.weight")))
    return config


def _has_mlm_head(config: TransformerConfig, family: str, state: Mapping[str, Tensor]) -> bool:
    if not state.keys() & {f"{place}.bias" for place in MLM_HEAD.get(family, {}).get("head", ())}:
        return False
    if family == "roberta" and config.activation != "gelu":  # its head knows no other, ours follows config
        raise ValueError(f"a RoBERTa head with the activation {config.activation!r} is not supported: only gelu")
    return True


def _same(copy: Tensor | None, original: Tensor | None) -> bool:
    if copy is None or original is None:
        return True
    return copy.shape == original.shape and torch.equal(copy, original)


def _translate(state: Mapping[str, Tensor], family: str, model: nn.Module) -> dict[str, Tensor]:
    """Our state dict out of theirs; every key on either side is accounted for, or named in an error."""
    wanted = model.state_dict()
    sources = _sources(_table(family, model), wanted)
    used = {key for keys in sources.values() for key in keys}
    problems = [f"missing {key}" for key in sorted(used - state.keys())]
    for key in sorted(state.keys() - used):
        problems += _extra(key, family, state)
    weights = {}
    for ours, theirs in sources.items():
        parts = [state[key] for key in theirs if key in state]
        if family == "gpt2" and ours.startswith("stack.blocks"):
            parts = [part.mT if part.ndim == 2 else part for part in parts]  # Conv1D: Linear transposed
        if ours == "logits_bias":
            parts = [part.flatten() for part in parts]
        if len(parts) == len(theirs):
            problems += _misshapen(theirs, parts, wanted[ours])
            weights[ours] = parts
    if problems:
        shown = "; ".join(problems[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise ValueError(f"the state dict is not that of this {family} configuration: {shown}")
    return {ours: torch.cat(parts) for ours, parts in weights.items()}  # cat copies, also a single part


def _table(family: str, model: nn.Module) -> Table:
    if family == "t5":
        return t5(model.config.gated)
    if isinstance(model, MaskedLM):
        return {f"encoder.{ours}": theirs for ours, theirs in BERT.items()} | MLM_HEAD[family]
    return {"bert": BERT, "roberta": BERT, "gpt2": GPT2, "llama": LLAMA, "bart": BART}[family]


def _sources(table: Table, wanted: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """For each of our keys, the keys of theirs that it is made of."""
    found = {"logits_bias": ["final_logits_bias"]} if "logits_bias" in wanted else {}
    for key in wanted.keys() - found.keys():
        module, _, kind = key.rpartition(".")
        layer = re.search(r"\.(\d+)\.", module)
        general = re.sub(r"\.\d+\.", ".{i}.", module)
        found[key] = [f"{part}.{kind}".replace("{i}", layer[1] if layer else "") for part in table[general]]
    return found


def _extra(key: str, family: str, state: Mapping[str, Tensor]) -> list[str]:
    """What is wrong with a key that nothing was made of: nothing, if it is a constant or a true copy."""
    if any(re.fullmatch(pattern, key) for pattern in CONSTANTS):
        return []
    original = COPIES[family].get(key)
    if original is None:
        return [f"unexpected {key}"]
    if not _same(state[key], state.get(original)):
        return [f"{key} differs from {original}, though the configuration ties them"]
    return []


def _misshapen(keys: list[str], parts: list[Tensor], wanted: Tensor) -> list[str]:
    fits = all(part.shape[1:] == wanted.shape[1:] for part in parts) and all(part.ndim for part in parts)
    if fits and sum(part.shape[0] for part in parts) == wanted.shape[0]:
        return []
    got = ", ".join(f"{key} {tuple(part.shape)}" for key, part in zip(keys, parts, strict=True))
    return [f"misshapen {got}: expected {tuple(wanted.shape)} in all"]
