"""The block of an encoder–decoder's decoder, with a switch for each mistake, and other right ways to write it."""

import math

import torch
from torch.nn import functional as F

from lib.exercises.engine.exercise import case
from lib.kernels import apply_rotary, rotary_angles

_FULL = -math.inf


def rms(x, weight, eps=1e-5):
    """The norm as the lecture has it."""
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


def turned(x):
    """Queries or keys (B, H, T, K) with the lecture's rotary positions."""
    cos, sin = rotary_angles(torch.arange(x.shape[-2]), x.shape[-1], 100_000.0)
    return apply_rotary(x, cos.to(x.dtype), sin.to(x.dtype))


def attend(
    x, source, w, H, kind, hide, *, scale=None, split="heads_first", merge="moved", project=True, transposed=True,
    axis=-1, below=False, own=False, hidden=_FULL, late=False, softmax=torch.softmax, turn=lambda x: x,
):  # fmt: skip
    """Queries of x, keys and values of `source`; `hide` keeps a query from keys behind its own position."""
    K = x.shape[-1] // H

    def heads(states, name):
        matrix = w[f"{kind}_{name}"]
        mapped = states @ (matrix.T if transposed is True else matrix)
        if split == "interleaved":
            return mapped.unflatten(-1, (K, H)).permute(0, 3, 1, 2)
        return mapped.unflatten(-1, (H, K)).transpose(1, 2)

    q, k, v = turn(heads(x, "query")), turn(heads(source, "key")), heads(source, "value")
    scores = q @ k.mT * (K**-0.5 if scale is None else scale(K, x.shape[-1]))
    future = torch.ones(scores.shape[-2:]).triu(0 if own else 1).bool()
    future = future.mT if below else future
    if hide and not late:
        scores = scores.masked_fill(future, hidden)
    weights = softmax(scores, axis)
    mixed = (weights.masked_fill(future, 0) if hide and late else weights) @ v  # (B, H, T, K)
    if merge == "interleaved":
        mixed = mixed.permute(0, 2, 3, 1).flatten(2)
    else:
        mixed = mixed.transpose(1, 2).flatten(2) if merge == "moved" else mixed.reshape(x.shape)
    output = w[f"{kind}_output"]
    return mixed @ (output.T if transposed is True else output) if project else mixed


def block(
    x, memory, w, H, *, order=("self", "cross", "feed"), causal=True, cross_causal=False, blind=False,
    memory_norm=False, norm=rms, weights_of=None, join="pre", no_sum=(), normed=(), old=(), bare=(), raw_source=False,
    activation=torch.relu, **heads,
):  # fmt: skip
    """The block, with a switch for each mistake. `join`: how a sublayer's result comes back into the stream.

    Kinds in `old` read the block's input, those in `bare` the stream without a norm, `normed` ones add to norm(x),
    and `no_sum` ones replace the stream. `weights_of`: {kind: of which kind it takes the norm's weight}.
    """
    begin = x
    for kind in order:
        weight = w[f"{(weights_of or {}).get(kind, kind)}_norm"]
        y = x if join == "post" or kind in bare else norm(begin if kind in old else x, weight)
        if kind == "self":
            change = attend(y, x if raw_source else y, w, H, kind, causal, **heads)
        elif kind == "cross":
            source = norm(memory, weight) if memory_norm else memory
            change = attend(y, y if blind else source, w, H, kind, cross_causal, **heads)
        else:
            change = activation(y @ w["up"].T) @ w["down"].T
        if join == "post":
            x = norm(x + change, weight)
        elif kind not in no_sum:
            x = (y if kind in normed else x) + change
        else:
            x = change
    return x


def added_in_place(x, memory, w, H):
    """x += …"""
    y = rms(x, w["self_norm"])
    x += attend(y, y, w, H, "self", True)
    x += attend(rms(x, w["cross_norm"]), memory, w, H, "cross", False)
    x += torch.relu(rms(x, w["feed_norm"]) @ w["up"].T) @ w["down"].T
    return x


