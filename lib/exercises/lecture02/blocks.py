"""An exercise of notebook 02: one block of an encoder–decoder's decoder, built from its parts."""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED

Weights = dict[str, Tensor]


# --- blocks.decoder_block ---------------------------------------------------------------------------------------------
def decoder_block(
    x: Float[Tensor, "B T D"], memory: Float[Tensor, "B S D"], w: Weights, H: int
) -> Float[Tensor, "B T D"]:
    """Causal self-attention, cross-attention to `memory` and feed-forward, each added to the stream (C42; W21)."""
    return _block(x, memory, w, H)


def _norm(x, weight):
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def _attend(x, source, w, H, kind, hide, *, scale=None, split="heads_first", merge=True, project=True, axis=-1):
    """Queries of x, keys and values of `source`; `hide` keeps a query from keys behind its own position."""
    K = x.shape[-1] // H
    shape = (K, H) if split == "interleaved" else (H, K)

    def heads(states, name):
        cut = (states @ w[f"{kind}_{name}"].T).unflatten(-1, shape)
        return cut.permute(0, 3, 1, 2) if split == "interleaved" else cut.transpose(1, 2)

    q, k, v = heads(x, "query"), heads(source, "key"), heads(source, "value")
    scores = q @ k.mT * (K**-0.5 if scale is None else scale(K, x.shape[-1]))
    if hide:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -math.inf)
    mixed = scores.softmax(axis) @ v  # (B, H, T, K)
    if split == "interleaved":
        mixed = mixed.permute(0, 2, 3, 1).flatten(2)
    else:
        mixed = mixed.transpose(1, 2).flatten(2) if merge else mixed.reshape(x.shape)
    return mixed @ w[f"{kind}_output"].T if project else mixed


def _feed(x, w, activation=torch.relu):
    return activation(x @ w["up"].T) @ w["down"].T


def _block(
    x, memory, w, H, *, order=("self", "cross", "feed"), causal=True, cross_causal=False, blind=False, memory_norm=False,
    join="pre", no_sum=(), old_query=False, raw_source=False, activation=torch.relu, **heads,
):  # fmt: skip
    """The block, with a switch for each mistake. `join`: how a sublayer's result comes back into the stream."""
    begin = x
    for kind in order:
        y = x if join in ("post", "no_norm") else _norm(begin if join == "parallel" else x, w[f"{kind}_norm"])
        if kind == "self":
            change = _attend(y, x if raw_source else y, w, H, kind, causal, **heads)
        elif kind == "cross":
            source = _norm(memory, w["cross_norm"]) if memory_norm else memory
            query = _norm(begin, w["self_norm"]) if old_query else y
            change = _attend(query, y if blind else source, w, H, kind, cross_causal, **heads)
        else:
            change = _feed(y, w, activation)
        x = _joined(x, y, change, w[f"{kind}_norm"], "none" if kind in no_sum else join)
    return x


def _joined(x, y, change, norm, join):
    if join == "none":
        return change
    if join == "post":
        return _norm(x + change, norm)
    return y + change if join == "normed_stream" else x + change


def _written_out(x, memory, w, H):
    """The same with PyTorch's own attention."""

    def attention(kind, x, source, causal):
        q, k, v = (
            (states @ w[f"{kind}_{name}"].T).unflatten(-1, (H, -1)).transpose(1, 2)
            for name, states in (("query", x), ("key", source), ("value", source))
        )
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return mixed.transpose(1, 2).flatten(2) @ w[f"{kind}_output"].T

    def norm(name, x):
        return torch.nn.functional.rms_norm(x, x.shape[-1:], w[f"{name}_norm"], eps=1e-5)

    y = norm("self", x)
    x = x + attention("self", y, y, True)
    x = x + attention("cross", norm("cross", x), memory, False)
    return x + _feed(norm("feed", x), w)


