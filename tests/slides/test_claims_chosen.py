"""Names of slides, claims chosen and shown: what holds whatever the verdicts are called."""

from fractions import Fraction

import pytest

from lib.slides.claimed import HEADER, as_text, audit, read_claims
from lib.slides.decks import check_slide
from lib.slides.verdicts import VERDICTS


@pytest.mark.parametrize(
    "value, text",
    [(True, "true"), (False, "false"), (1234567, "1,234,567"), (0.1234567, "0.123457"), (1234567.0, "1.23457e+06"),
     ("MLM", "MLM"), (Fraction(1, 3), "0.333333"), ((1, (2.5, "a")), "1; 2.5; a"), (-1000, "-1,000")],
)  # fmt: skip
def test_values_are_shown_in_readable_form(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize("deck, last", [("C", 52), ("T", 48), ("N", 47), ("W", 31)])
def test_the_first_and_the_last_slide_of_a_deck_are_slides(deck, last):
    assert check_slide(f"{deck}01") == f"{deck}01" and check_slide(f"{deck}{last}") == f"{deck}{last}"
    for name in (f"{deck}00", f"{deck}{last + 1}", f"{deck}01\n", f" {deck}01", f"{deck}1", deck.lower() + "01"):
        with pytest.raises(ValueError, match="slide must be one of C01-C52, T01-T48, N01-N47, W01-W31"):
            check_slide(name)


def test_both_choices_of_an_audit_hold_together():
    """Slide W12 has claims of several verdicts, and other slides have claims of each."""
    found = {verdict: [row.id for row in audit(slide="W12", verdict=verdict)] for verdict in VERDICTS}
    for verdict, ids in found.items():
        assert ids == [row.id for row in audit(slide="W12") if row.verdict == verdict]
    assert sum(map(len, found.values())) == len(audit(slide="W12")) and sum(map(bool, found.values())) > 1


def write(path, **row):
    """A claims file with one claim, by the names of its columns; the others are empty."""
    cells = {"printed": "x", "value": "1", "verdict": "exact"} | row
    path.write_text(",".join(HEADER) + "\n" + ",".join(cells.get(name, "") for name in HEADER) + "\n")
    return path


@pytest.mark.parametrize("id", ["C19a", "N09b", "A48", "A48b", "F01", "X09"])
def test_a_claim_of_two_slides_may_be_named_by_each(tmp_path, id):
    (found,) = read_claims(write(tmp_path / "claims.csv", id=id, slide="N09 C19", tolerance="0.5")).values()
    assert found.slides == ("N09", "C19") and found.slide == "N09 C19" and str(found.tolerance) == "0.5"
    (exact,) = read_claims(write(tmp_path / "claims.csv", id=id, slide="N09 C19")).values()
    assert exact.tolerance is None


@pytest.mark.parametrize("id", ["A1", "A001", "G01", "C19A", "C19ab", "C20a", "a48", "A48aa", "C19", "A48a\u0301"])
def test_an_id_of_another_form_or_slide_is_refused(tmp_path, id):
    with pytest.raises(ValueError, match="line 2: id must be a check"):
        read_claims(write(tmp_path / "claims.csv", id=id, slide="N09 C19"))
