"""The names of the slides, their titles, and the slides that are excused."""

import pytest

from lib.slides.decks import DECKS, SLIDES, check_slide, excused_slides, slide_titles


def test_there_are_178_slides_in_four_decks():
    assert len(SLIDES) == len(set(SLIDES)) == sum(DECKS.values()) == 178
    assert (SLIDES[0], SLIDES[51], SLIDES[52], SLIDES[-1]) == ("C01", "C52", "T01", "W31")
    assert all(check_slide(slide) == slide for slide in SLIDES)


@pytest.mark.parametrize("slide", ["C00", "C53", "W32", "c08", "C8", "X01", "", "C08 "])
def test_what_no_deck_has_is_refused(slide):
    with pytest.raises(ValueError, match=f"slide must be one of C01-C52, .*, got {slide!r}"):
        check_slide(slide)


def test_every_slide_has_a_title_or_none_in_the_order_of_the_decks():
    titles = slide_titles()
    assert tuple(titles) == SLIDES
    assert [slide for slide, title in titles.items() if not title] == ["C14", "C17"]  # pictures without a heading
    assert (titles["T28"], titles["N37"]) == (
        "RLHF Optimization – Human Preferences: Bradley Terry",
        "GPT-2 (Radford et al. 2019): training objective",
    )


def test_every_excuse_has_a_reason_and_stands_in_the_order_of_the_decks():
    excused = excused_slides()
    assert list(excused) == [slide for slide in SLIDES if slide in excused] and all(excused.values())


@pytest.mark.parametrize("rows, complaint", [
    ("C99,x", "line 2: slide must be one of"), ("C01,x\nC01,y", "line 3: slide C01 is repeated"),
    ("C01", "line 2: expected 2 cells, got 1"), ("C01, ", "slide C01 is excused without a reason"),
])  # fmt: skip
def test_a_damaged_table_of_excuses_is_named_by_its_line(tmp_path, rows, complaint):
    (tmp_path / "excused.csv").write_text(f"slide,reason\n{rows}\n")
    with pytest.raises(ValueError, match=f"excused.csv.*{complaint}"):
        excused_slides(tmp_path / "excused.csv")


def test_titles_may_be_empty_but_not_missing(tmp_path):
    rows = "".join(f"{slide},\n" for slide in SLIDES if slide not in ("C02", "T48"))
    (tmp_path / "titles.csv").write_text(f"slide,title\n{rows}")
    with pytest.raises(ValueError, match="titles.csv must have a title for every slide; there is none for C02, T48"):
        slide_titles(tmp_path / "titles.csv")
    (tmp_path / "titles.csv").write_text(f"slide,title\n{rows}C02,\nT48,\n")
    assert len(slide_titles(tmp_path / "titles.csv")) == 178