def _a_head_at_a_time(x, memory, w, H):
    """Loops over texts and heads, and −10⁹ for −∞."""
    K = x.shape[-1] // H

    def attention(kind, x, source, causal):
        out = torch.zeros_like(x)
        for h in range(H):
            rows = slice(h * K, (h + 1) * K)
            q, k, v = (s @ w[f"{kind}_{n}"][rows].T for n, s in (("query", x), ("key", source), ("value", source)))
            scores = q @ k.T / K**0.5
            if causal:
                scores = scores - 1e9 * torch.ones_like(scores).triu(1)
            out = out + scores.softmax(-1) @ v @ w[f"{kind}_output"][:, rows].T
        return out

    done = []
    for one, read in zip(x, memory):
        y = _norm(one, w["self_norm"])
        one = one + attention("self", y, y, True)
        one = one + attention("cross", _norm(one, w["cross_norm"]), read, False)
        done.append(one + _feed(_norm(one, w["feed_norm"]), w))
    return torch.stack(done)


def _cases(generator):
    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    def weights(D, F):
        names = [f"{kind}_{part}" for kind in ("self", "cross") for part in ("query", "key", "value", "output")]
        w = {name: 1.2 * draw(D, D) / D**0.5 for name in names}
        w |= {f"{kind}_norm": 0.5 + torch.rand(D, generator=generator) for kind in ("self", "cross", "feed")}
        return w | {"up": draw(F, D) / D**0.5, "down": draw(D, F) / F**0.5}

    w = weights(8, 12)
    return [
        case("one text, two heads", 2 * draw(1, 3, 8), draw(1, 5, 8), w, 2),
        case("two texts, as long as their sources", 2 * draw(2, 4, 8), draw(2, 4, 8), w, 2),
        case("a source shorter than the target", 2 * draw(2, 5, 6), draw(2, 2, 6), weights(6, 7), 3),
        case("one head", 2 * draw(1, 4, 4), draw(1, 3, 4), weights(4, 6), 1),
        case("the first token of a target", 2 * draw(2, 1, 8), draw(2, 6, 8), w, 4),
        case("a stream of large numbers", 50 * draw(1, 4, 8), 3 * draw(1, 3, 8), w, 2),
    ]


def _mistake(name, hint, **switches):
    return Misconception(name, partial(_block, **switches), hint)


