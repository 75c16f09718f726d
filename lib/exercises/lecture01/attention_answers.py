"""Answers to attention.attention: the right one, another way to write it, and common mistakes."""

import math

import torch

from lib.kernels import attention_reference


def weights(q, k, mask, scale=None):
    scores = q @ k.T * (q.shape[-1] ** -0.5 if scale is None else scale)
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)


def mask_after(q, k, v, mask):
    return (torch.softmax(q @ k.T / q.shape[-1] ** 0.5, dim=-1) * mask) @ v


def zero_scores(q, k, v, mask):
    return torch.softmax(q @ k.T / q.shape[-1] ** 0.5 * mask, dim=-1) @ v


def wrong_axis(q, k, v, mask):
    scores = (q @ k.T / q.shape[-1] ** 0.5).masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=0) @ v


def inverted(fill):
    def answer(q, k, v, mask):
        scores = (q @ k.T / q.shape[-1] ** 0.5).masked_fill(mask, fill)
        return torch.softmax(scores, dim=-1) @ v

    return answer


def filled(q, k, v, mask):
    scores = (q @ k.T / q.shape[-1] ** 0.5).masked_fill(~mask, -1e4)
    return torch.softmax(scores, dim=-1) @ v


def hidden_far_below(q, k, v, mask):
    return torch.softmax((q @ k.T / q.shape[-1] ** 0.5).masked_fill(~mask, -1e9), dim=-1) @ v


def added(q, k, v, mask):
    scores = q @ k.T / q.shape[-1] ** 0.5 + (~mask) * -1e4
    return torch.softmax(scores, dim=-1) @ v


def mask_added(q, k, v, mask):
    return torch.softmax(q @ k.T / q.shape[-1] ** 0.5 + mask, dim=-1) @ v


def negative_mask_times_infinity(q, k, v, mask):
    return torch.softmax(q @ k.T / q.shape[-1] ** 0.5 + ~mask * -math.inf, dim=-1) @ v


def renormalised(q, k, v, mask):
    w = torch.softmax(q @ k.T / q.shape[-1] ** 0.5, dim=-1) * mask
    return w / (w.sum(dim=-1, keepdim=True) + 1e-9) @ v


def one_maximum(q, k, v, mask):
    scores = (q @ k.T / q.shape[-1] ** 0.5).masked_fill(~mask, -math.inf)
    e = (scores - scores.max()).exp()
    return e / e.sum(dim=-1, keepdim=True) @ v


def clamped(q, k, v, mask):
    scores = (q @ k.T / q.shape[-1] ** 0.5).clamp(-50, 50)
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1) @ v


def just_below(q, k, v, mask):
    scores = q @ k.T / q.shape[-1] ** 0.5
    return torch.softmax(torch.where(mask, scores, scores.min() - 10), dim=-1) @ v


def largest_of_all(q, k, v, mask):
    scores = q @ k.T / q.shape[-1] ** 0.5
    e = (scores - scores.amax(dim=-1, keepdim=True)).exp() * mask
    return e / e.sum(dim=-1, keepdim=True) @ v


def no_shift(q, k, v, mask):
    e = (q @ k.T / q.shape[-1] ** 0.5).exp() * mask
    return e / e.sum(dim=-1, keepdim=True) @ v


def reference_attention(q, k, v, mask):
    return attention_reference(q[None, None], k[None, None], v[None, None], mask=mask)[0, 0]
