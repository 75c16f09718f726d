"""Texts that were spoilt on purpose, for an encoder-decoder to restore: BART's five corruptions and T5's spans.

A text is a list of ids here, as most corruptions change its length. None of them changes the list that it is given.
Sources: Lewis et al. 2020, figure 2 (slide C44); Raffel et al. 2020, figure 2 (slide C47).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from lib import checks


class SpanPair(NamedTuple):
    """What the encoder reads, and what the decoder must write."""

    source: list[int]
    target: list[int]


def token_masking(
    ids: Sequence[int], *, mask_id: int, rate: float | int = 0.15, generator: torch.Generator | None = None
) -> list[int]:
    """Each token becomes `mask_id` with probability `rate`: the length stays, and says how much is missing where.

    `lib.text.mask_tokens` is BERT's version, with random and unchanged tokens and labels.
    Raises ValueError for an id below 0 or a rate outside [0, 1], TypeError for ids that are no integers.

    >>> token_masking([5, 6, 7], mask_id=1, rate=1)
    [1, 1, 1]
    """
    ids, chosen = _chosen(ids, rate, generator)
    checks.whole("mask_id", mask_id, 0)
    return [mask_id if hit else token for token, hit in zip(ids, chosen)]


def token_deletion(
    ids: Sequence[int], *, rate: float | int = 0.15, generator: torch.Generator | None = None
) -> list[int]:
    """Each token is left out with probability `rate`, and nothing shows where. Raises as `token_masking` does.

    >>> token_deletion([5, 6, 7], rate=0)
    [5, 6, 7]
    """
    ids, chosen = _chosen(ids, rate, generator)
    return [token for token, hit in zip(ids, chosen) if not hit]


def text_infilling(
    ids: Sequence[int],
    *,
    mask_id: int,
    rate: float | int = 0.3,
    mean_length: float | int = 3.0,
    generator: torch.Generator | None = None,
) -> list[int]:
    r"""Spans of $\text{Poisson}(\lambda)$ tokens, $\lambda$ = `mean_length`, become one `mask_id` each (BART's best).

    Span lengths are drawn until they cover round(rate · N) tokens, and the last one is cut to fit; a span of length 0
    puts a `mask_id` where nothing is missing. No two spans touch, and each way to place them is equally likely. (Where
    so much goes that they would have to, the last spans become one.) Raises as `token_masking` does, and ValueError for
    a mean length that is not above 0.

    >>> text_infilling([5, 6, 7, 8], mask_id=1, rate=1, mean_length=100)
    [1]
    """
    ids = _ids(ids)
    spans = poisson_spans(len(ids), rate=rate, mean_length=mean_length, generator=generator)
    return replace_spans(ids, spans, mask_id=mask_id)


def poisson_spans(
    length: int,
    *,
    rate: float | int = 0.3,
    mean_length: float | int = 3.0,
    generator: torch.Generator | None = None,
) -> list[tuple[int, int]]:
    """The (start, length) of the spans that `text_infilling` takes out of `length` tokens, from left to right.

    Raises ValueError for a negative length, a rate outside [0, 1] or a mean length that is not above 0.

    >>> poisson_spans(4, rate=1, mean_length=100)
    [(0, 4)]
    """
    checks.whole("length", length, 0)
    checks.share("rate", rate)
    checks.positive("mean_length", mean_length)
    lengths = _poisson_lengths(round(rate * length), float(mean_length), generator)
    kept = length - sum(lengths)
    while len(lengths) > kept + 1:  # one span fits between two kept tokens, and at either end
        lengths[-2:] = [lengths[-2] + lengths[-1]]
    gaps = sorted(torch.randperm(kept + 1, generator=generator)[: len(lengths)].tolist())
    return [(gap + sum(lengths[:i]), lengths[i]) for i, gap in enumerate(gaps)]


def replace_spans(ids: Sequence[int], spans: Sequence[tuple[int, int]], *, mask_id: int) -> list[int]:
    """One `mask_id` for each (start, length) of `spans`, which come from left to right and do not overlap.

    Raises ValueError for spans out of order or beyond the text.

    >>> replace_spans([5, 6, 7, 8], [(1, 2), (4, 0)], mask_id=1)
    [5, 1, 8, 1]
    """
    ids = _ids(ids)
    checks.whole("mask_id", mask_id, 0)
    shortened, read = [], 0
    for start, length in spans:
        if not read <= start <= start + length <= len(ids):
            raise ValueError(f"spans must follow one another within {len(ids)} tokens, got {(start, length)}")
        shortened += [*ids[read:start], mask_id]
        read = start + length
    return shortened + ids[read:]


def sentence_permutation(
    ids: Sequence[int], *, end_ids: Sequence[int], generator: torch.Generator | None = None
) -> list[int]:
    """The sentences in a random order. A sentence ends with one of `end_ids`, or with the text.

    Raises ValueError for an id below 0, TypeError for ids that are no integers.

    >>> sentence_permutation([5, 6, 9, 7], end_ids=[9], generator=torch.Generator().manual_seed(1))
    [7, 5, 6, 9]
    """
    sentences: list[list[int]] = [[]]
    for token in _ids(ids):
        sentences[-1].append(token)
        if token in end_ids:
            sentences.append([])
    whole = [sentence for sentence in sentences if sentence]
    order = torch.randperm(len(whole), generator=generator).tolist()
    return [token for i in order for token in whole[i]]


def document_rotation(ids: Sequence[int], *, generator: torch.Generator | None = None) -> list[int]:
    """The text begins at a token drawn uniformly, and what stood before it comes at the end. Raises as above.

    >>> document_rotation([5, 6, 7, 8], generator=torch.Generator().manual_seed(0))
    [5, 6, 7, 8]
    """
    ids = _ids(ids)
    start = int(torch.randint(max(len(ids), 1), (), generator=generator))
    return ids[start:] + ids[:start]


def t5_noise(
    length: int,
    *,
    rate: float | int = 0.15,
    mean_length: float | int = 3.0,
    generator: torch.Generator | None = None,
) -> Bool[Tensor, "N"]:
    """True where T5 takes tokens out: their number and that of the spans is fixed, and only the places are drawn.

    round(length · rate) tokens, at least 1 and at most length − 1, in round(tokens / mean_length) spans, at least 1.
    The text begins with a kept span and ends with one that is taken out; the lengths are drawn so that each way to cut
    is equally likely (`random_spans_noise_mask` in T5's own `preprocessors.py`).

    Raises ValueError for fewer than 2 tokens, a rate outside [0, 1] or a mean length that is not above 0.

    >>> t5_noise(8, rate=0.25, generator=torch.Generator().manual_seed(0)).int().tolist()  # one span: at the end
    [0, 0, 0, 0, 0, 0, 1, 1]
    """
    checks.whole("length", length, 2)
    taken, spans = t5_counts(length, rate=rate, mean_length=mean_length)
    lengths = torch.stack([_segments(length - taken, spans, generator), _segments(taken, spans, generator)], dim=1)
    flags = torch.tensor([False, True]).repeat(spans)
    return flags.repeat_interleave(lengths.flatten())


def t5_counts(length: int, *, rate: float | int = 0.15, mean_length: float | int = 3.0) -> tuple[int, int]:
    """How many of `length` tokens T5 takes out, and in how many spans. Raises as `t5_noise` does.

    >>> t5_counts(512), t5_counts(568)
    ((77, 26), (85, 28))
    """
    checks.whole("length", length, 2)
    checks.share("rate", rate)
    checks.positive("mean_length", mean_length)
    taken = min(max(round(length * rate), 1), length - 1)
    spans = max(round(taken / mean_length), 1)
    return taken, min(spans, taken, length - taken)


def span_corruption(ids: Sequence[int], noise: Bool[Tensor, "N"], *, sentinels: Sequence[int]) -> SpanPair:
    """Each span where `noise` is true becomes the next sentinel; the target lists sentinels with what they stand for.

    The target ends with one more sentinel, which says that nothing follows (Raffel et al. 2020, figure 2; slide C47).
    Raises ValueError when `noise` has another length than `ids`, or there are not sentinels enough.

    >>> span_corruption([5, 6, 7, 8, 9], torch.tensor([False, True, True, False, True]), sentinels=[99, 98, 97])
    SpanPair(source=[5, 99, 8, 98], target=[99, 6, 7, 98, 9, 97])
    """
    ids = _ids(ids)
    checks.shape("noise", noise, len(ids))
    taken = noise.bool().tolist()
    starts = sum(hit and not before for hit, before in zip(taken, [False, *taken]))
    if len(sentinels) < starts + 1:
        raise ValueError(f"sentinels must be {starts + 1}, one more than the spans, got {len(sentinels)}")
    source, target, used = [], [], 0
    for i, (token, hit) in enumerate(zip(ids, taken)):
        if hit and (i == 0 or not taken[i - 1]):
            source.append(sentinels[used])
            target.append(sentinels[used])
            used += 1
        (target if hit else source).append(token)
    return SpanPair(source, [*target, sentinels[used]])


def restore_spans(source: Sequence[int], target: Sequence[int], *, sentinels: Sequence[int]) -> list[int]:
    """The text of a source whose sentinels are replaced by what the target says of each: the reverse of the above.

    A sentinel of which the target says nothing stands for nothing; what the target says of others is left out.

    >>> restore_spans([5, 99, 8, 98], [99, 6, 7, 98, 9, 97], sentinels=[99, 98, 97])
    [5, 6, 7, 8, 9]
    """
    spans: dict[int, list[int]] = {}
    current: list[int] = []
    for token in target:
        if token in sentinels:
            current = spans.setdefault(int(token), [])
        else:
            current.append(int(token))
    return [word for token in source for word in (spans.get(int(token), []) if token in sentinels else [int(token)])]


def _poisson_lengths(wanted: int, mean: float, generator: torch.Generator | None) -> list[int]:
    """Lengths that sum to `wanted`."""
    lengths: list[int] = []
    while sum(lengths) < wanted:
        drawn = int(torch.poisson(torch.tensor(mean), generator=generator))
        lengths.append(min(drawn, wanted - sum(lengths)))
    return lengths


def _segments(items: int, parts: int, generator: torch.Generator | None) -> Tensor:
    """`items` cut into `parts` lengths of at least 1, each way equally likely."""
    cuts = torch.randperm(items - 1, generator=generator)[: parts - 1].sort().values + 1
    ends = torch.cat([torch.tensor([0]), cuts, torch.tensor([items])])
    return ends.diff()


def _chosen(ids: Sequence[int], rate: float | int, generator: torch.Generator | None) -> tuple[list[int], list[bool]]:
    ids = _ids(ids)
    checks.share("rate", rate)
    return ids, (torch.rand(len(ids), generator=generator) < rate).tolist()


def _ids(ids: Sequence[int]) -> list[int]:
    tensor = torch.as_tensor(ids)
    checks.shape("ids", tensor, "N")
    if not tensor.numel():
        return []
    checks.integers(ids=tensor)
    if tensor.min() < 0:
        raise ValueError(f"ids must be at least 0, got {int(tensor.min())}")
    return tensor.tolist()
