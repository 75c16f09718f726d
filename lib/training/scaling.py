"""The scaling sweep: one small decoder for each size, amount of text and seed, each trained on every token once.

Kaplan et al. (2020) and Hoffmann et al. (2022) at the size of a laptop. The text is Wikipedia's in `data/text`, with a
vocabulary of 512 pieces, so that most parameters are in the blocks, as they are in large models. No run sees a window
twice, so the tokens that it was trained on are also its amount of data (D), and every run's learning rate falls to
zero at its own end: stopping a longer run early would not be the same (Hoffmann et al. 2022, section 3.1).
"""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from lib import checks
from lib.models import Decoder, TransformerConfig, count_parameters
from lib.text import load_corpus, train_bpe
from lib.training.fit import FitSettings, History, fit
from lib.training.recipes import fixed_loss, next_token_loss, token_stream

VOCAB_SIZE = 512
LENGTH = 64  # tokens of a window, and of the context
BATCH = 8  # windows of an update: 512 tokens
RATE_TIMES_WIDTH = 0.64  # the learning rate is this over D; the best of several, tried at widths 16 to 224

SIZES = ((1, 16), (1, 32), (2, 32), (2, 48), (2, 64), (3, 96), (4, 128), (5, 176), (6, 224))
"""(layers, width) of the grid: 3 thousand to 3.6 million non-embedding parameters."""
TOKENS = (59_392, 118_784, 237_568, 475_136, 950_272)
"""Tokens of the grid: the last is the whole text, and each is half the next."""
SEEDS = 3
"""Runs of each size and amount of text; the seed draws the weights, the windows and their order."""


