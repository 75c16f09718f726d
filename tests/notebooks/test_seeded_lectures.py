"""The lectures' own seeds: each table is of the present cells, says what the text says, and other seeds run as well."""

import math
import random
from operator import gt, lt, sub, truediv
from statistics import mean, median, stdev

import pytest

from lib.course.run import job_for
from lib.lectures import notebooks, seeded
from lib.lectures.execution import execute
from lib.lectures.lint.second_edition import is_second

LOADED = {path: notebooks.load(path) for path in notebooks.all_notebooks()}
SEEDED = [cells for path, notebook in LOADED.items() if (cells := seeded.seeded_cells(notebook, path))]
SECOND = [path for path, notebook in LOADED.items() if is_second(notebook) and "seed" in notebooks.parameters(notebook)]
OTHERS = random.Random(20_240_901).sample(range(1000, 2**32), 3)
"""Seeds that no table has."""

each_seeded = pytest.mark.parametrize("cells", SEEDED, ids=lambda cells: cells.name)


def column(name, of):
    """The column `name` of the table of lecture `of`, as numbers (False: 0, True: 1)."""
    file = next(cells.file for cells in SEEDED if cells.name == of)
    words = {"True": 1.0, "False": 0.0}
    return [words[row[name]] if row[name] in words else float(row[name]) for row in seeded.table(file)]


def lost_hump(t):
    """In how many runs without a penalty the gold reward rises by 0.2 or more and then loses 0.2 or more."""
    return sum(
        best - start >= 0.2 and best - end >= 0.2
        for best, start, end in zip(t("none.best"), t("start.gold"), t("none.gold"))
    )


def within(values, low, high):
    return low <= min(values) and max(values) < high


