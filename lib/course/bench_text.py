"""Masking 256 rows of 512 ids: ours against `DataCollatorForLanguageModeling` of transformers."""

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from lib.course.bench_rows import BenchRow
from lib.text import Tokenizer, bert_tokenizer, mask_tokens
from lib.text.packaged_tokenizers import MINILM
from lib.text.packages import package_file

ROWS, LENGTH = 256, 512
REPEATS = 31
TARGET = 3.0


def rows(threads: int) -> list[BenchRow]:
    """Two comparisons from the same tensor of ids.

    Given a plain tensor, the collator finds the special tokens by itself, as ours does, but in Python. The
    second row spares it that: it is handed their places, and only its tensor code is timed, against all of
    ours.
    """
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    torch.set_num_threads(threads)
    bert = bert_tokenizer()
    ids = _ids(bert)
    special = torch.isin(ids, torch.tensor(bert.special_ids))
    collator = DataCollatorForLanguageModeling(AutoTokenizer.from_pretrained(package_file(*MINILM).parent))
    ours = partial(
        mask_tokens, ids, mask_id=bert.mask_id, vocab_size=bert.vocab_size, special_ids=bert.special_ids
    )

    def theirs(special_tokens_mask: Tensor | None = None) -> object:
        return collator.torch_mask_tokens(ids.clone(), special_tokens_mask)  # it writes into what it is given

    return [
        _row("MLM masking, from ids alone", ours, theirs, threads),
        _row("MLM masking, collator told the special tokens", ours, partial(theirs, special), threads),
    ]


def _ids(bert: Tokenizer) -> Tensor:
    """Random ids between [CLS] and [SEP]; every fourth row is half padding."""
    ids = torch.randint(1000, bert.vocab_size, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
    ids[:, 0], ids[:, -1] = bert.cls_id, bert.sep_id
    ids[::4, LENGTH // 2 :] = bert.pad_id
    return ids


def _row(name: str, ours: Callable, theirs: Callable, threads: int) -> BenchRow:
    our_time, their_time = _interleaved(ours, theirs)
    return BenchRow(
        name=f"{name}, {ROWS} × {LENGTH}",
        ours=our_time,
        theirs=their_time,
        ratio=their_time / our_time,
        target=TARGET,
        unit="ms",
        threads=threads,
        higher_is_better=True,
    )


def _interleaved(*calls: Callable) -> list[float]:
    """The median time of each call in milliseconds, taken in turns, so that a busy moment slows all."""
    times = [[] for _ in calls]
    for call in calls:
        call()  # the first run pays for what is loaded late
    for _ in range(REPEATS):
        for call, taken in zip(calls, times):
            start = perf_counter()
            call()
            taken.append((perf_counter() - start) * 1e3)
    return [median(taken) for taken in times]
