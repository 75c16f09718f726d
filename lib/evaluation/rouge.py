r"""ROUGE: how much of a reference a text repeats, in n-grams or in the longest common subsequence (Lin 2004; slide C45).

Words are found as in the package rouge-score, without stemming: letters a to z and digits, in lower case. All three
numbers of a score lie between 0 and 1; papers print 100 times the F1. A text without a word scores 0, whichever side.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from lib import checks


class Rouge(NamedTuple):
    """Overlap with a reference."""

    precision: float  # share of the prediction that the reference has too
    recall: float  # share of the reference that the prediction has too
    f1: float  # their harmonic mean; 0 where both are 0


def rouge_words(text: str) -> list[str]:
    """The words of a text as ROUGE counts them.

    >>> rouge_words("Don't panic: it's 42!")
    ['don', 't', 'panic', 'it', 's', '42']
    """
    return re.findall(r"[a-z0-9]+", checks.instance("text", text, str).lower())


def rouge_n(prediction: str, reference: str, n: int = 1) -> Rouge:
    """n-grams that both have, each counted as often as in the text that has it less often.

    Raises ValueError for n below 1, TypeError for texts that are no strings.

    >>> rouge_n("the cat sat", "the cat sat on the mat", 1)
    Rouge(precision=1.0, recall=0.5, f1=0.6666666666666666)
    """
    checks.whole("n", n)
    ours, theirs = (Counter(_ngrams(rouge_words(text), n)) for text in (prediction, reference))
    return _score((ours & theirs).total(), ours.total(), theirs.total())


def rouge_l(prediction: str, reference: str) -> Rouge:
    """The longest common subsequence of the two texts, over the words of each; ends of sentences count for nothing.

    >>> rouge_l("the mat and the cat", "the cat sat on the mat").recall  # the … the … cat is none: the, the; or the, mat
    0.3333333333333333
    """
    ours, theirs = rouge_words(prediction), rouge_words(reference)
    return _score(lcs_length(ours, theirs), len(ours), len(theirs))


def rouge_l_sum(prediction: str, reference: str) -> Rouge:
    r"""ROUGE-L of a summary of several sentences, one per line ("R-Lsum"): what the papers on CNN/DailyMail print.

    Each sentence of the reference is held against each of the prediction; the words of it that are in *some* longest
    common subsequence count (the union LCS, Lin 2004, section 3.2), a word no more often than each text has it. So the
    order of sentences does not matter. Without line breaks this is `rouge_l`.

    >>> one, other = "He sat.\nShe ran.", "She ran.\nHe sat."
    >>> rouge_l(one, other).f1, rouge_l_sum(one, other).f1
    (0.5, 1.0)
    """
    ours, theirs = ([rouge_words(line) for line in text.split("\n")] for text in _texts(prediction, reference))
    left = [Counter(word for line in lines for word in line) for lines in (ours, theirs)]
    lengths = [counts.total() for counts in left]
    hits = 0
    for line in theirs:
        covered = set().union(*(_lcs_places(line, sentence) for sentence in ours))
        for word in (line[i] for i in sorted(covered)):
            if left[0][word] > 0 and left[1][word] > 0:
                hits += 1
                left[0][word] -= 1
                left[1][word] -= 1
    return _score(hits, *lengths)


def lcs_length(a: Sequence, b: Sequence) -> int:
    """The length of the longest common subsequence: what can be crossed out of both until they are the same.

    >>> lcs_length("abcbdab", "bdcaba")
    4
    """
    return _lcs_table(a, b)[-1][-1]


def lead(text: str, sentences: int = 3) -> str:
    """The first lines of a text that has one sentence per line: Lead-3, the baseline of every table on summaries.

    Raises ValueError for a number below 1.

    >>> lead("One.\\nTwo.\\nThree.", 2)
    'One.\\nTwo.'
    """
    checks.whole("sentences", sentences)
    lines = [line for line in checks.instance("text", text, str).split("\n") if line.strip()]
    return "\n".join(lines[:sentences])


def _texts(prediction: str, reference: str) -> tuple[str, str]:
    return checks.instance("prediction", prediction, str), checks.instance("reference", reference, str)


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _score(hits: int, ours: int, theirs: int) -> Rouge:
    precision, recall = hits / max(ours, 1), hits / max(theirs, 1)
    return Rouge(precision, recall, 2 * precision * recall / (precision + recall) if hits else 0.0)


def _lcs_table(a: Sequence, b: Sequence) -> list[list[int]]:
    """Entry i, j: the length for the first i of `a` and the first j of `b`."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table


def _lcs_places(a: Sequence, b: Sequence) -> set[int]:
    """The places in `a` of one longest common subsequence; of several, the one that rouge-score takes."""
    table, i, j, places = _lcs_table(a, b), len(a), len(b), set()
    while i and j:
        if a[i - 1] == b[j - 1]:
            places.add(i - 1)
            i, j = i - 1, j - 1
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return places
