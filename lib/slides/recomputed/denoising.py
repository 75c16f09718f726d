"""Claims of the slides of 08_denoising_bart_t5: BART's table of ROUGE, T5's of translation, what ROUGE-L is."""

import pandas as pd

from lib import DATA
from lib.evaluation.rouge import lcs_length, rouge_l
from lib.slides.registry import Measured, recompute
from lib.slides.tables import load_table


@recompute("A24a")
def gain_on_xsum() -> Measured:
    """The mean over R-1, R-2 and R-L of what BART gains over the best other row, on XSum."""
    gain = _gain()
    return Measured(float(gain[3:].mean()), ", ".join(f"{value:.2f}" for value in gain[3:]))


@recompute("A24b")
def best_by_all_metrics() -> bool:
    """Whether BART is above every other row in all six columns."""
    return bool((_gain() > 0).all())


@recompute("A25")
def lead_beats_pointer_generators() -> bool:
    """Whether the first three sentences score higher than both pointer-generators, on CNN/DM, by all three."""
    table = load_table("bart_rouge").set_index("model").filter(like="cnndm")
    pointers = table[table.index.str.startswith("PTGEN")]
    return bool((table.loc["Lead-3"] > pointers).all().all())


@recompute("A25b")
def sentences_of_the_lead_on_xsum() -> Measured:
    """How many first sentences give the scores of the row called Lead-3, measured on two samples of XSum."""
    table = load_table("bart_rouge").set_index("model")
    printed = table.loc["Lead-3", ["xsum_r1", "xsum_r2", "xsum_rl"]].astype(float).to_numpy()
    rows = pd.read_csv(DATA / "experiments" / "lead_rouge.csv").query("set != 'CNN/DailyMail' and stemmed == 1")
    away = (rows[["rouge1", "rouge2", "rougeL"]] - printed).pow(2).sum(axis=1)
    nearest = rows.loc[away.groupby(rows.set).idxmin()]
    if nearest.sentences.nunique() > 1:
        raise ValueError(f"the samples disagree: {dict(zip(nearest.set, nearest.sentences))}")
    words = ", ".join(f"{row.rouge1:.2f} on {row.articles:,} articles" for row in nearest.itertuples())
    return Measured(int(nearest.sentences.iloc[0]), f"R-1 of the first sentence: {words}")


@recompute("A27")
def eleven_billion_on_generation() -> tuple[float, ...]:
    """T5-11B minus the previous best: En-De, En-Fr, En-Ro, and ROUGE-1 on CNN/DM."""
    table = load_table("t5_generation").set_index("model")
    return tuple(round(float(value), 6) for value in table.loc["T5-11B"] - table.loc["Previous best"])


@recompute("A28")
def bart_beside_t5() -> tuple[float, float]:
    """BART's R-1 on CNN/DM minus the previous best of C49, and minus T5-11B's."""
    t5 = load_table("t5_generation").set_index("model").cnndm_rouge1
    return round(_bart() - t5["Previous best"], 6), round(_bart() - t5["T5-11B"], 6)


@recompute("X14")
def best_of_both_slides() -> Measured:
    """The highest R-1 on CNN/DM that either slide prints, T5 aside."""
    return Measured(_bart(), "BART, whose paper is of the same month as T5's")


@recompute("F27")
def the_length_is_the_score() -> Measured:
    """Whether ROUGE-L is the length of the longest common subsequence."""
    ours, theirs = "the mat sat on the cat", "the cat sat on the mat"
    length, score = lcs_length(ours.split(), theirs.split()), rouge_l(ours, theirs).f1
    return Measured(length == score, f"a length of {length} words is an F1 of {score:.2f}")


def _bart() -> float:
    return float(load_table("bart_rouge").set_index("model").cnndm_r1["BART"])


def _gain():
    table = load_table("bart_rouge").set_index("model")
    return table.loc["BART"] - table.drop("BART").max()
