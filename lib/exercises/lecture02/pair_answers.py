"""Support for positions.halves: other right ways to bring the rows into the other order, and wrong ones."""

import torch


def by_slices(weight, heads):
    """Right."""
    of_heads = weight.chunk(heads)
    return torch.cat([part for head in of_heads for part in (head[0::2], head[1::2])])


def by_index(weight, heads):
    """Right."""
    K = len(weight) // heads
    order = [h * K + 2 * (j % (K // 2)) + j // (K // 2) for h in range(heads) for j in range(K)]
    return weight[order]


def one_after_another(weight, heads):
    """Each second number is swapped into its place, and what stood there into another."""
    done, K = weight.clone(), len(weight) // heads
    for h in range(heads):
        for i in range(K // 2):
            a, b = h * K + 2 * i + 1, h * K + i + K // 2
            done[[a, b]] = done[[b, a]]
    return done


def cut(weight, K):
    """Neighbours to halves in heads of K rows."""
    cut = weight.reshape(-1, K, weight.shape[1])
    return torch.cat((cut[:, 0::2], cut[:, 1::2]), dim=1).reshape(weight.shape)


def alternating(weight, heads):
    """As if row 0 were of head 1, row 1 of head 2."""
    cut = weight.unflatten(0, (-1, heads))
    return torch.cat((cut[0::2], cut[1::2])).reshape(weight.shape)


def mirrored(weight, heads):
    """The second half of each head in reverse."""
    first, second = weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).unbind(1)
    return torch.cat((first, second.flip(1)), dim=1).reshape(weight.shape)