CLAIMS = [  # lecture, what it says, whether its table says so
    ("01_attention", "one of 64 keys gets 0.89 of the weight", lambda t: min(t("scale.largest_weight")) > 0.885),
    ("01_attention", "the largest weight near 0.11", lambda t: max(t("scale.largest_weight_scaled")) < 0.115),
    ("01_attention", "We tried 30 seeds. On new texts the loss with the wrong mask was below 0.001 in all of them",
     lambda t: max(t("leak.off_by_one")) < 0.001),
    ("01_attention", "the loss with the right one was between 2.07 and 2.09",
     lambda t: 2.07 < min(t("leak.causal")) and max(t("leak.causal")) < 2.09),
    ("01_attention", "the same model is much *worse* than chance", lambda t: min(t("leak.in_use")) > 2 * math.log(8)),
    ("01_attention", "at most 4 of 12 verbs and 4 of 12 objects, but once 7 of 12 nouns for pronouns (the median was 3)",
     lambda t: max(t("random.verbs")) == max(t("random.objects")) == 4
     and sorted(t("random.nouns"))[-2:] == [6, 7] and median(t("random.nouns")) == 3),
    ("02_the_transformer", "This was so in all five runs, and for each of 30 values of `seed`",
     lambda t: all(t("gradient.dead_from_8_blocks_on")) and min(t("gradient.explodes_by")) > 100 and len(t("seed")) == 30),
    ("02_the_transformer", "falls to about a quarter over 32 blocks",
     lambda t: 0.15 < min(t("gradient.falls_to_at_least")) and max(t("gradient.falls_to_at_most")) < 0.4),
    ("02_the_transformer", "it makes no difference here",
     lambda t: 0.5 < min(t("post.alike_at_least")) and max(t("post.alike_at_most")) < 2),
    ("02_the_transformer", "at 32 blocks it is thousands of times that of pre-norm", lambda t: min(t("post.apart_by")) > 2000),
    ("02_the_transformer", "Not in all: of", lambda t: sum(t("norm.without_above_100")) > 0),
    ("02_the_transformer", "the numbers overflow in every run, for each `seed` that we tried",
     lambda t: all(t("norm.overflow_in_every_run"))),
    ("02_the_transformer", "the stream stayed below 4", lambda t: max(t("norm.with")) < 4),
    ("03_words_and_vectors", "We tried 30 seeds: the cosines of *bank* with the two groups were between 0.8 and 0.9 in all of "
     "them, those of the groups with each other below 0.5",
     lambda t: len(t("seed")) == 30 and within(t("plane.bank_river") + t("plane.bank_money"), 0.8, 0.9)
     and max(t("plane.groups")) < 0.5),
    ("03_words_and_vectors", "With each of 30 seeds they were right in more than 0.92 of the sentences at every place",
     lambda t: min(t("probe.both_least")) > 0.92),
    ("03_words_and_vectors", "less than 0.15 with each of 30 seeds", lambda t: max(t("mix.word")) < 0.15),
    ("03_words_and_vectors", "With each of 30 seeds their loss ended below 0.001 nats, and those of the two others between "
     "2.07 and 2.09",
     lambda t: max(t("leak.stacked")) < 0.001 and within(t("leak.separate") + t("leak.one_layer"), 2.07, 2.09)),
    ("04_mlm_masking", "with 25 of 25 seeds the run ended 0.03 to 0.08 nats above it",
     lambda t: len(t("seed")) == 25 and within(t("plateau.above"), 0.025, 0.085)),
    ("04_mlm_masking", "All of 25 seeds reported 0.79 to 1.06 nats, with 5.99 to 6.07 at the gaps.",
     lambda t: within(t("copy.reported"), 0.785, 1.065) and within(t("copy.gaps"), 5.985, 6.075)),
    ("05_bert_fine_tuning", "With ten seeds (`course seeds 05 --table`) it was 0.65 to 0.75, above the commoner class "
     "in all of them",
     lambda t: len(t("seed")) == 10 and within(t("tune.accuracy"), 0.645, 0.755)
     and all(map(gt, t("tune.accuracy"), t("tune.commoner")))),
    ("05_bert_fine_tuning", "on strangers from another article the cosine was ahead every time, by 10 to 18 "
     "points; within one in nine of ten (from 2 points behind to 10 ahead), and this second $P$ was below 0.05 in four of them",
     lambda t: within(list(map(sub, t("cosine.other"), t("counted.other"))), 0.095, 0.185)
     and within(list(map(sub, t("cosine.same"), t("counted.same"))), -0.025, 0.105)
     and sum(map(gt, t("cosine.same"), t("counted.same"))) == 9 and sum(p < 0.05 for p in t("p.same")) == 4),
    ("06_autoregressive_objective", "the loss after 50 steps was between 6.93 and 6.99, never below the unigram model's. After "
     "100 steps it was between 6.69 and 6.79, and after 250 between 6.24 and 6.34: in 23 of 23 below the unigram "
     "model, and above the bigram model",
     lambda t: within(t("train.50"), 6.925, 6.995) and within(t("train.100"), 6.685, 6.795) and len(t("seed")) == 23
     and within(t("train.250"), 6.235, 6.345)
     and all(t("train.above_at_50") + t("train.below_at_100") + t("train.above_bigram"))),
    ("06_autoregressive_objective", "the first token got 25 to 36 % right, fresh weights 45 to 84 %, and the model trained on "
     "Wikipedia 73 to 89 %: in this order 21 times of 23",
     lambda t: within(t("pool.first"), 0.245, 0.365) and within(t("pool.fresh"), 0.445, 0.845)
     and within(t("pool.last"), 0.725, 0.895) and sum(t("pool.in_order")) == 21),
    ("07_decoding_and_in_context_learning", "With 12 seeds (other tokens, other controls) the second half has a loss of 2.2 to "
     "4.8 with all heads, 11.8 to 13.4 without the ten best, and 2.5 to 5.5 without ten others; head 7 of layer 19 has the "
     "largest score in all 12.",
     lambda t: within(t("ablation.all"), 2.15, 4.85) and within(t("ablation.best"), 11.75, 13.45)
     and within(t("ablation.others"), 2.45, 5.55) and all(t("ablation.more") + t("induction.top_is_19_7"))
     and len(t("seed")) == 12),
    ("08_denoising_bart_t5", "With ten seeds ours had 28 to 33 right, and fresh weights at most one",
     lambda t: len(t("seed")) == 10 and (min(t("ask.ours")), max(t("ask.ours"))) == (28, 33) and max(t("ask.fresh")) == 1),
    ("08_denoising_bart_t5", "With ten seeds 4 to 8 sentences were right, always fewer than the rule's 23; the recall of "
     "capitals was 8 to 13 %, their precision 18 to 34 %",
     lambda t: within(t("restore.ours"), 4, 8.5) and set(t("restore.rule")) == {23} and within(t("capitals.recall"), 7.5, 13.5)
     and within(t("capitals.precision"), 17.5, 34.5)),
    ("08_denoising_bart_t5", "all 156 answers begin with *What*, whatever the sentence, with each of ten seeds",
     lambda t: set(t("prefix.ask_what")) == {156} and within(t("prefix.restore_what"), 5, 8.5)),
    ("08_denoising_bart_t5", "(with ten seeds 70 to 77, and 9 to 15)",
     lambda t: within(t("prefix.ask_marks_of_ask"), 70, 77.5) and within(t("prefix.ask_marks_of_restore"), 9, 15.5)),
    ("08_denoising_bart_t5", "With ten seeds ours had 54.0 to 58.5",
     lambda t: within(t("bleu.ours"), 53.95, 58.55) and max(t("bleu.ours")) < min(t("bleu.rule"))),
    ("09_scaling_laws", "With 26 seeds (`course seeds 09 --table`) the line says 1.04 to 1.09, the fit with a floor 1.67 to 1.83",
     lambda t: within(t("floor.line"), 1.035, 1.095) and within(t("floor.floor"), 1.665, 1.835) and len(t("seed")) == 26),
    ("09_scaling_laws", "Kaplan's form is closer in all four runs in 9 of them; the worst of its four forecasts is off by 1.1 to "
     "5.5 %, that of the sum by 2.1 to 7.8 %",
     lambda t: sum(t("live.kaplan_closer")) == 9 and within(t("live.kaplan"), 0.0105, 0.0555)
     and within(t("live.chinchilla"), 0.0205, 0.0785)),
    ("09_scaling_laws", "in 26 seeds the upper end lay between 3.05 and 3.32, that of the line without a floor between "
     "2.65 and 2.69",
     lambda t: within(t("failure.floor_high"), 3.045, 3.325) and within(t("failure.line_high"), 2.645, 2.695)),
    ("09_scaling_laws", "the sum gave 0.43 to 0.56. The mean gave 0.29 to 0.32 in 25 of them, and 0.58 in one.",
     lambda t: within(t("early.sum"), 0.425, 0.565) and within(sorted(t("early.mean"))[:-1], 0.285, 0.325)
     and round(max(t("early.mean")), 2) == 0.58),
    ("10_alignment_and_sft", "one demonstration made all 66 answers stop every time; with all demonstrations it was "
     "43 to 66",
     lambda t: min(t("stops.1")) == 1 and within([66 * x for x in t("stops.all")], 42.5, 66.5) and len(t("seed")) == 30),
    ("10_alignment_and_sft", "but with 30 seeds 6 to 24", lambda t: within([66 * x for x in t("copied.all")], 5.5, 24.5)),
    ("10_alignment_and_sft", "(With 30 seeds, one of the 66 did in 8 of them.)",
     lambda t: sorted(t("subject.all")) == [0] * 22 + [1] * 8),
    ("10_alignment_and_sft", "tokens between cost 0.02 nats less to 0.06 more than for the base, and first tokens "
     "0.28 to 0.68 less",
     lambda t: within(t("between.all"), -0.025, 0.065) and within(t("first.all"), -0.685, -0.275)),
    ("10_alignment_and_sft", "with 30 seeds by 0.30 to 0.37 and by 0.67 to 0.87",
     lambda t: within(t("plain.all"), 0.295, 0.375) and within(t("plain.8"), 0.665, 0.875)),
    ("11_bradley_terry_reward", "it was 87 to 90 % for $K=4$, 74 to 79 % for $K=8$, and 94 to 96 % for independent pairs",
     lambda t: within(t("coverage.pairs_4"), 0.865, 0.905) and within(t("coverage.pairs_8"), 0.735, 0.795)
     and within(t("coverage.independent_8"), 0.935, 0.965)),
    ("11_bradley_terry_reward", "for $K=8$ in 23 other runs: 93 to 96 %",
     lambda t: within(t("interval.clustered_8") + t("interval.whole_8"), 0.925, 0.965)),
    ("11_bradley_terry_reward", "In 23 other runs the fit was closer to the truth than Elo with $k=32$ every time, and than "
     "$k=4$ 16 times", lambda t: sum(t("elo.fit_beats_32")) == 23 and sum(t("elo.fit_beats_4")) == 16),
    ("11_bradley_terry_reward", "beat length and random weights every time (68 to 77 % against 59 to 66 % and 57 to 67 %), "
     "and counted tokens 11 times",
     lambda t: all(t("text.beats_length")) and all(t("text.beats_random")) and sum(t("text.beats_tokens")) == 11
     and within(t("text.model"), 0.675, 0.775) and within(t("text.length"), 0.585, 0.665)
     and within(t("text.random"), 0.565, 0.675)),
    ("12_reinforce", "repeated with 30 seeds, none is off it by more than 15 %",
     lambda t: within(t("error.least") + t("error.most"), 0.85, 1.15)),
    ("12_reinforce", "1 to 11 of the 20 runs arrive without a baseline, 180 of 600 in all; without the hundred points, or "
     "with leave-one-out, all 600 do",
     lambda t: min(t("hundred.shifted")) == 1 and max(t("hundred.shifted")) == 11 and sum(t("hundred.shifted")) == 180
     and sum(t("hundred.plain")) == sum(t("hundred.loo")) == 600),
    ("12_reinforce", "4 to 11 of 50 miss it, and with leave-one-out none or one",
     lambda t: {50 - n for n in t("four.plain")} >= {4, 11} and within(t("four.plain"), 39, 47) and min(t("four.loo")) == 49),
    ("13_rlhf_ppo_dpo", "The proxy reward ends highest without a penalty in 26 of the 27.",
     lambda t: len(t("seed")) == 27
     and sum(none > max(others) for none, *others in zip(t("none.proxy"), t("third.proxy"), t("one.proxy"))) == 26),
    ("13_rlhf_ppo_dpo", "ends higher at $\\beta=0.3$ than at $\\beta=1$ in 26, and higher at $\\beta=1$ than without a "
     "penalty in 23",
     lambda t: sum(map(gt, t("third.gold"), t("one.gold"))) == 26
     and sum(map(gt, t("one.gold"), t("none.gold"))) == 23),
    ("13_rlhf_ppo_dpo", "Without a penalty it ends below its start in 15, and in 5 of these no answer is a review any more. "
     "In 17 it first rises by 0.2 or more",
     lambda t: sum(map(gt, t("start.gold"), t("none.gold"))) == 15 and sum(x == -1 for x in t("none.gold")) == 5
     and lost_hump(t) == 17),
    ("13_rlhf_ppo_dpo", "On unseen pairs the reward model is right in 58 to 72 %, with ceilings of 84 to 86 %",
     lambda t: within(t("reward.unseen"), 0.575, 0.725) and within(t("reward.ceiling"), 0.835, 0.865)),
    ("14_lora_and_peft", "it finds twice as many (2.0 to 2.3 times in each of 30 seeds)",
     lambda t: within(list(map(truediv, t("two.full"), t("two.head"))), 1.95, 2.35) and len(t("seed")) == 30),
    ("14_lora_and_peft", "LoRA is ahead in 20, full fine-tuning in 9, and once they are equal. But the difference is 0.001 in "
     "the mean, with a standard error of 0.004",
     lambda t: [sum(map(gt, t("lora.accuracy"), t("two.full"))), sum(map(lt, t("lora.accuracy"), t("two.full")))] == [20, 9]
     and round(mean(gains := list(map(sub, t("lora.accuracy"), t("two.full")))), 3) == 0.001
     and round(stdev(gains) / 30**0.5, 3) == 0.004),
    ("14_lora_and_peft", "In 30 seeds the shares lie between 0.39 and 0.92, at least 2.7 times what random numbers have, and the "
     "last layer always has the largest",
     lambda t: round(min(t("rank.least")), 2) == 0.39 and round(max(t("rank.most")), 2) == 0.92
     and min(t("rank.over_noise")) > 2.65 and all(t("rank.last_most"))),
    ("14_lora_and_peft", "in 8 to 11 of the 16 matrices more than a third lies outside",
     lambda t: within(t("rank.third_outside"), 8, 12)),
]  # fmt: skip