DECODER_BLOCK = Exercise(
    id="blocks.decoder_block",
    slides=("C42", "W21"),
    points=6,
    minutes=30,
    title="A block that reads another text",
    reference=decoder_block,
    cases=_cases,
    gradient=("x", "memory"),
    accepts=(_written_out, _a_head_at_a_time),
    misconceptions=(
        _mistake(
            "residual_forgotten",
            "What a sublayer computes replaces the stream. It should be added to it: x = x + ….",
            join="none",
        ),
        *(
            _mistake(
                f"{kind}_residual_forgotten",
                f"The result of {layer} replaces the stream. It should be added to it, as those of the other two are: "
                "x = x + ….",
                no_sum=(kind,),
            )
            for kind, layer in (
                ("self", "self-attention"),
                ("cross", "cross-attention"),
                ("feed", "the feed-forward layer"),
            )
        ),
        _mistake(
            "queries_of_the_first_norm",
            "Your cross-attention makes its queries of what self-attention has read. Normalise the stream again, after "
            "self-attention was added, with `cross_norm`.",
            old_query=True,
        ),
        _mistake(
            "keys_of_the_bare_stream",
            "In self-attention your keys and values come from the stream as it is, and only the queries from norm(x). All "
            "three come from norm(x).",
            raw_source=True,
        ),
        _mistake(
            "post_norm",
            "You normalise after the sum, as BERT does. Here the norm comes before the sublayer: x + f(norm(x)).",
            join="post",
        ),
        _mistake(
            "stream_normalised",
            "You add to norm(x), so the stream itself is normalised. The sublayer reads norm(x), and its result is added to x.",
            join="normed_stream",
        ),
        _mistake(
            "no_norm", "Your sublayers read the bare stream. Each reads norm(x), with its own weight.", join="no_norm"
        ),
        _mistake(
            "parallel",
            "All your sublayers read the block's input. Each reads the stream that the one before has left.",
            join="parallel",
        ),
        _mistake(
            "not_causal",
            "In self-attention a target token sees the tokens after it. Hide them: a score above the diagonal is −∞.",
            causal=False,
        ),
        _mistake(
            "cross_attention_causal",
            "You hide part of the source. The whole source is known: cross-attention has no causal mask.",
            cross_causal=True,
        ),
        _mistake(
            "memory_unread",
            "Your cross-attention takes its keys and values from the target. They are made of `memory`, as it is.",
            blind=True,
        ),
        _mistake(
            "memory_normalised",
            "You normalise `memory`. It comes from the encoder's last norm and is read as it is; the queries alone are "
            "made of norm(x).",
            memory_norm=True,
        ),
        _mistake(
            "cross_attention_first",
            "The order is: self-attention, cross-attention, feed-forward. You read the source first.",
            order=("cross", "self", "feed"),
        ),
        _mistake(
            "feed_forward_before_cross_attention",
            "The order is: self-attention, cross-attention, feed-forward. The feed-forward layer comes last.",
            order=("self", "feed", "cross"),
        ),
        _mistake(
            "scaled_by_width",
            "You divide the scores by √D. A head is D/H wide, and the length of its vectors is what counts: √(D/H).",
            scale=lambda K, D: D**-0.5,
        ),
        _mistake("not_scaled", "The scores are not divided by √(D/H).", scale=lambda K, D: 1.0),
        _mistake(
            "softmax_over_queries",
            "Your softmax runs over the queries. Each query spreads its attention over the keys: dim=-1.",
            axis=-2,
        ),
        _mistake(
            "heads_interleaved",
            "You cut the features as if heads alternated. Head 1 has the first D/H features, head 2 the next: "
            "unflatten(-1, (H, D/H)).",
            split="interleaved",
        ),
        _mistake(
            "heads_not_moved_back",
            "Before the heads are put side by side, their axis has to go back behind the tokens: transpose(1, 2), then flatten.",
            merge=False,
        ),
        _mistake(
            "output_matrix_forgotten",
            "The heads' results go into the stream as they are. The output matrix, which mixes the heads, is missing.",
            project=False,
        ),
        _mistake(
            "gelu",
            "Your feed-forward layer uses GELU, as a GPT's. This one has ReLU, max(0, ·).",
            activation=torch.nn.functional.gelu,
        ),
        _mistake(
            "silu",
            "Your feed-forward layer uses SiLU, as a Llama's gate. This one has ReLU, max(0, ·), and no gate.",
            activation=torch.nn.functional.silu,
        ),
        _mistake(
            "activation_forgotten", "Between `up` and `down` there is a ReLU. It is missing.", activation=lambda x: x
        ),
        Misconception(
            "one_head", lambda x, memory, w, H: _block(x, memory, w, 1), "You have one head of width D. There are H."
        ),
        Misconception(
            "memory_detached",
            lambda x, memory, w, H: _block(x, memory.detach(), w, H),
            "No gradient comes back to `memory`, so the encoder would learn nothing. Read it without `.detach()`.",
        ),
        Misconception("detached", lambda x, memory, w, H: _block(x, memory, w, H).detach(), DETACHED),
    ),
    hints=(
        "Write one function for both attentions: its arguments are the states of the queries, those of keys and values, "
        "the name of its weights, and whether to hide what comes later.",
        "Three lines of the form x = x + f(norm(x)). In the first, keys and values come from the same norm(x) as the queries; "
        "in the second from memory.",
        "Heads: (B, T, D) → unflatten(-1, (H, -1)) → transpose(1, 2) is (B, H, T, D/H). Back: transpose(1, 2), flatten(2).",
    ),
)

EXERCISES = (DECODER_BLOCK,)
