"""Answers to attention.multi_head: the right one, other ways to write it, and common mistakes."""

import math

import torch


def multi_head(x, W_q, W_k, W_v, W_o, num_heads, real):
    """The layer as it is asked for: (B, T, d_model) in and out, no query looks at padding."""
    return merged(*heads(x, W_q, W_k, W_v, num_heads, real)) @ W_o


def heads(x, W_q, W_k, W_v, num_heads, real, *, width=None, hidden=-math.inf):
    """The weights (B, H, T, T) and values (B, H, T, d_k) of all heads."""
    q, k, v = (split(x @ W, num_heads) for W in (W_q, W_k, W_v))
    scores = q @ k.mT / math.sqrt(width or q.shape[-1])
    return scores.masked_fill(~real[:, None, None, :], hidden).softmax(dim=-1), v


def split(x, num_heads):
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def parts(x, matrices, num_heads):
    """Scores, not hidden, (B, H, T, T), and values of all heads."""
    q, k, v = (split(x @ W, num_heads) for W in matrices)
    return q @ k.mT / math.sqrt(q.shape[-1]), v


def merged(weights, v):
    return (weights @ v).transpose(1, 2).flatten(2)


def by_heads(x, W_q, W_k, W_v, W_o, num_heads, real):
    found = []
    for Q, K, V in zip(*(W.chunk(num_heads, dim=1) for W in (W_q, W_k, W_v))):
        scores = (x @ Q) @ (x @ K).mT / math.sqrt(Q.shape[1])
        found.append(scores.masked_fill(~real[:, None], -math.inf).softmax(dim=-1) @ (x @ V))
    return torch.cat(found, dim=-1) @ W_o


def by_sentences(x, W_q, W_k, W_v, W_o, num_heads, real):
    """Each sentence by itself; its queries look at what is left when padding is cut out."""
    out = []
    for one, seen in zip(x, real):
        q = (one @ W_q).unflatten(-1, (num_heads, -1)).transpose(0, 1)
        k, v = ((one[seen] @ W).unflatten(-1, (num_heads, -1)).transpose(0, 1) for W in (W_k, W_v))
        out.append(torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1) @ W_o)
    return torch.stack(out)


def einsum(x, W_q, W_k, W_v, W_o, num_heads, real):
    q, k, v = ((x @ W).unflatten(-1, (num_heads, -1)) for W in (W_q, W_k, W_v))  # (B, T, H, d_k)
    scores = torch.einsum("bthk,bshk->bhts", q, k) / q.shape[-1] ** 0.5
    weights = torch.softmax(torch.where(real[:, None, None], scores, -math.inf), dim=-1)
    return torch.einsum("bhts,bshk->bthk", weights, v).flatten(2) @ W_o


def viewed(x, W_q, W_k, W_v, W_o, num_heads, real):
    B, T, d_model = x.shape
    q, k, v = ((x @ W).view(B, num_heads, T, -1) for W in (W_q, W_k, W_v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, None], -math.inf)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2) @ W_o


def viewed_back(x, W_q, W_k, W_v, W_o, num_heads, real):
    weights, v = heads(x, W_q, W_k, W_v, num_heads, real)
    return (weights @ v).reshape(x.shape) @ W_o


def interleaved(x, W_q, W_k, W_v, W_o, num_heads, real):
    q, k, v = ((x @ W).unflatten(-1, (-1, num_heads)).permute(0, 3, 1, 2) for W in (W_q, W_k, W_v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, None], -math.inf)
    return (scores.softmax(dim=-1) @ v).permute(0, 2, 3, 1).flatten(2) @ W_o


def masked_queries(x, W_q, W_k, W_v, W_o, num_heads, real):
    q, k, v = (split(x @ W, num_heads) for W in (W_q, W_k, W_v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, :, None], -math.inf)
    return merged(scores.softmax(dim=-1), v) @ W_o


def mask_after(x, W_q, W_k, W_v, W_o, num_heads, real):
    weights, v = heads(x, W_q, W_k, W_v, num_heads, torch.ones_like(real))
    return merged(weights * real[:, None, None], v) @ W_o


def over_queries(hidden):
    def answer(x, W_q, W_k, W_v, W_o, num_heads, real):
        scores, v = parts(x, (W_q, W_k, W_v), num_heads)
        return merged(scores.masked_fill(~real[:, None, None], hidden).softmax(dim=-2), v) @ W_o

    return answer


def one_wide_head(x, W_q, W_k, W_v, W_o, num_heads, real):
    return multi_head(x, W_q, W_k, W_v, W_o, 1, real)


def averaged(x, W_q, W_k, W_v, W_o, num_heads, real):
    weights, v = heads(x, W_q, W_k, W_v, num_heads, real)
    return merged(weights.mean(dim=1, keepdim=True).expand_as(weights), v) @ W_o


