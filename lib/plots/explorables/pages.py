"""The numbers that each explorable shows, computed by `lib`: one function for each page, its result ready for JSON."""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from lib.accounting.activations import activation_bytes
from lib.accounting.cache import kv_cache_bytes
from lib.accounting.memory import MEMORY_RECIPES
from lib.accounting.parameters import parameter_breakdown
from lib.accounting.scaling import BESIROGLU
from lib.models import TransformerConfig, load_minilm, load_smollm2, preset
from lib.text import bert_tokenizer, smollm2_tokenizer

PROMPTS = ("The capital of France is", "Twinkle, twinkle, little", "My favourite food is")
LIKELIEST = 200  # tokens of a prompt that the page has

SENTENCE = "the woman at the market bought some fresh bread because she was hungry ."
HEADS = {"subject and verb": (2, 3), "verb and object": (3, 1), "pronoun and noun": (1, 3)}
"""The heads (layer, head), from 0, that lecture 01 chooses on 12 sentences for each relation."""

MODELS = {
    "SmolLM2 135M": "smollm2-135m", "GPT-2": "gpt-2", "GPT-2 XL": "gpt-2-xl", "Llama 2 7B": "llama-2-7b",
    "Llama 2 13B": "llama-2-13b", "Llama 2 70B": "llama-2-70b", "Llama 3 8B": "llama-3-8b", "Llama 3 70B": "llama-3-70b",
    "Llama 3 405B": "llama-3-405b", "GPT-3 175B": "gpt-3-175b",
}  # fmt: skip
"""Name on the page: name of the preset."""

RECIPES = {
    "inference-fp32": "weights in fp32", "inference-fp16": "weights in 16 bits", "inference-int8": "weights in int8",
    "inference-int4": "weights in int4", "sgd-fp32": "plain SGD, fp32", "sgd-momentum-fp32": "SGD with momentum, fp32",
    "adam-fp32": "Adam, fp32", "adam-mixed": "Adam, mixed precision", "adam-bf16": "Adam, all in bf16",
    "adam-8bit": "8-bit Adam, mixed precision",
}  # fmt: skip
"""Name of the recipe: its label on the page."""

GPUS = (16, 24, 40, 80, 141)  # GB of 10⁹ bytes
MASKED = (
    "Its rainforest holds many unmapped rivers.",
    "The capital of France is Paris, and the river there is the Seine.",
)
NOT_SHOWN = ("breasts", "cocaine")  # among the random tokens, as a class would only laugh
REPLACE = (0.8, 0.1, 0.1)  # BERT's shares: [MASK], random, kept

ANSWERS = (  # answer, probability by the reference, proxy reward, human's reward: invented
    ("It was fine.", 0.45, 0.5, 0.5),
    ("I did not like it much.", 0.2, -1.0, 0.3),
    ("A good film, if a bit long.", 0.219, 1.0, 1.2),
    ("A great film: the ending moved me.", 0.12, 2.5, 2.4),
    ("Great! Wonderful! Great!", 0.01, 3.2, 0.4),
    ("great great great great great", 0.001, 4.0, -1.5),
)


def next_token() -> dict[str, Any]:
    """SmolLM2's 200 largest logits after each prompt, falling, their tokens and their share of the probability.

    >>> [prompt["tokens"][0] for prompt in next_token()["prompts"]][:2]
    [' Paris', ' star']
    """
    tokenizer, model = smollm2_tokenizer(), load_smollm2()
    prompts = []
    for text in PROMPTS:
        with torch.no_grad():
            logits = model(torch.tensor([tokenizer.encode(text)]))[0, -1].double()  # (V,)
        best = logits.topk(LIKELIEST)
        share = logits.softmax(dim=-1)[best.indices].sum().item()
        tokens = [tokenizer.decode([i]) for i in best.indices.tolist()]
        prompts.append(
            {"text": text, "share": round(share, 6), "tokens": tokens, "logits": _rounded(best.values, digits=4)}
        )
    return {"prompts": prompts}