@each_seeded
def test_the_table_has_the_first_seeds_of_the_present_cells(cells):
    """30 where ten minutes of CPU allow, never less than ten; the text says how many."""
    rows = seeded.table(cells.file)
    assert [int(row["seed"]) for row in rows] == [*range(len(rows))] and len(rows) >= 10
    assert seeded.other_cells(rows, cells) == "", f"`course seeds {cells.name[:2]}`, once the old table is removed"
    assert list(rows[0]) == ["seed", "cells", *cells.names, "seconds"]
    assert sum(float(row["seconds"]) for row in rows) < seeded.BUDGET_SECONDS


@pytest.mark.parametrize("of, says, holds", CLAIMS, ids=[says[:40] for _, says, _ in CLAIMS])
def test_the_text_says_what_the_table_says(of, says, holds):
    path = next(path for path in LOADED if path.stem == of)
    text = " ".join(cell.source for cell in LOADED[path].cells if cell.cell_type == "markdown")
    assert says in " ".join(text.split()), "the sentence has changed: then this test changes with it"
    assert holds(lambda name: column(name, of))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", OTHERS[1:])  # with the first of them the whole lecture runs, below
@each_seeded
def test_the_training_cells_run_with_seeds_of_no_table(cells, seed):
    assert {*cells.run(seed)} == {*cells.names, "seconds"}


@pytest.mark.nightly
@pytest.mark.parametrize("path", SECOND, ids=lambda path: path.stem)
def test_a_lecture_runs_with_another_seed(path):
    execution = execute(job_for(path, LOADED[path], 600.0, {"seed": OTHERS[0]}))
    assert execution.ok, f"seed {OTHERS[0]}, cell {execution.cell}: {execution.traceback or execution.verdict}"