def transposed_matrices(x, W_q, W_k, W_v, W_o, num_heads, real):
    return multi_head(x, W_q.T, W_k.T, W_v.T, W_o.T, num_heads, real)


def hiding(hide, *, finish=lambda out, real: out):
    """An answer that hides what `hide(real, T)` says, (B, 1, T or 1, T), and else is right."""

    def answer(x, W_q, W_k, W_v, W_o, num_heads, real):
        scores, v = parts(x, (W_q, W_k, W_v), num_heads)
        weights = scores.masked_fill(hide(real, x.shape[1]), -1e9).softmax(dim=-1)
        return finish(merged(weights, v) @ W_o, real)

    return answer


padding_at_the_start = hiding(lambda real, T: (torch.arange(T) < (T - real.sum(dim=1, keepdim=True)))[:, None, None])
padding_at_the_end = hiding(lambda real, T: (torch.arange(T) >= real.sum(dim=1, keepdim=True))[:, None, None])
queries_hidden_finite = hiding(lambda real, T: ~real[:, None, :, None])
real_hidden_finite = hiding(lambda real, T: real[:, None, None])
both_hidden = hiding(lambda real, T: ~(real[:, None, :, None] & real[:, None, None]))
causal_too = hiding(lambda real, T: ~(real[:, None, None] & torch.ones(T, T, dtype=torch.bool).tril()))
padding_zeroed = hiding(lambda real, T: ~real[:, None, None], finish=lambda out, real: out * real[..., None])


def viewed_both_ways(x, W_q, W_k, W_v, W_o, num_heads, real):
    B, T, d_model = x.shape
    q, k, v = ((x @ W).view(B, num_heads, T, -1) for W in (W_q, W_k, W_v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, None], -math.inf)
    return (scores.softmax(dim=-1) @ v).reshape(x.shape) @ W_o


def cut_interleaved(x, W_q, W_k, W_v, W_o, num_heads, real):
    q, k, v = ((x @ W).unflatten(-1, (-1, num_heads)).permute(0, 3, 1, 2) for W in (W_q, W_k, W_v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, None], -math.inf)
    return merged(scores.softmax(dim=-1), v) @ W_o


def by_rows(x, W_q, W_k, W_v, W_o, num_heads, real):
    return multi_head(x, W_q.T, W_k.T, W_v.T, W_o, num_heads, real)


def first_sentence(x, W_q, W_k, W_v, W_o, num_heads, real):
    return multi_head(x, W_q, W_k, W_v, W_o, num_heads, real[:1].expand_as(real))


def not_hidden_enough(x, W_q, W_k, W_v, W_o, num_heads, real):
    return merged(*heads(x, W_q, W_k, W_v, num_heads, real, hidden=-100.0)) @ W_o


def no_shift(x, W_q, W_k, W_v, W_o, num_heads, real):
    scores, v = parts(x, (W_q, W_k, W_v), num_heads)
    e = scores.masked_fill(~real[:, None, None], -math.inf).exp()
    return merged(e / e.sum(dim=-1, keepdim=True), v) @ W_o


def heads_to_heads(x, W_q, W_k, W_v, W_o, num_heads, real):
    q, k, v = ((x @ W).unflatten(-1, (num_heads, -1)) for W in (W_q, W_k, W_v))  # (B, T, H, d_k)
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)  # (B, T, H, H)
    return (weights @ v).flatten(2) @ W_o


def zeroed_before(x, W_q, W_k, W_v, W_o, num_heads, real):
    kept = x * real[..., None]
    q, k, v = split(x @ W_q, num_heads), split(kept @ W_k, num_heads), split(kept @ W_v, num_heads)
    return merged((q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1), v) @ W_o


def number_subtracted(x, W_q, W_k, W_v, W_o, num_heads, real):
    scores, v = parts(x, (W_q, W_k, W_v), num_heads)
    return merged((scores - 500.0 * ~real[:, None, None]).softmax(dim=-1), v) @ W_o


def weights_detached(x, W_q, W_k, W_v, W_o, num_heads, real):
    weights, v = heads(x, W_q, W_k, W_v, num_heads, real)
    return merged(weights.detach(), v) @ W_o


def own_parts(x, W_q, W_k, W_v, W_o, num_heads, real):
    """Each head sees its own columns of x alone: the blocks on the diagonal of each matrix."""
    own = torch.block_diag(*torch.ones(num_heads, x.shape[-1] // num_heads, x.shape[-1] // num_heads))
    return multi_head(x, own * W_q, own * W_k, own * W_v, W_o, num_heads, real)


def merged_interleaved(x, W_q, W_k, W_v, W_o, num_heads, real):
    weights, v = heads(x, W_q, W_k, W_v, num_heads, real)
    return (weights @ v).permute(0, 2, 3, 1).flatten(2) @ W_o
