"""Masking 256 rows of 512 ids: ours against `DataCollatorForLanguageModeling` of transformers."""

from functools import partial

import torch
from torch import Tensor

from lib.bench.rows import BenchRow, speed_row
from lib.text import Tokenizer, bert_tokenizer, mask_tokens
from lib.text.packaged_tokenizers import MINILM
from lib.text.packages import package_file

ROWS, LENGTH = 256, 512
REPEATS = 31
TARGET = 3.0


def rows(threads: int) -> list[BenchRow]:
    """Two comparisons with the same tensor of ids.

    Given a plain tensor, the collator finds the special tokens itself, as ours does, but in Python. In the second
    row it gets their positions, so that only its tensor code is timed, against all of ours.
    """
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    torch.set_num_threads(threads)
    bert = bert_tokenizer()
    ids = _ids(bert)
    special = torch.isin(ids, torch.tensor(bert.special_ids))
    collator = DataCollatorForLanguageModeling(AutoTokenizer.from_pretrained(package_file(*MINILM).parent))
    ours = partial(mask_tokens, ids, mask_id=bert.mask_id, vocab_size=bert.vocab_size, special_ids=bert.special_ids)

    def theirs(special_tokens_mask: Tensor | None = None) -> object:
        return collator.torch_mask_tokens(ids.clone(), special_tokens_mask)  # it changes its argument

    size = f"{ROWS} × {LENGTH}"
    how = {"target": TARGET, "threads": threads, "repeats": REPEATS}
    return [
        speed_row(f"MLM masking, from ids alone, {size}", ours, theirs, **how),
        speed_row(f"MLM masking, collator told the special tokens, {size}", ours, partial(theirs, special), **how),
    ]


def _ids(bert: Tokenizer) -> Tensor:
    """Random ids between [CLS] and [SEP]; every fourth row is half padding."""
    ids = torch.randint(1000, bert.vocab_size, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
    ids[:, 0], ids[:, -1] = bert.cls_id, bert.sep_id
    ids[::4, LENGTH // 2 :] = bert.pad_id
    return ids
