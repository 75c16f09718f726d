"""How the small models of this course were trained: what takes longer than a minute, as code that anyone can run again.

`python -m lib.course train NAME` runs a recipe and stores its result under data/. The notebooks use the same pieces at
a smaller size, so that the models trained there differ from the shipped ones in training time, not in kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib import checks
from lib.models import Decoder, EncoderDecoder, MaskedLM, TransformerConfig
from lib.objectives import autoregressive_loss, mlm_loss
from lib.text import MaskedBatch, Tokenizer, mask_tokens, pack_tokens, sample_windows
from lib.training.denoising import MARKS, infilling_sampler, pair_loss, text_passages
from lib.training.fit import FitSettings


@dataclass(frozen=True)
class Recipe:
    """One small model: what it is, how long it is trained, on which windows of text."""

    name: str
    kind: str  # "bert" (masked), "gpt" (autoregressive) or "bart" (denoising)
    settings: FitSettings
    vocab_size: int = 4096  # pieces of the tokenizer trained on the same text
    d_model: int = 128
    num_layers: int = 4  # of each side, for "bart"
    num_heads: int = 4
    length: int = 128  # tokens of a window, and the context of the model
    batch_size: int = 32  # windows
    rate: float = 0.15  # masking rate, for "bert" and "bart"
    modern: bool = False  # for "bert": pre-norm and rotary positions, which learn faster (Warner et al. 2024)

    def config(self) -> TransformerConfig:
        """The architecture: post-norm with learned positions as BERT, or pre-norm with rotary ones as Llama.

        Fresh weights of the modern kind spread as 1/√D: with BERT's 0.02, made for a width of 768, attention in so
        narrow a model takes hundreds of updates to find a neighbour.
        """
        sizes = {
            "vocab_size": self.vocab_size,
            "d_model": self.d_model,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "d_ff": 4 * self.d_model,
            "max_positions": self.length,
        }
        if self.kind == "bart":
            sizes |= {"vocab_size": self.vocab_size + MARKS, "max_positions": 2 * (self.length + 1), "pad_id": 1}
            return TransformerConfig(
                architecture="encoder_decoder", position="rotary", norm="rmsnorm", bias=False,
                init_std=self.d_model**-0.5, **sizes,
            )  # fmt: skip
        if self.kind == "bert" and self.modern:
            return TransformerConfig(architecture="encoder", position="rotary", init_std=self.d_model**-0.5, **sizes)
        if self.kind == "bert":
            return TransformerConfig(
                architecture="encoder", norm_position="post", embedding_norm=True, final_norm=False, **sizes
            )
        return TransformerConfig(architecture="decoder", position="rotary", norm="rmsnorm", bias=False, **sizes)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "bert-wiki-small",
            "bert",
            FitSettings(steps=2000, learning_rate=3e-3, warmup_steps=100, eval_every=200),
            vocab_size=2048,
            length=64,
            rate=0.4,  # more predictions from each batch; data/experiments/masking_rate.csv has the comparison
            modern=True,
        ),
        Recipe(
            "gpt-wiki-small",
            "gpt",
            FitSettings(steps=1400, learning_rate=3e-3, warmup_steps=100, eval_every=200),
            batch_size=16,
        ),
        Recipe(
            "bart-wiki-small",
            "bart",
            FitSettings(steps=5000, learning_rate=3e-3, warmup_steps=100, eval_every=500),
            vocab_size=2048,
            num_layers=2,
            length=63,
            batch_size=16,
            rate=0.3,
        ),
    )
}
"""The models that are shipped in data/models/."""

MASKING_RATE = Recipe(
    "masking-rate",
    "bert",
    FitSettings(steps=2500, learning_rate=3e-3, warmup_steps=100),
    vocab_size=1000,
    d_model=64,
    num_layers=2,
    length=32,
    modern=True,
)
"""The runs behind data/experiments/masking_rate.csv, each with a rate and a seed of its own."""


def token_stream(tokenizer: Tokenizer, texts: Sequence[str]) -> Int[Tensor, "M"]:
    """All texts as one stream of ids, each ended by the end-of-sequence (or [SEP]) token.

    >>> from lib.text import bert_tokenizer
    >>> bert_tokenizer().decode(token_stream(bert_tokenizer(), ["a river", "a bank"]).tolist())  # doctest: +SKIP
    """
    end = tokenizer.eos_id if tokenizer.eos_id is not None else tokenizer.sep_id
    if end is None:
        raise ValueError("tokenizer needs an end-of-sequence or [SEP] token to keep documents apart")
    documents = tokenizer.encode_batch(list(texts))
    if not any(documents):
        raise ValueError("texts must hold at least one token")
    return torch.tensor([token for document in documents for token in (*document, end)])


def mlm_sampler(
    stream: Int[Tensor, "M"], tokenizer: Tokenizer, *, batch_size: int, length: int, rate: float = 0.15
) -> Callable[[torch.Generator], MaskedBatch]:
    """Batches for `fit`: windows from anywhere in the stream, masked afresh each time (slides C08, W11)."""

    def sample(generator: torch.Generator) -> MaskedBatch:
        windows = sample_windows(stream, batch_size, length, generator=generator)
        return mask_tokens(
            windows,
            mask_id=tokenizer.mask_id,
            vocab_size=tokenizer.vocab_size,
            special_ids=(*tokenizer.special_ids, *tokenizer.hole_ids),
            rate=rate,
            generator=generator,
        )

    return sample


def masked_loss(model: nn.Module, batch: MaskedBatch) -> Float[Tensor, ""]:
    """The MLM loss of a batch; the output layer, the costliest part of a small model, runs only on selected positions."""
    chosen = batch.labels != -100
    hidden = model.encoder(batch.input_ids)[chosen].unsqueeze(0)  # (1, M, D)
    return mlm_loss(model.head(hidden), batch.labels[chosen].unsqueeze(0))


def next_token_loss(model: nn.Module, windows: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
    """The autoregressive loss of a batch of windows (slide C19)."""
    return autoregressive_loss(model(windows), windows)


def fixed_loss(loss_fn: Callable[[nn.Module, Any], Tensor], batches: Sequence[Any]) -> Callable[[nn.Module], float]:
    """An `evaluate` for `fit`: the mean loss over batches that stay the same, so that two evaluations compare."""
    checks.not_empty(batches=batches)
    return lambda model: sum(loss_fn(model, batch).item() for batch in batches) / len(batches)


@dataclass(frozen=True)
class FitInputs:
    """A recipe with its text: everything that `fit` is given."""

    model: nn.Module
    loss_fn: Callable[[nn.Module, Any], Tensor]
    sample_batch: Callable[[torch.Generator], Any]
    evaluate: Callable[[nn.Module], float]


def build(recipe: Recipe, tokenizer: Tokenizer, train: Sequence[str], validation: Sequence[str]) -> FitInputs:
    """The model of `recipe`, freshly drawn from its seed, with its batches and a fixed validation set."""
    checks.one_of("recipe.kind", recipe.kind, ("bert", "gpt", "bart"))
    seed = torch.Generator().manual_seed(recipe.settings.seed)
    if recipe.kind == "bart":
        draw, held_out = (
            infilling_sampler(
                text_passages(texts, tokenizer, recipe.length),
                tokenizer, batch_size=recipe.batch_size, rate=recipe.rate,
            )
            for texts in (train, validation)
        )  # fmt: skip
        once, model = torch.Generator().manual_seed(1), EncoderDecoder(recipe.config(), generator=seed)
        return FitInputs(model, pair_loss, draw, fixed_loss(pair_loss, [held_out(once) for _ in range(16)]))
    streams = [token_stream(tokenizer, texts) for texts in (train, validation)]
    if recipe.kind == "gpt":
        size = {"batch_size": recipe.batch_size, "length": recipe.length}
        model, loss_fn = Decoder(recipe.config(), generator=seed), next_token_loss
        sample = lambda g: sample_windows(streams[0], **size, generator=g)  # noqa: E731
        held_out = list(pack_tokens([streams[1].tolist()], recipe.length, eos_id=tokenizer.eos_id).split(32))
    else:
        size = {"batch_size": recipe.batch_size, "length": recipe.length, "rate": recipe.rate}
        model, loss_fn = MaskedLM(recipe.config(), generator=seed), masked_loss
        sample = mlm_sampler(streams[0], tokenizer, **size)
        once = torch.Generator().manual_seed(1)
        held_out = [mlm_sampler(streams[1], tokenizer, **size)(once) for _ in range(16)]
    return FitInputs(model, loss_fn, sample, fixed_loss(loss_fn, held_out))
