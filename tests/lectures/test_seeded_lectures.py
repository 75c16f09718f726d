"""The lectures' own seeds: each table is of the present cells, says what the text says, and other seeds run as well."""

import math
import random
from statistics import median

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
    ("02_the_transformer", "the gradient falls to a quarter over 32 blocks",
     lambda t: all(t("gradient.falls_in_every_run")) and 0.2 < min(t("gradient.falls_to")) < max(t("gradient.falls_to")) < 0.3),
    ("02_the_transformer", "This was so in all five runs, and for each of 30 values of `seed`",
     lambda t: all(t("gradient.dead_from_8_blocks_on")) and min(t("gradient.explodes_by")) > 1000),
    ("02_the_transformer", "for 14 of them, one of the five runs or more ended above 100, at worst at 96,000",
     lambda t: sum(x > 100 for x in t("norm.without_at_1_over_d")) == 14
     and round(max(t("norm.without_at_1_over_d")), -3) == 96_000),
    ("02_the_transformer", "the numbers overflow in every run, for all 30", lambda t: all(t("norm.overflow_in_every_run"))),
    ("02_the_transformer", "With the norm the stream only grows", lambda t: max(t("norm.with")) < 4),
]  # fmt: skip


@each_seeded
def test_the_table_has_30_seeds_of_the_present_cells(cells):
    rows = seeded.table(cells.file)
    assert [int(row["seed"]) for row in rows] == [*range(30)]
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
@pytest.mark.parametrize("seed", OTHERS)
@each_seeded
def test_the_training_cells_run_with_seeds_of_no_table(cells, seed):
    assert {*cells.run(seed)} == {*cells.names, "seconds"}


@pytest.mark.nightly
@each_seeded
def test_a_row_is_what_its_seed_gives_today(cells):
    """The library may have changed while the cells have not; another processor may round otherwise."""
    row, today = seeded.table(cells.file)[7], cells.run(7)
    for name in cells.names:
        if row[name] in ("True", "False"):
            assert today[name] == row[name], name
        else:
            assert float(today[name]) == pytest.approx(float(row[name]), rel=0.05, abs=1e-3), name


@pytest.mark.nightly
@pytest.mark.parametrize("path", SECOND, ids=lambda path: path.stem)
def test_a_lecture_runs_with_another_seed(path):
    execution = execute(job_for(path, LOADED[path], 600.0, {"seed": OTHERS[0]}))
    assert execution.ok, f"seed {OTHERS[0]}, cell {execution.cell}: {execution.traceback or execution.verdict}"