def will_it_fit() -> dict[str, Any]:
    """Parameters, and bytes per token of activations and cache, of each model; bytes per parameter of each recipe.

    >>> will_it_fit()["models"][3]["cache"]  # Llama 2 7B: 2 · 32 layers · 4,096 numbers · 2 bytes
    524288
    """
    models = [
        {
            "name": name,
            "parameters": sum(parameter_breakdown(config).values()),
            "context": config.max_positions,
            "cache": kv_cache_bytes(config, 1, 1),
            "activations": _activations(config),
        }
        for name, config in ((name, preset(key)) for name, key in MODELS.items())
    ]
    recipes = [
        {
            "name": name,
            "label": label,
            "value_bytes": 4 if name.endswith("fp32") else 2,
            **{part: getattr(MEMORY_RECIPES[name], part) for part in ("weights", "gradients", "optimizer", "master")},
        }
        for name, label in RECIPES.items()
    ]
    return {"models": models, "recipes": recipes, "gpus": list(GPUS)}


def _activations(config: TransformerConfig) -> dict[str, list[int]]:
    """Activations are a · B · T + c · T bytes: [a, c] by bytes per value and recomputation."""
    found = {}
    for size in (4, 2):
        for recompute in (False, True):
            one, two = (
                sum(activation_bytes(config, batch, 1, bytes_per_value=size, recompute=recompute).values())
                for batch in (1, 2)
            )
            found[f"{size}{' recompute' if recompute else ''}"] = [two - one, 2 * one - two]
    return found


def attention_heads() -> dict[str, Any]:
    """Four heads of MiniLM over one sentence: the weights of each word among the other words, rows that sum to 1.

    >>> [(head["layer"], head["head"]) for head in attention_heads()["heads"]]
    [(1, 3), (3, 4), (4, 2), (2, 4)]
    """
    tokenizer = bert_tokenizer()
    ids = [tokenizer.cls_id, *tokenizer.encode(SENTENCE), tokenizer.sep_id]
    with torch.no_grad():
        maps = torch.cat(load_minilm().attention_maps(torch.tensor([ids])))  # (L, H, T, T)
    before = maps[:, :, 2:-1].diagonal(1, 2, 3).mean(dim=-1).flatten().argmax().item()  # looks most at the word before
    chosen = {"the word before": divmod(int(before), maps.shape[1]), **HEADS}
    heads = [
        {"name": name, "layer": layer + 1, "head": head + 1, "weights": _among_words(maps[layer, head])}
        for name, (layer, head) in chosen.items()
    ]
    tokens = [tokenizer.token_of(i) for i in ids[1:-1]]
    return {"tokens": tokens, "start": tokens.index("bread"), "heads": heads}


def _among_words(weights: Tensor) -> list[list[float]]:
    """Without [CLS], [SEP] and the word itself; each row sums to 1 again."""
    words = weights[1:-1, 1:-1].double().fill_diagonal_(0)
    return [_rounded(row) for row in words / words.sum(dim=-1, keepdim=True)]


def masking_dice() -> dict[str, Any]:
    """Two sentences in BERT's tokens, the shares of the fates, and 298 tokens of the vocabulary, evenly spaced.

    >>> masking_dice()["sentences"][0][5:8]
    ['un', '##ma', '##pped']
    """
    tokenizer = bert_tokenizer()
    sentences = [[tokenizer.token_of(i) for i in tokenizer.encode(text, add_special_tokens=True)] for text in MASKED]
    words = [
        token for i in range(tokenizer.vocab_size) if (token := tokenizer.token_of(i)).isascii() and len(token) > 2
    ]
    words = [word for word in words if word.strip("#").isalpha()]
    vocabulary = [word for i in range(300) if (word := words[i * len(words) // 300]) not in NOT_SHOWN]
    return {"texts": list(MASKED), "sentences": sentences, "replace": list(REPLACE), "vocabulary": vocabulary}


def budget() -> dict[str, Any]:
    """The constants of the loss surface L(N, D) that the page reads its losses off: Besiroglu et al. (2024).

    >>> budget()["law"]["alpha"]
    0.3478
    """
    return {"law": asdict(BESIROGLU)}


def reward_and_kl() -> dict[str, Any]:
    """Six answers to one prompt: what the reference gives them, and what reward model and human think of them.

    >>> sum(reward_and_kl()["reference"])
    1.0
    """
    answers, reference, proxy, gold = map(list, zip(*ANSWERS))
    return {"answers": answers, "reference": reference, "proxy": proxy, "gold": gold}


def _rounded(values: Tensor, digits: int = 6) -> list[float]:
    return [round(value, digits) for value in values.tolist()]


PAGES = {
    "next_token": next_token, "will_it_fit": will_it_fit, "attention_heads": attention_heads, "masking_dice": masking_dice,
    "budget": budget, "reward_and_kl": reward_and_kl,
}  # fmt: skip
"""Name of a page: what computes its data."""
