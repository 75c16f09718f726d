"""Lead-k, the first k sentences of an article taken as its summary: what ROUGE gives for doing nothing (slide C45)."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from lib import checks
from lib.evaluation.rouge import lead, rouge_l, rouge_l_sum, rouge_n, rouge_words

METRICS = {
    "rouge1": lambda ours, theirs: rouge_n(ours, theirs, 1),
    "rouge2": lambda ours, theirs: rouge_n(ours, theirs, 2),
    "rougeL": rouge_l,
    "rougeLsum": rouge_l_sum,
}
"""What is measured of a prediction and a reference, both with one sentence per line."""


def lead_scores(
    pairs: Iterable[tuple[str, str]], sentences: int = 3, stem: Callable[[str], str] | None = None
) -> dict[str, float]:
    """Mean F1 of Lead-`sentences` over pairs of an article and its summary, in hundredths, and standard errors.

    Articles and summaries have one sentence per line. `stem` cuts a word to its stem, as papers do before they compare.
    Raises ValueError for fewer than two pairs or a number of sentences below 1.

    >>> scores = lead_scores([("He ran. \\n It rained.", "He ran."), ("It is.", "Is it?")], sentences=1)
    >>> scores["rouge1"], scores["rouge2"], scores["rouge2_se"]
    (100.0, 50.0, 50.0)
    """
    checks.whole("sentences", sentences)
    texts = [(lead(article, sentences), summary) for article, summary in pairs]
    if len(texts) < 2:
        raise ValueError(f"pairs must be at least two, for a standard error, got {len(texts)}")
    if stem is not None:
        texts = [(stemmed(ours, stem), stemmed(theirs, stem)) for ours, theirs in texts]
    found = {name: [100 * metric(*pair).f1 for pair in texts] for name, metric in METRICS.items()}
    means = {name: statistics.fmean(values) for name, values in found.items()}
    errors = {f"{name}_se": statistics.stdev(values) / math.sqrt(len(values)) for name, values in found.items()}
    return means | errors


def stemmed(text: str, stem: Callable[[str], str]) -> str:
    """The words of `text`, line by line, those of more than three letters cut to their stem, as rouge-score does it.

    >>> stemmed("The cats\\nare here", lambda word: word.removesuffix("s"))
    'the cat\\nare here'
    """
    lines = (rouge_words(line) for line in checks.instance("text", text, str).split("\n"))
    return "\n".join(" ".join(stem(word) if len(word) > 3 else word for word in line) for line in lines)


def lead_table(sets: Mapping[str, Sequence[tuple[str, str]]], stem: Callable[[str], str]) -> Iterable[dict[str, Any]]:
    """A row for each set, for Lead-1 to Lead-3, with words as they are and stemmed; scores and errors to 0.01."""
    kept = lru_cache(maxsize=None)(stem)  # the same words come again in every set
    for name, pairs in sets.items():
        for cut in (None, kept):
            for sentences in (1, 2, 3):
                scores = lead_scores(pairs, sentences, cut)
                row = {"set": name, "articles": len(pairs), "sentences": sentences, "stemmed": int(cut is not None)}
                yield row | {key: round(value, 2) for key, value in scores.items()}