def layer_norm(x, weight):
    """The mean is taken away as well."""
    return F.layer_norm(x, x.shape[-1:], weight, eps=1e-5)


def eps_outside(x, weight):
    """ε behind the root."""
    return x / (x.square().mean(-1, keepdim=True).sqrt() + 1e-5) * weight


def torchs_eps(x, weight):
    """torch's rms_norm with the ε that it takes by itself: what float32 or float64 resolves."""
    return F.rms_norm(x, x.shape[-1:], weight)


def over_everything(x, weight):
    """One size for all vectors of all texts."""
    return x / (x.square().mean() + 1e-5).sqrt() * weight


def bare_softmax(scores, axis):
    """Without taking the maximum away."""
    powers = scores.exp()
    return powers / powers.sum(axis, keepdim=True)


# --- cases ----------------------------------------------------------------------------------------------------------
def cases(generator):
    """Shapes of all kinds, then numbers: large, small, zeros, and scores that fill a softmax."""

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    def weights(D, F):
        names = [f"{kind}_{part}" for kind in ("self", "cross") for part in ("query", "key", "value", "output")]
        w = {name: 1.2 * draw(D, D) / D**0.5 for name in names}
        w |= {f"{kind}_norm": 0.5 + torch.rand(D, generator=generator) for kind in ("self", "cross", "feed")}
        return w | {"up": draw(F, D) / D**0.5, "down": draw(D, F) / F**0.5}

    w = weights(8, 12)
    sharp = {name: (1000 if name.endswith("query") else 1) * W.double() for name, W in w.items()}
    small = 3e-3 * draw(2, 4, 8)
    small[0, 1] = 0
    return [
        case("one text, two heads", 2 * draw(1, 3, 8), draw(1, 5, 8), w, 2),
        case("two texts, as long as their sources", 2 * draw(2, 4, 8), draw(2, 4, 8), w, 2),
        case("a source shorter than the target", 2 * draw(2, 5, 6), draw(2, 2, 6), weights(6, 7), 3),
        case("one head", 2 * draw(1, 4, 4), draw(1, 3, 4), weights(4, 6), 1),
        case("the first token of a target", 2 * draw(2, 1, 8), draw(2, 6, 8), w, 4),
        case("a stream of large numbers", 50 * draw(1, 4, 8), 3 * draw(1, 3, 8), w, 2),
        case("a stream of small numbers, and one vector of zeros", small, draw(2, 3, 8), w, 2),
        case("scores in the thousands, in float64", 2 * draw(6, 5, 8).double(), draw(6, 4, 8).double(), sharp, 4),
    ]


# --- other right ways -------------------------------------------------------------------------------------------------
def with_torch(x, memory, w, H):
    """The same with PyTorch's own attention and norm."""

    def attention(kind, x, source, causal):
        q, k, v = (
            (states @ w[f"{kind}_{name}"].T).unflatten(-1, (H, -1)).transpose(1, 2)
            for name, states in (("query", x), ("key", source), ("value", source))
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return mixed.transpose(1, 2).flatten(2) @ w[f"{kind}_output"].T

    def norm(name, x):
        return F.rms_norm(x, x.shape[-1:], w[f"{name}_norm"], eps=1e-5)

    y = norm("self", x)
    x = x + attention("self", y, y, True)
    x = x + attention("cross", norm("cross", x), memory, False)
    return x + torch.relu(norm("feed", x) @ w["up"].T) @ w["down"].T


def a_head_at_a_time(x, memory, w, H):
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
        y = rms(one, w["self_norm"])
        one = one + attention("self", y, y, True)
        one = one + attention("cross", rms(one, w["cross_norm"]), read, False)
        done.append(one + torch.relu(rms(one, w["feed_norm"]) @ w["up"].T) @ w["down"].T)
    return torch.stack(done)
