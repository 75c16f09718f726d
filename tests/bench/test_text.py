"""The masking benchmark measures what it says; how fast either side is, no test asserts."""

from lib.bench import text as bench_text
from lib.text import bert_tokenizer


def test_each_row_holds_the_ratio_of_its_two_times(monkeypatch):
    monkeypatch.setattr(bench_text, "ROWS", 4)
    monkeypatch.setattr(bench_text, "REPEATS", 1)
    rows = bench_text.rows(threads=1)
    assert len(rows) == 2 and len({row.name for row in rows}) == 2
    for row in rows:
        assert row.ratio == row.theirs / row.ours and row.is_time
        assert (row.target, row.unit, row.threads) == (3, "ms", 1)


def test_the_ids_hold_special_tokens_and_padding_as_a_real_batch_does():
    bert = bert_tokenizer()
    ids = bench_text._ids(bert)
    assert ids.shape == (256, 512) and (ids[:, 0] == bert.cls_id).all()
    assert (ids == bert.pad_id).double().mean().item() == 0.125