@dataclass(frozen=True)
class ScalingPoint:
    """One run: everything that decides its result."""

    num_layers: int
    d_model: int
    tokens: int  # D, trained on once each; a multiple of 512
    seed: int
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("num_layers", "d_model", "tokens"):
            checks.whole(name, getattr(self, name))
        if self.tokens % (BATCH * LENGTH):
            raise ValueError(f"tokens must be whole batches of {BATCH * LENGTH}, got {self.tokens}")

    def config(self) -> TransformerConfig:
        """A decoder in Llama's manner (pre-norm, rotary, no biases) with heads 16 wide."""
        return TransformerConfig(
            architecture="decoder", position="rotary", norm="rmsnorm", bias=False, vocab_size=VOCAB_SIZE,
            d_model=self.d_model, num_layers=self.num_layers, num_heads=max(1, self.d_model // 16),
            d_ff=4 * self.d_model, max_positions=LENGTH, init_std=self.d_model**-0.5,
        )  # fmt: skip

    def settings(self) -> FitSettings:
        """One pass over the tokens, a short warm-up, then a cosine to zero."""
        steps = self.tokens // (BATCH * LENGTH)
        return FitSettings(
            steps=steps, learning_rate=RATE_TIMES_WIDTH / self.d_model, warmup_steps=min(100, steps // 10), seed=self.seed
        )  # fmt: skip


def scaling_grid(profile: str = "cpu") -> tuple[ScalingPoint, ...]:
    """The runs of a profile, the longest first.

    "cpu": nine sizes, five amounts of text and three seeds, half an hour or an hour on two cores; "gpu": three sizes
    more, up to 85 million parameters.

    Raises ValueError for another profile.

    >>> len(scaling_grid("cpu")), scaling_grid("cpu")[0].num_layers
    (135, 6)
    """
    checks.one_of("profile", profile, ("cpu", "gpu"))
    device, sizes = ("cpu", SIZES) if profile == "cpu" else ("cuda", (*SIZES, (8, 384), (10, 592), (12, 768)))
    points = [
        ScalingPoint(layers, width, tokens, seed, device)
        for layers, width in sizes
        for tokens in TOKENS
        for seed in range(SEEDS)
    ]
    return tuple(sorted(points, key=lambda p: -p.num_layers * p.d_model**2 * p.tokens))


def train_point(point: ScalingPoint, *, show_progress: bool = False) -> dict[str, float | int | str]:
    """Train one decoder on text that is all new, and return what the sweep keeps of it.

    `parameters`: N without the embedding (Kaplan et al. count so); `all_parameters`: with it; `loss`: nats per token on
    held-out Wikipedia text; `loss_elsewhere`: on the documentation of Python, which is another kind of text; `curve`:
    "tokens:loss" pairs, the training loss averaged over the updates since the pair before (no token is seen twice, so
    it is a loss on new text); `learning_rate`, `steps`, `seconds` and `machine` for the record.

    >>> row = train_point(ScalingPoint(num_layers=1, d_model=16, tokens=2048, seed=0))
    >>> row["parameters"], row["steps"], row["loss"] < 6.6
    (3120, 4, True)
    """
    if point.device != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device {point.device!r} is not available; the profile for this machine is 'cpu'")
    train, _, elsewhere = (part.to(point.device) for part in scaling_data())
    if point.tokens > train.numel():
        raise ValueError(f"tokens must be at most {train.numel():,}, what the text has; got {point.tokens:,}")
    settings = point.settings()
    model, history, row = train_decoder(point, settings, one_pass(train, BATCH), show_progress)
    with torch.no_grad():
        other = fixed_loss(next_token_loss, elsewhere.split(64))(model.eval())
    return {
        **{name: row[name] for name in ("parameters", "all_parameters", "loss")},
        "loss_elsewhere": round(other, 4),
        "learning_rate": round(settings.learning_rate, 6),
        "steps": settings.steps,
        "curve": _curve(history),
        **{name: row[name] for name in ("seconds", "machine")},
    }


def train_decoder(
    point: ScalingPoint,
    settings: FitSettings,
    sample: Callable[[torch.Generator], Int[Tensor, "B T"]],
    show_progress: bool,
) -> tuple[Decoder, History, dict[str, float | int | str]]:
    """One run on batches from `sample`: the model, its history, and the columns that every table of runs has."""
    held_out = scaling_data()[1].to(point.device)
    start = torch.Generator().manual_seed(point.seed)
    model = Decoder(point.config(), generator=start).to(point.device)
    started = time.monotonic()
    history = fit(
        model, next_token_loss, sample, settings,
        evaluate=fixed_loss(next_token_loss, held_out.split(64)), show_progress=show_progress,
        description=f"{point.num_layers} layers of {point.d_model}, {point.tokens:,} tokens",
    )  # fmt: skip
    total = count_parameters(model)
    return (
        model,
        history,
        {
            "parameters": total - VOCAB_SIZE * point.d_model,
            "all_parameters": total,
            "loss": round(history.evaluations[-1][1], 4),
            "seconds": round(time.monotonic() - started, 1),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} thread, torch {torch.__version__.split('+')[0]}",
        },
    )


def one_pass(windows: Int[Tensor, "N T"], batch_size: int) -> Callable[[torch.Generator], Int[Tensor, "B T"]]:
    """A `sample_batch` for `fit` that hands out every window once, in an order drawn by the first call.

    For runs without a checkpoint: the place in the order is kept here, not in the run.

    >>> sample = one_pass(torch.arange(4)[:, None], 2)
    >>> generator = torch.Generator().manual_seed(0)
    >>> sorted(torch.cat([sample(generator), sample(generator)]).flatten().tolist())
    [0, 1, 2, 3]
    """
    order: list[Tensor] = []

    def sample(generator: torch.Generator) -> Int[Tensor, "B T"]:
        if not order:
            order.extend(torch.randperm(len(windows), generator=generator).split(batch_size)[::-1])
        return windows[order.pop()]

    return sample


@lru_cache(maxsize=1)
def scaling_data() -> tuple[Tensor, Tensor, Tensor]:
    """Windows (N, 64) of the training text, of 512 held out, and of 256 from the Python documentation."""
    texts = {split: [d.text for d in load_corpus("wikipedia").splits[split]] for split in ("train", "validation")}
    python = [d.text for d in load_corpus("python_docs").splits["train"]]
    tokenizer = train_bpe(texts["train"], VOCAB_SIZE)
    streams = (token_stream(tokenizer, t) for t in (texts["train"], texts["validation"], python))
    train, validation, other = (s[: len(s) // LENGTH * LENGTH].view(-1, LENGTH) for s in streams)
    return train, validation[:: max(1, len(validation) // 512)][:512], other[:: max(1, len(other) // 256)][:256]


def _curve(history: History, points: int = 16) -> str:
    """The training loss at `points` places that grow by equal factors, each the mean since the place before."""
    steps = len(history.loss)
    ends = sorted({round(steps ** (k / points)) for k in range(1, points + 1)})
    pairs = (
        f"{end * BATCH * LENGTH}:{sum(history.loss[start:end]) / (end - start):.3f}"
        for start, end in zip([0, *ends], ends)
    )
    return " ".join(pairs)
