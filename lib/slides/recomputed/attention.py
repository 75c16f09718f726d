"""Claims of the slides of 01_attention: softmax and sigmoid, masks, the three architectures."""

from decimal import Decimal, localcontext

import torch

from lib.kernels import argmax_onehot, causal_mask, cross_entropy, sigmoid, softmax
from lib.models import Decoder, Encoder, EncoderDecoder, TransformerConfig, count_parameters
from lib.slides.registry import Measured, recompute
from lib.slides.sizes import parse_size
from lib.slides.tables import load_table
from lib.text import mask_tokens

TOKENS = 6  # "The cat sat on the mat"


@recompute("A01")
def softmax_example() -> tuple[float, ...]:
    """softmax(1, 2, 8)."""
    return tuple(softmax(_numbers(1, 2, 8)).tolist())


@recompute("A02")
def argmax_examples() -> tuple[float, ...]:
    """argmax(1, 2, 8) and argmax(0, 3, 3) as vectors in which ties share the 1."""
    return (*argmax_onehot(_numbers(1, 2, 8)).tolist(), *argmax_onehot(_numbers(0, 3, 3)).tolist())


@recompute("A03")
def sigmoid_identities() -> Measured:
    """Whether the three forms of the sigmoid agree, and whether both forms of its derivative agree with autograd."""
    x = torch.linspace(-30, 30, 1201, dtype=torch.float64, requires_grad=True)
    y = sigmoid(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    x, y = x.detach(), y.detach()
    forms = (1 / (1 + torch.exp(-x)), 1 - sigmoid(-x), (torch.tanh(x / 2) + 1) / 2)
    slopes = (torch.exp(-x) / (1 + torch.exp(-x)) ** 2, y * (1 - y))
    worst = max(float((a - b).abs().max()) for b, others in ((y, forms), (slope, slopes)) for a in others)
    words = f"largest difference on [-30, 30]: {worst:.1e}; slope at 0: {slope[600].item():g}"
    return Measured(worst < 1e-14, words)


@recompute("F08")
def sigmoid_reaches_its_ends() -> Measured:
    """Whether the sigmoid takes the value 0 or 1 anywhere, computed with 500 digits."""
    with localcontext() as context:
        context.prec = 500
        reaches = any(1 / (1 + Decimal(-x).exp()) in (0, 1) for x in (-1000, -37, 37, 1000))
    first = next(x for x in range(100) if sigmoid(torch.tensor(float(x), dtype=torch.float64)) == 1)
    return Measured(reaches, f"never, but float64 rounds it to 1 from x = {first} on")


@recompute("F09")
def softmax_is_a_loss() -> Measured:
    """Whether softmax, like a loss, gives one number per example."""
    scores = _numbers(1, 2, 8).requires_grad_()
    p = softmax(scores)
    loss = cross_entropy(scores[None], torch.tensor([2]))
    (slope,) = torch.autograd.grad(loss, scores)
    gap = float((slope - (p.detach() - _numbers(0, 0, 1))).abs().max())
    words = f"softmax(1, 2, 8) is {p.numel()} numbers; the loss, cross-entropy, is {loss.item():.5f}"
    return Measured(p.ndim == 0, f"{words}, its slope p - y to {gap:.0e}")


@recompute("W13a")
def softmax_is_a_distribution() -> Measured:
    """Whether softmax of any scores, small or huge, lies between 0 and 1 and sums to 1."""
    scores = torch.randn(1000, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p = torch.cat([softmax(scores * size) for size in (0.01, 1.0, 100.0, 1e4)])
    gap = float((p.sum(dim=-1) - 1).abs().max())
    holds = bool(((p >= 0) & (p <= 1)).all()) and gap < 1e-12
    return Measured(holds, f"{len(p):,} rows of {p.shape[1]}; their sums differ from 1 by {gap:.0e} at most")


@recompute("W13b")
def softmax_approaches_argmax() -> Measured:
    """Whether softmax of c z comes closer to W13's arg max of z with every larger c, with a gradient at each."""
    gaps, slopes = [], []
    for factor in (1, 2, 4, 8, 16):
        z = _numbers(0, 3, 3).requires_grad_()
        p = softmax(factor * z)
        gaps.append((p.detach() - argmax_onehot(z.detach())).abs().max().item())
        slopes.append(torch.autograd.grad(p[0], z)[0].abs().max().item())
    holds = all(after < before for before, after in zip(gaps, gaps[1:])) and gaps[-1] < 1e-12 and min(slopes) > 0
    words = "(0, 3, 3) times 1, 2, 4: off by " + ", ".join(f"{gap:.1g}" for gap in gaps[:3])
    return Measured(holds, words)


@recompute("A60")
def allowed_pairs() -> tuple[int, int]:
    """How many (query, key) pairs attention uses in an encoder and in a decoder, counted in their maps."""
    ids = torch.arange(TOKENS)[None]
    full, causal = (model.attention_maps(ids)[0][0, 0] for model in (_encoder(), _decoder()))
    return int((full > 0).sum()), int((causal > 0).sum())


@recompute("F30")
def only_the_left_context() -> Measured:
    """Whether the causal mask allows only positions strictly to the left."""
    itself = int(causal_mask(TOKENS).diagonal().sum())
    return Measured(itself == 0, f"{itself} of {TOKENS} tokens attend to themselves")


@recompute("W22a")
def past_and_itself() -> bool:
    """Whether the causal mask allows the past and the token itself, and nothing else."""
    return all(
        bool(allowed) == (key <= query)
        for query, row in enumerate(causal_mask(TOKENS)) for key, allowed in enumerate(row)
    )  # fmt: skip


@recompute("W07a")
def context_in_all_layers() -> bool:
    """Whether every layer of a BERT attends to both sides, and every layer of a GPT only to the left."""
    ids = torch.arange(TOKENS)[None]
    both_ways = all(bool((layer > 0).all()) for layer in _encoder().attention_maps(ids))
    left = causal_mask(TOKENS)
    left_only = all(bool(((layer > 0) == left).all()) for layer in _decoder().attention_maps(ids))
    return both_ways and left_only


@recompute("F24a")
def name_of_the_objective() -> str:
    """The initials of what W05 calls "Masked language model"."""
    return "".join(word[0] for word in ["Masked", "language", "model"]).upper()


@recompute("F24b")
def mlm_needs_labelled_examples() -> Measured:
    """Whether masked language modelling needs labels besides the text, as fine-tuning does."""
    ids = torch.randint(5, 100, (8, 64), generator=torch.Generator().manual_seed(0))
    labels = mask_tokens(ids, mask_id=4, vocab_size=100, generator=torch.Generator().manual_seed(1)).labels
    selected = labels != -100
    from_text = bool((labels[selected] == ids[selected]).all())
    return Measured(not from_text, f"all {int(selected.sum())} labels are tokens of the text itself")


@recompute("F26")
def vectors_of_an_encoder() -> int:
    """How many vectors an encoder passes to the decoder for a sentence of six tokens."""
    return _encoder_decoder().encode(torch.arange(TOKENS)[None])[0].shape[0]


@recompute("C40a")
def encoder_and_decoder_roles() -> bool:
    """Whether the decoder sees the whole source, and of its own text only what came before."""
    model = _encoder_decoder()
    source, target = torch.arange(TOKENS)[None], torch.arange(TOKENS)[None] + 1
    logits = model(source, target)
    later, other_source = target.clone(), source.clone()
    later[0, 3], other_source[0, -1] = 0, 0
    unchanged = torch.isclose(model(source, later), logits).all(dim=-1)[0]
    by_source = torch.isclose(model(other_source, target), logits).all(dim=-1)[0]
    return unchanged.tolist() == [True] * 3 + [False] * 3 and not by_source.any()


@recompute("X08")
def llama_is_closed() -> Measured:
    """Whether C28's table leaves the architecture open: if not, it reproduces the sizes in Llama 3's names."""
    counts = {}
    for row in load_table("llama3_arch").itertuples():
        counts[row.params] = count_parameters(TransformerConfig(
            architecture="decoder", vocab_size=row.vocabulary, d_model=row.model_dim, num_layers=row.layers,
            num_heads=row.attention_heads, num_kv_heads=row.kv_heads, d_ff=row.ffn_dim, norm="rmsnorm",
            activation="silu", gated=True, bias=False, position="rotary", rope_theta=float(row.rope_theta),
            tie_embeddings=False))  # fmt: skip
    rebuilt = all(abs(count / parse_size(name) - 1) < 0.01 for name, count in counts.items())
    return Measured(not rebuilt, "; ".join(f"{name}: {count:,}" for name, count in counts.items()))


def _numbers(*values: int | float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _config(architecture: str) -> TransformerConfig:
    return TransformerConfig(
        architecture=architecture, vocab_size=16, d_model=16, num_layers=2, num_heads=2, d_ff=32, max_positions=16
    )


def _encoder() -> Encoder:
    return Encoder(_config("encoder"), generator=torch.Generator().manual_seed(0)).eval()


def _decoder() -> Decoder:
    return Decoder(_config("decoder"), generator=torch.Generator().manual_seed(0)).eval()


def _encoder_decoder() -> EncoderDecoder:
    model = EncoderDecoder(_config("encoder_decoder"), generator=torch.Generator().manual_seed(0))
    return model.double().eval()  # in float64, so that "unchanged" and "changed a little" are far apart
