"""Claims of the slides of 06_autoregressive_objective: chain rule, first factor, last hidden vector."""

import math
from itertools import product

import torch

from lib.kernels import cross_entropy
from lib.models import Decoder, SequenceClassifier, TransformerConfig
from lib.objectives import autoregressive_loss, sequence_log_prob, shift_labels
from lib.slides.registry import Measured, recompute
from lib.slides.tables import example

BOS = 0

GPT1_TEXT_WEIGHT = 0.5  # lambda, Radford et al. 2018, section 4.1


@recompute("A54")
def terms_of_the_sentence() -> int:
    """How many terms log P(The cat sat on the mat) has, given [BOS]."""
    words = example("E3")["text"].split()
    ids = torch.tensor([[BOS, *range(1, len(words) + 1)]])
    return int((shift_labels(ids) != -100).sum())


@recompute("C19a")
def chain_rule_is_a_distribution() -> Measured:
    """Whether the terms add up to log P(x), and P(x) over all x of one length to 1, by enumeration."""
    model = _decoder()
    ids = torch.tensor([(BOS, *word) for word in product(range(4), repeat=3)])
    with torch.no_grad():
        log_p = sequence_log_prob(model(ids), ids)
        terms = [model(ids[:, :t]).log_softmax(-1)[torch.arange(len(ids)), -1, ids[:, t]] for t in (1, 2, 3)]
    total, gap = float(log_p.exp().sum()), float((sum(terms) - log_p).abs().max())
    return Measured(abs(total - 1) < 1e-12 and gap < 1e-12, f"{len(ids)} sequences sum to {total:.12f}")


@recompute("C22a")
def last_vector_sees_all() -> bool:
    """Whether every token changes the last hidden vector, and the last token changes no other vector."""
    model, ids = _decoder(), torch.tensor([[1, 2, 3, 1, 2, 3]])
    with torch.no_grad():
        hidden = model.hidden(ids)[0]
        moved = []  # row t: which vectors change when token t changes
        for position in range(ids.shape[1]):
            changed = ids.clone()
            changed[0, position] = BOS
            moved.append((model.hidden(changed)[0] != hidden).any(dim=-1))
    moves = torch.stack(moved)
    return bool(moves[:, -1].all()) and moves[-1].tolist() == [False] * 5 + [True]


@recompute("F06")
def labels_alone_are_fine_tuned() -> Measured:
    """Whether C22's L2 is GPT-1's objective: eq. 5 of Radford et al. 2018 adds 0.5 L1, the same texts as text."""
    model, ids, label = _decoder(), torch.tensor([[BOS, 1, 2, 3]]), torch.tensor([1])
    classifier = SequenceClassifier(model, 2, "last", generator=torch.Generator().manual_seed(1)).double().eval()
    with torch.no_grad():
        l2 = -cross_entropy(classifier(ids), label).item()
        l1 = sequence_log_prob(model(ids), ids).item()
    objective = l2 + GPT1_TEXT_WEIGHT * l1
    words = f"one example, untrained: {l2:.3f} for its label, {l1:.3f} for its text, {objective:.3f} for both"
    return Measured(objective == l2, words)


@recompute("F21")
def every_factor_has_a_context() -> Measured:
    """Whether every factor of N37's product has a context that a model can read, including i = 0."""
    words = example("E3")["text"].split()
    contexts = [words[:i] for i in range(len(words))]  # w_{0:i-1}
    empty = sum(not context for context in contexts)
    try:
        _decoder()(torch.empty(1, 0, dtype=torch.long))
        refused = ""
    except ValueError as error:
        refused = f"; a decoder answers: {error}"
    return Measured(empty == 0, f"{empty} of {len(contexts)} contexts is empty{refused}")


@recompute("T17a")
def cross_entropy_in_bits() -> tuple[float, float]:
    """H(C; M) of four tokens under a uniform model of eight tokens, and its perplexity 2^H."""
    ids = torch.zeros(1, 1 + 4, dtype=torch.long)  # [BOS] and four tokens
    bits = autoregressive_loss(torch.zeros(1, 5, 8, dtype=torch.float64), ids).item() / math.log(2)
    return bits, 2**bits


def _decoder() -> Decoder:
    config = TransformerConfig(
        architecture="decoder",
        vocab_size=4,
        d_model=16,
        num_layers=2,
        num_heads=2,
        d_ff=32,
        max_positions=8,
        init_std=0.5,
    )
    return Decoder(config, generator=torch.Generator().manual_seed(0)).double().eval()
