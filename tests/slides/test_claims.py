"""The registry: reading it, every claim recomputed, no verdict by hand that the computation contradicts."""

import dataclasses

import pytest

from lib.slides import audit, claim, claims
from lib.slides import claimed as module
from lib.slides.claimed import HEADER, as_text, read_claims
from lib.slides.registry import Measured, recomputations, recompute

GOOD = {"id": "A48", "slide": "N09", "printed": "100 %", "value": "100; 50", "unit": "%", "tolerance": "",
        "verdict": "exact", "note": ""}  # fmt: skip


def write(path, *changes, header=HEADER):
    """A claims file with one row per dict of changes to a good row."""
    rows = [dict(GOOD) | change for change in changes]
    lines = [",".join(header)] + [",".join(f'"{row[name]}"' for name in HEADER) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_claim_has_a_function_and_every_function_a_claim():
    assert set(claims()) == set(recomputations())


@pytest.mark.parametrize("claim_id", claims())
def test_the_computed_verdict_is_the_one_that_a_person_expects(claim_id):
    row = claim(claim_id)
    assert row.verdict == row.expected, row


@pytest.mark.parametrize("claim_id", [row.id for row in claims().values() if row.expected == "erratum"])
def test_every_erratum_says_why(claim_id):
    assert claim(claim_id).note


def test_an_erratum_of_a_statement_comes_from_a_statement_printed_as_true():
    statements = [row for row in claims().values() if isinstance(row.value, bool)]
    assert statements and all(row.value is True for row in statements)


def test_what_the_slides_print_gives_these_exact_numbers():
    assert claim("A04").recomputed == 109_482_240
    assert claim("A05a").recomputed == claim("A05b").recomputed == 335_141_888
    assert claim("A04").detail.startswith("110,106,428 with MLM and NSP heads; 109,081,344")
    assert claim("A05a").detail.startswith("336,226,108 with MLM and NSP heads; 334,607,360")
    assert (claim("C18a").recomputed, claim("C18b").recomputed) == (116_534_784, 1_557_611_200)
    assert "8B: 8,028,164,096; 70B: 70,549,512,192; 405B: 405,845,000,192" in claim("X08").detail
    assert claim("F07b").detail.startswith("W11 adds 24,031,488 parameters to the encoder, BERT 622,650")


def test_measurements_lie_where_theory_puts_them():
    share = claim("C08a").recomputed
    assert abs(share - 15) < 5 * (15 * 85 / 1e6) ** 0.5  # five standard errors of a million draws
    assert sum(claim("A11").recomputed) == pytest.approx(100)
    assert "p = 0.999" in claim("F01").detail and "0.667" in claim("F01").detail
    assert "to 1.000 with h_t" in claim("F02").detail and "sum to 1.000" not in claim("F02").detail
    assert "from x = 37 on" in claim("F08").detail


def test_a_claim_shows_itself_in_plain_text():
    text = repr(claim("A48"))
    assert text.splitlines()[0] == "A48 (slide N09): exact" and "recomputed  100; 50 %" in text
    assert (claim("A48").slide, claim("A48").value, claim("A48").recomputed) == ("N09", (100, 50), (100, 50))
    with pytest.raises(dataclasses.FrozenInstanceError):
        claim("A48").note = "changed"


def test_audit_selects_by_slide_and_by_computed_verdict():
    assert [row.id for row in audit(slide="N09")] == ["A48"]
    assert {row.id for row in audit(slide="W03")} == {"A05b", "C18b", "C18c", "X01", "X09"}
    assert {row.verdict for row in audit(slide="W12", verdict="erratum")} == {"erratum"}
    assert len(audit()) == len(claims())


@pytest.mark.parametrize("arguments, complaint", [
    ({"slide": "C53"}, "slide must be one of C01-C52"), ({"slide": "Z01"}, "slide must be"),
    ({"slide": "C00"}, "slide must be"), ({"slide": ""}, "slide must be"),
    ({"verdict": "wrong"}, "verdict must be one"),
])  # fmt: skip
def test_audit_refuses_what_no_deck_and_no_rule_has(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        audit(**arguments)


def test_an_unknown_id_names_the_nearest_or_the_parts():
    with pytest.raises(ValueError, match="got 'a48'; did you mean A48"):
        claim("a48")
    with pytest.raises(ValueError, match="it has the parts A05a, A05b"):
        claim("A05")


@pytest.mark.parametrize("change, complaint", [
    ({"id": "B1"}, "id must be a check"), ({"id": "C19a"}, "id must be a check"), ({"id": ""}, "id is empty"),
    ({"slide": "C53"}, "slide must be one of"), ({"slide": "N9"}, "slide must be"),
    ({"slide": " "}, "slide is empty"),
    ({"value": "about six"}, "text must be a number"), ({"value": ""}, "value is empty"),
    ({"verdict": "fine"}, "verdict must be one of exact"), ({"tolerance": "some"}, "text must be a number"),
    ({"printed": ""}, "printed is empty"),
])  # fmt: skip
def test_a_malformed_row_is_named_by_its_line(tmp_path, change, complaint):
    path = write(tmp_path / "claims.csv", {}, {"id": "A49"} | change)
    with pytest.raises(ValueError, match=f"claims.csv, line 3: .*{complaint}"):
        read_claims(path)


def test_an_id_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="line 3: id A48 is repeated"):
        read_claims(write(tmp_path / "claims.csv", {}, {}))


def test_a_ragged_row_another_header_and_no_file_are_refused(tmp_path):
    path = write(tmp_path / "claims.csv", {})
    path.write_text(path.read_text() + "A49,C19\n")
    with pytest.raises(ValueError, match="line 3: expected 8 cells, got 2"):
        read_claims(path)
    with pytest.raises(ValueError, match="must begin with id,slide,printed"):
        read_claims(write(tmp_path / "claims.csv", {}, header=["id", "page"]))
    with pytest.raises(ValueError, match="missing"):
        read_claims(tmp_path / "none.csv")


@pytest.fixture
def only(monkeypatch, tmp_path):
    """Read one changed row, with one function to recompute it, in place of the real registry."""

    def make(result, **change):
        monkeypatch.setattr(module, "recomputations", lambda: {"A48": lambda: result})
        return read_claims(write(tmp_path / "claims.csv", change))["A48"]

    return make


def test_a_verdict_by_hand_that_the_computation_contradicts_disagrees(only):
    assert only((100, 50)).agrees
    assert not only((100, 50), verdict="erratum").agrees
    row = only((100, 60))
    assert (row.verdict, row.agrees) == ("erratum", False)


def test_a_tolerance_is_used_and_a_detail_shown(only):
    row = only(Measured(6.4, "of 3 columns"), value="6", tolerance="0.5", verdict="rounded")
    assert row.verdict == "rounded" and row.detail == "of 3 columns" and "of 3 columns" in repr(row)


def test_a_computation_of_another_kind_names_its_claim(only):
    with pytest.raises(TypeError, match="claim A48: recomputed must be a tuple"):
        _ = only(100).verdict


def test_a_claim_without_a_function_says_so(monkeypatch, tmp_path):
    row = read_claims(write(tmp_path / "claims.csv", {"id": "A99"}))["A99"]
    with pytest.raises(ValueError, match="claim A99 has no function"):
        _ = row.verdict


def test_two_functions_for_one_claim_are_refused():
    recomputations()
    with pytest.raises(ValueError, match="'A48' has two functions"):
        recompute("A48")(lambda: 1)


@pytest.mark.parametrize("value, text", [
    (109_482_240, "109,482,240"), (0.99662, "0.99662"), (True, "true"), ((1, 2.5), "1; 2.5"), ("MLM", "MLM"),
    (1_760_000_000_000, "1,760,000,000,000"),
])  # fmt: skip
def test_values_are_shown_for_people(value, text):
    assert as_text(value) == text
