"""Right and wrong answers to `autoregressive.loss`, each as students write it."""

import torch


def real_pairs(attention_mask):
    return (attention_mask[:, 1:] * attention_mask[:, :-1]).bool()


def pair_losses(logits, input_ids):
    """Of token t + 1 at position t, (B, T - 1)."""
    log_probs = torch.log_softmax(logits[:, :-1], dim=-1)
    return -log_probs.gather(-1, input_ids[:, 1:, None]).squeeze(-1)


def by_hand(logits, input_ids, attention_mask):
    return pair_losses(logits, input_ids)[real_pairs(attention_mask)].mean()


def by_torch(logits, input_ids, attention_mask):
    labels = input_ids[:, 1:].masked_fill(~real_pairs(attention_mask), -100)
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten())


def not_shifted(logits, input_ids, attention_mask):
    nll = -torch.log_softmax(logits, dim=-1).gather(-1, input_ids[..., None]).squeeze(-1)
    return nll[attention_mask.bool()].mean()


def shifted_backwards(logits, input_ids, attention_mask):
    nll = -torch.log_softmax(logits[:, 1:], dim=-1).gather(-1, input_ids[:, :-1, None]).squeeze(-1)
    return nll[real_pairs(attention_mask)].mean()


def mean_of_rows(logits, input_ids, attention_mask):
    asked = real_pairs(attention_mask)
    return ((pair_losses(logits, input_ids) * asked).sum(1) / asked.sum(1)).mean()


def padding_in_the_mean(logits, input_ids, attention_mask):
    asked = real_pairs(attention_mask)
    return (pair_losses(logits, input_ids) * asked).sum() / asked.numel()


def one_side(side):
    """Only the target ("right") or only the token that is read ("left") must be real."""

    def answer(logits, input_ids, attention_mask):
        real = attention_mask[:, 1:] if side == "right" else attention_mask[:, :-1]
        return pair_losses(logits, input_ids)[real.bool()].mean()

    return answer


def divided_by_tokens(logits, input_ids, attention_mask):
    return (pair_losses(logits, input_ids) * real_pairs(attention_mask)).sum() / attention_mask.sum()


def around_the_end(logits, input_ids, attention_mask):
    both = (attention_mask * attention_mask.roll(-1, dims=1)).bool()
    return torch.nn.functional.cross_entropy(logits[both], input_ids.roll(-1, dims=1)[both])


def real(logits, input_ids, attention_mask):
    return zip(logits, input_ids, attention_mask.bool())


def padding_on_the_right(logits, input_ids, attention_mask):
    """The first L tokens of a sentence of L tokens."""
    nll = [pair_losses(z[None, : m.sum()], i[None, : m.sum()]) for z, i, m in real(logits, input_ids, attention_mask)]
    return torch.cat([row.flatten() for row in nll]).mean()


def means_by_count(logits, input_ids, attention_mask):
    """The mean of each sentence, times the number of its pairs: 0/0 for a sentence of one token."""
    nll = [pair_losses(z[None, m], i[None, m]) for z, i, m in real(logits, input_ids, attention_mask)]
    return sum(row.mean() * row.numel() for row in nll) / sum(row.numel() for row in nll)


def sentences_in_one_row(logits, input_ids, attention_mask):
    """Flattened first, shifted then."""
    ids, real = input_ids.flatten(), attention_mask.flatten()
    nll = torch.nn.functional.cross_entropy(logits.flatten(0, 1)[:-1], ids[1:], reduction="none")
    return nll[(real[1:] * real[:-1]).bool()].mean()


def token_0_ignored(logits, input_ids, attention_mask):
    labels = input_ids[:, 1:] * real_pairs(attention_mask)
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten(), ignore_index=0)


def one_less_in_all(logits, input_ids, attention_mask):
    return (pair_losses(logits, input_ids) * real_pairs(attention_mask)).sum() / (attention_mask.sum() - 1)


def one_maximum(logits, input_ids, attention_mask):
    """The logarithm of a softmax by hand, with the largest logit of all subtracted."""
    z = logits[:, :-1] - logits.max()
    log_probs = z - z.exp().sum(-1, keepdim=True).log()
    return -log_probs.gather(-1, input_ids[:, 1:, None]).squeeze(-1)[real_pairs(attention_mask)].mean()


def squeezed(logits, input_ids, attention_mask):
    """`squeeze()` without an axis: (B, 1, 1) becomes (B,), and broadcasts against (B, 1)."""
    asked = real_pairs(attention_mask)
    return (pair_losses(logits, input_ids).squeeze() * asked).sum() / asked.sum()


def kept_from_0(epsilon):
    """No probability is below `epsilon`."""

    def answer(logits, input_ids, attention_mask):
        p = torch.softmax(logits[:, :-1], dim=-1).gather(-1, input_ids[:, 1:, None]).squeeze(-1)
        return -p[real_pairs(attention_mask)].clamp_min(epsilon).log().mean()

    return answer


def log_of_softmax(logits, input_ids, attention_mask):
    p = torch.softmax(logits[:, :-1], dim=-1).gather(-1, input_ids[:, 1:, None]).squeeze(-1)
    return -p[real_pairs(attention_mask)].log().mean()
