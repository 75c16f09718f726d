"""The table of prompts with demonstrations: whole, of the course's sentences, and one row of it measured again."""

from itertools import permutations

import pytest

from lib.generation import Demonstration
from lib.models import load_smollm2
from lib.text.company_news import company_news
from lib.worlds.few_shot_runs import DRAWS, SHOTS, WAYS, ask, demonstrations, few_shot_runs

NEWS = [Demonstration(*row) for row in company_news()]


def test_the_table_has_every_run_once_and_its_last_labels_are_those_of_the_sentences():
    zero, *runs = few_shot_runs("draws")
    assert (zero.shots, zero.last) == (0, "")
    assert [(run.draw, run.labels, run.shots) for run in runs] == [
        (draw, way, shots) for draw in range(DRAWS) for way in WAYS for shots in SHOTS
    ]
    for run in runs:
        assert run.last == demonstrations(NEWS[:24], run.draw)[run.labels][run.shots - 1].label
    assert [run.last for run in few_shot_runs("orders")] == [order[-1].label for order in permutations(NEWS[:4])]
    for run in [zero, *runs]:
        assert all(0 <= share <= 1 for share in (run.right, run.positive, run.empty, run.calibrated))
        assert (run.right * 56) == pytest.approx(round(run.right * 56), abs=0.01)


def test_a_row_is_what_smollm2_says():
    run = few_shot_runs("draws")[1]
    shown = demonstrations(NEWS[:24], run.draw)[run.labels][: run.shots]
    found = ask(load_smollm2(), shown, NEWS[24:])
    assert found == pytest.approx((run.right, run.positive, run.empty, run.calibrated), abs=0.02)


def test_demonstrations_are_drawn_once_and_labelled_in_three_ways():
    drawn = demonstrations(NEWS[:24], 5)
    assert drawn == demonstrations(NEWS[:24], 5) != demonstrations(NEWS[:24], 6)
    assert len({tuple(text for text, _ in shown) for shown in drawn.values()}) == 1
    assert set(drawn["true"]) <= set(NEWS[:24]) and len(set(drawn["true"])) == 8
    assert all(one.label != other.label for one, other in zip(drawn["true"], drawn["exchanged"]))
    coins = [demonstrations(NEWS[:24], draw)["random"][0].label for draw in range(40)]
    assert 10 < coins.count("Positive") < 30


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="part must be 'draws' or 'orders', got 'all'"):
        few_shot_runs("all")
