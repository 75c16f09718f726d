"""Support for denoise: right and wrong ways to take spans out of a text, and to shift labels."""

from itertools import groupby

import torch

EXERCISES = ()  # the exercises are in denoise.py


def infill_from_the_right(ids, spans, mask_id):
    """Right."""
    ids = list(ids)
    for start, length in reversed(spans):
        ids[start : start + length] = [mask_id]
    return ids


def infill_by_pieces(ids, spans, mask_id):
    """Right."""
    ends = [0, *(start + length for start, length in spans)]
    starts = [*(start for start, _ in spans), len(ids)]
    pieces = [list(ids[a:b]) for a, b in zip(ends, starts)]
    return sum(([mask_id, *piece] for piece in pieces[1:]), pieces[0])


def a_mask_for_each_token(ids, spans, mask_id):
    gone = {start + i for start, length in spans for i in range(length)}
    return [mask_id if i in gone else token for i, token in enumerate(ids)]


def deleted(ids, spans, mask_id):
    gone = {start + i for start, length in spans for i in range(length)}
    return [token for i, token in enumerate(ids) if i not in gone]


def moved_on(ids, spans, mask_id):
    ids = list(ids)
    for start, length in spans:
        ids[start : start + length] = [mask_id]
    return ids


def one_too_many(ids, spans, mask_id):
    ids = list(ids)
    for start, length in reversed(spans):
        ids[start : start + length + 1] = [mask_id]
    return ids


def touching_gaps_joined(ids, spans, mask_id):
    text = infill_from_the_right(ids, spans, mask_id)
    return [token for i, token in enumerate(text) if token != mask_id or i == 0 or text[i - 1] != mask_id]


def tail_forgotten(ids, spans, mask_id):
    shortened, read = [], 0
    for start, length in spans:
        shortened += [*ids[read:start], mask_id]
        read = start + length
    return shortened


def by_value(ids, spans, mask_id):
    text = list(ids)
    for start, length in spans:
        place = text.index(ids[start]) if length else min(start, len(text))
        text[place : place + length] = [mask_id]
    return text


def only_at_tokens(ids, spans, mask_id):
    text, left, read = [], list(spans), 0
    for place, token in enumerate(ids):
        while left and left[0][0] == place:
            text.append(mask_id)
            read = place + left.pop(0)[1]
        if place >= read:
            text.append(token)
    return text


def one_gap_at_a_start(ids, spans, mask_id):
    return infill_from_the_right(ids, sorted(dict(spans).items()), mask_id)


def infill_in_place(ids, spans, mask_id):
    for start, length in reversed(spans):
        ids[start : start + length] = [mask_id]
    return ids


def pair_by_groups(ids, missing, sentinels):
    """Right."""
    marks, source, target = iter(sentinels), [], []
    for gone, group in groupby(zip(missing, ids), key=lambda pair: pair[0]):
        tokens = [token for _, token in group]
        if gone:
            mark = next(marks)
            source.append(mark)
            target += [mark, *tokens]
        else:
            source += tokens
    return source, [*target, next(marks)]


def pair_by_edges(ids, missing, sentinels):
    """Right."""
    starts = [i for i in range(len(ids)) if missing[i] and (i == 0 or not missing[i - 1])]
    mark = {i: sentinels[k] for k, i in enumerate(starts)}
    source = [mark.get(i, token) for i, token in enumerate(ids) if i in mark or not missing[i]]
    target = [t for i, token in enumerate(ids) if missing[i] for t in ([mark[i], token] if i in mark else [token])]
    return source, target + [sentinels[len(starts)]]


def looks_behind_the_first(ids, missing, sentinels):
    """At the first token, missing[-1] is the last one."""
    marks, source, target = iter(sentinels), [], []
    for i, (token, gone) in enumerate(zip(ids, missing)):
        if gone and not missing[i - 1]:
            mark = next(marks)
            source.append(mark)
            target.append(mark)
        (target if gone else source).append(token)
    return source, [*target, next(marks)]


def closed_before_a_rest(ids, missing, sentinels):
    source, target = pair_by_groups(ids, missing, sentinels)
    return source, target[:-1] if missing and missing[-1] else target


def last_sentinel_repeated(ids, missing, sentinels):
    source, target = pair_by_groups(ids, missing, sentinels)
    used = [token for token in target[:-1] if token in sentinels]
    return source, [*target[:-1], used[-1] if used else sentinels[0]]


def a_sentinel_for_each_token(ids, missing, sentinels):
    marks = iter([*sentinels, *range(1000, 1000 + len(ids))])
    source, target = [], []
    for token, gone in zip(ids, missing):
        if gone:
            mark = next(marks)
            source.append(mark)
            target += [mark, token]
        else:
            source.append(token)
    return source, [*target, next(marks)]


def one_sentinel_for_all(ids, missing, sentinels):
    return pair_by_groups(ids, missing, [sentinels[0]] * (len(ids) + 1))


def shift_by_roll(labels, start_id, pad_id):
    """Right."""
    shifted = labels.roll(1, dims=1)
    shifted[:, 0] = start_id
    return torch.where(shifted == -100, pad_id, shifted)


def shift_by_loops(labels, start_id, pad_id):
    """Right."""
    rows = [[start_id, *(pad_id if token == -100 else token for token in row[:-1])] for row in labels.tolist()]
    return torch.tensor(rows)


def across_rows(labels, start_id, pad_id):
    flat = labels.flatten()
    shifted = torch.cat([flat.new_tensor([start_id]), flat[:-1]]).view_as(labels)
    return shifted.masked_fill(shifted == -100, pad_id)


def filled(shifted, pad_id):
    return torch.where(shifted == -100, pad_id, shifted)


def padding_not_shifted(labels, start_id, pad_id):
    shifted = torch.cat([torch.full_like(labels[:, :1], start_id), labels[:, :-1]], 1)
    return shifted.masked_fill((labels == -100) & (torch.arange(labels.shape[1]) > 0), pad_id)


def labels_filled_in_place(labels, start_id, pad_id):
    labels[labels == -100] = pad_id
    return torch.cat([torch.full_like(labels[:, :1], start_id), labels[:, :-1]], 1)


def shift_in_place(labels, start_id, pad_id):
    labels[:, 1:] = labels[:, :-1].clone()
    labels[:, 0] = start_id
    labels[labels == -100] = pad_id
    return labels
