"""The sentences of lecture 07: as many good as bad ones, each once."""

import pytest

from lib.text import company_news as module
from lib.text.company_news import LABELS, company_news


def test_labels_alternate_and_no_sentence_comes_twice():
    rows = company_news()
    assert [label for _, label in rows] == list(LABELS) * 40
    assert len({text for text, _ in rows}) == 80 and all(text.endswith(".") for text, _ in rows)


def test_a_strange_label_is_reported_with_its_line(tmp_path, monkeypatch):
    file = tmp_path / "news.csv"
    file.write_text("text,label\nA.,Positive\nB.,Good\n", encoding="utf-8")
    monkeypatch.setattr(module, "FILE", file)
    with pytest.raises(ValueError, match="news.csv, line 3: label must be Positive or Negative, got 'Good'"):
        company_news()
