"""Weights of `transformers` models in our classes: eight families, checked key by key."""

import os.path
import re
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from lib.models.pretrained_configs import as_attributes, config_from_transformers
from lib.models.pretrained_heads import as_found, build, same
from lib.models.pretrained_maps import COPIES, Table
from lib.models.pretrained_state import fill_from_copies, is_constant, read_state

__all__ = ["config_from_transformers", "load_transformers"]


def load_transformers(source: nn.Module | Mapping[str, Any], hf_config: Any = None) -> nn.Module:
    """Our model, in `eval()`, that computes what a model of `transformers` computes.

    `source` is such a model or its state dict, then with `hf_config` (or the dict of its config.json). Keys may
    begin with "module." or "_orig_mod.", norms be called gamma and beta, and of a tied matrix one copy is enough.
    Weights are copied and keep their dtype; a file of several dtypes is brought to the widest (T5 in float16 has
    `wo` in float32).

    The result is an `Encoder` (a T5 without decoder too), `Decoder` or `EncoderDecoder`, or what the head makes of
    it: `MaskedLM`, `PreTrainingModel`, `SequenceClassifier`, `TokenClassifier` or `SpanExtractor`. A BERT without
    pooler gives an encoder without one, a pooler that its head does not read is left out, and a decoder under a
    classifier has no output layer of its own. Unlike in their `forward`, positions of a padded batch are counted
    over its real tokens (as their `generate` does), so that padding changes nothing.
    Raises ValueError naming the keys that are missing, unexpected or misshapen, NaN or infinite weights, or an
    unsupported option; TypeError for weights that are no floating-point numbers (int8, float8).

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> theirs = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=8, n_embd=4, n_layer=1, n_head=2))
    >>> load_transformers(theirs).config.d_model
    4
    """
    hf = as_attributes(hf_config if hf_config is not None else getattr(source, "config", None))
    if hf is None:
        raise ValueError("hf_config must be given with a state dict: it says what the weights belong to")
    config, family = config_from_transformers(hf), hf.model_type
    state = read_state(source, family)
    fill_from_copies(state, family, tied=config.tie_embeddings)
    with torch.device("meta"):
        model, table = build(as_found(config, family, state), family, state, _architecture(source, hf))
    weights = _translate(state, family, model, table)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _architecture(source: Any, hf: Any) -> str:
    """The name of their class; a configuration has it if it was saved with the model."""
    return type(source).__name__ if isinstance(source, nn.Module) else (getattr(hf, "architectures", None) or [""])[0]


def _translate(state: Mapping[str, Tensor], family: str, model: nn.Module, table: Table) -> dict[str, Tensor]:
    """Our state dict out of theirs; every key on either side is accounted for, or named in an error."""
    wanted = model.state_dict()
    sources = _sources(table, wanted)
    used = {key for keys in sources.values() for key in keys}
    copies = COPIES[family]
    extra = [key for key in sorted(state.keys() - used) if not is_constant(key)]
    problems = _named("missing", sorted(used - state.keys()))
    problems += _named("unexpected", unexpected := [key for key in extra if key not in copies])
    if len(problems) == 2 and (prefix := _common_prefix(unexpected)):
        problems.append(f"every unexpected key begins with {prefix!r}")
    untrue = [key for key in extra if key in copies and not same(state[key], state.get(copies[key]))]
    problems += [f"{key} differs from {copies[key]}, though the configuration ties them" for key in untrue]
    weights = {}
    for ours, theirs in sources.items():
        if all(key in state for key in theirs):
            weights[ours] = [_ours(state[key], ours, family) for key in theirs]
            problems += _misshapen(theirs, weights[ours], wanted[ours])
    if problems:
        shown = "; ".join(problems[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise ValueError(f"the state dict is not that of this {family} configuration: {shown}")
    widest = reduce(torch.promote_types, {state[key].dtype for key in used})
    return {ours: torch.cat(parts).to(widest) for ours, parts in weights.items()}  # cat copies, also a single part


def _ours(part: Tensor, ours: str, family: str) -> Tensor:
    if family == "gpt2" and "stack.blocks" in ours and part.ndim == 2:
        return part.mT  # Conv1D: Linear transposed
    return part.flatten() if ours == "logits_bias" else part


def _sources(table: Table, wanted: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """For each of our keys, the keys of theirs that it is made of."""
    found = {"logits_bias": ["final_logits_bias"]} if "logits_bias" in wanted else {}
    for key in wanted.keys() - found.keys():
        module, _, kind = key.rpartition(".")
        layer = re.search(r"\.(\d+)\.", module)
        general = re.sub(r"\.\d+\.", ".{i}.", module)
        found[key] = [f"{part}.{kind}".replace("{i}", layer[1] if layer else "") for part in table[general]]
    return found


def _named(what: str, keys: list[str], most: int = 4) -> list[str]:
    if not keys:
        return []
    return [f"{what} {', '.join(keys[:most])}" + (f" and {len(keys) - most} more" if len(keys) > most else "")]


def _common_prefix(keys: Iterable[str]) -> str:
    """What all keys begin with, up to a point."""
    return os.path.commonprefix(list(keys)).rpartition(".")[0]


def _misshapen(keys: list[str], parts: list[Tensor], wanted: Tensor) -> list[str]:
    fits = all(part.shape[1:] == wanted.shape[1:] for part in parts) and all(part.ndim for part in parts)
    if fits and sum(part.shape[0] for part in parts) == wanted.shape[0]:
        return []
    got = ", ".join(f"{key} {tuple(part.shape)}" for key, part in zip(keys, parts, strict=True))
    return [f"misshapen {got}: expected {tuple(wanted.shape)} in all"]
