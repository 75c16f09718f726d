"""The registry: reading it, every claim recomputed, no verdict by hand that the computation contradicts."""

import dataclasses
import re

import pytest

from lib.slides import audit, claim, claims
from lib.slides import claimed as module
from lib.slides.claimed import HEADER, as_text, count_causes, read_claims
from lib.slides.registry import Measured, recomputations, recompute
from lib.slides.verdicts import DIFFERS, JUDGED, VERDICTS

GOOD = {"id": "A48", "slide": "N09", "printed": "100 %", "value": "100; 50", "unit": "%", "tolerance": "",
        "verdict": "exact", "cause": "", "note": ""}  # fmt: skip


def write(path, *changes, header=HEADER):
    """A claims file with one row per dict of changes to a good row."""
    rows = [dict(GOOD) | change for change in changes]
    lines = [",".join(header)] + [",".join(f'"{row[name]}"' for name in HEADER) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_claim_has_a_function_and_every_function_a_claim():
    assert set(claims()) == set(recomputations())


@pytest.mark.parametrize("claim_id", claims())
def test_the_computation_allows_the_verdict_that_a_person_wrote(claim_id):
    row = claim(claim_id)
    assert row.computed == (DIFFERS if row.expected in JUDGED else row.expected), row
    assert row.verdict == row.expected and row.agrees


@pytest.mark.parametrize("claim_id", [row.id for row in claims().values() if row.expected in JUDGED])
def test_every_judgement_says_why_in_a_line(claim_id):
    assert 0 < len(claim(claim_id).note) <= 150


def test_errors_are_counted_by_their_causes():
    counted = count_causes(claims().values())
    alone = [row for row in claims().values() if row.expected == "error" and not row.causes]
    assert counted["error"] == len(alone) < sum(row.expected == "error" for row in claims().values())
    assert count_causes([claim("F19a"), claim("F19b")]) == count_causes([claim("A58")])  # one bracket
    assert count_causes([claim("X02")]) == {"convention": 0, "imprecise": 0, "slip": 1, "error": 1}  # 54B and 520B


def test_what_is_no_error_of_a_deck_is_none():
    """No quoted chatbot, no usage, no last digit of a name, no figure that is right in the paper's own table."""
    for name in ("A36b", "A36d", "F14b", "F18b", "F30", "X10", "A21c", "C18b", "X12", "A19b", "A16", "A46", "A40b"):
        assert claim(name).verdict != "error", name
    assert {claim(name).verdict for name in ("A47", "A51d", "F13a", "F24a")} == {"slip"}
    assert {claim(name).verdict for name in ("F01", "F02", "A58", "A42b", "N47a")} == {"error"}


def test_a_statement_that_does_not_hold_is_printed_as_true():
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


def test_the_claims_that_were_missing_are_there():
    added, counted = (text.split(" ") for text in ("C18d W13a W13b F03 F06 X06 X16 X17", "T22e"))
    assert set(added + counted) <= set(claims())
    assert claim("X16").verdict == "rounded" and claim("X16").recomputed[0] == claim("C08a").recomputed
    assert claim("X17").detail == "C09 adds 0 parameters to the encoder, W11 24,031,488"
    assert claim("X06").detail == "T43: BooksCorpus, English Wikipedia"
    assert claim("F03").detail.endswith("in brackets 1.040")  # 1.5 ln 2
    label, text, both = (float(word) for word in re.findall(r"-\d\.\d+", claim("F06").detail))
    assert both == pytest.approx(label + 0.5 * text, abs=0.002)


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
    assert {row.id for row in audit(slide="W03")} == {"A05b", "C18b", "C18c", "C18d", "X01", "X09"}
    assert [row.id for row in audit(slide="W12", verdict="imprecise")] == ["F08"]
    assert sum(len(audit(verdict=verdict)) for verdict in VERDICTS) == len(claims())
    assert len(audit()) == len(claims())


@pytest.mark.parametrize("arguments, complaint", [
    ({"slide": "C53"}, "slide must be one of C01-C52"), ({"slide": "Z01"}, "slide must be"),
    ({"slide": "C00"}, "slide must be"), ({"slide": ""}, "slide must be"),
    ({"verdict": "wrong"}, "verdict must be one"), ({"verdict": "differs"}, "verdict must be one"),
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
    ({"verdict": "differs"}, "verdict must be one of exact, rounded, convention, imprecise, slip, error"),
    ({"verdict": "slip"}, "note is empty, and must say why the claim is 'slip'"),
    ({"cause": "A99", "verdict": "slip", "note": "why"}, "cause must be the id of a claim, got 'A99'"),
    ({"cause": "A48", "verdict": "slip", "note": "why"}, "cause must be a claim with one of .* got 'A48'"),
])  # fmt: skip
def test_a_malformed_row_is_named_by_its_line(tmp_path, change, complaint):
    path = write(tmp_path / "claims.csv", {}, {"id": "A49"} | change)
    with pytest.raises(ValueError, match=f"claims.csv, line 3: .*{complaint}"):
        read_claims(path)


def test_a_claim_has_the_verdict_of_its_cause_and_a_cause_has_none_itself(tmp_path):
    root = {"id": "A49", "verdict": "slip", "note": "a misprint"}
    follows = root | {"id": "A50", "cause": "A49"}
    known = read_claims(write(tmp_path / "claims.csv", root, follows))
    assert known["A50"].causes == ("A49",) and known["A49"].causes == ()
    with pytest.raises(ValueError, match="line 3: verdict must be that of its cause, slip, got exact"):
        read_claims(write(tmp_path / "claims.csv", root, follows | {"verdict": "exact"}))
    with pytest.raises(ValueError, match="line 4: cause must be a claim with one of .* no cause of its own"):
        read_claims(write(tmp_path / "claims.csv", root, follows, follows | {"id": "A51", "cause": "A50"}))


def test_of_several_causes_the_gravest_decides(tmp_path):
    slip, error = ({"id": i, "verdict": v, "note": "why"} for i, v in (("A49", "slip"), ("A50", "error")))
    both = {"id": "A51", "verdict": "error", "cause": "A49 A50", "note": "why"}
    assert read_claims(write(tmp_path / "claims.csv", slip, error, both))["A51"].causes == ("A49", "A50")
    with pytest.raises(ValueError, match="verdict must be that of its cause, error, got slip"):
        read_claims(write(tmp_path / "claims.csv", slip, error, both | {"verdict": "slip"}))


def test_an_id_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="line 3: id A48 is repeated"):
        read_claims(write(tmp_path / "claims.csv", {}, {}))


def test_a_ragged_row_another_header_and_no_file_are_refused(tmp_path):
    path = write(tmp_path / "claims.csv", {})
    path.write_text(path.read_text() + "A49,C19\n")
    with pytest.raises(ValueError, match="line 3: expected 9 cells, got 2"):
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
    row = only((100, 60))
    assert (row.computed, row.verdict, row.agrees) == ("differs", "differs", False)


@pytest.mark.parametrize("judged", JUDGED)
def test_a_judgement_holds_only_where_the_computation_differs(only, judged):
    row = only((100, 60), verdict=judged, note="why")
    assert (row.computed, row.verdict, row.agrees) == ("differs", judged, True)
    for result, computed in (((100, 50), "exact"), ((100, 50.4), "rounded")):
        row = only(result, verdict=judged, note="why")
        assert (row.verdict, row.agrees) == (computed, False)


def test_a_claim_names_its_cause_beside_its_verdict():
    assert repr(claim("X02")).splitlines()[0] == "X02 (slide N47, T22, T43): error, as A51d and N47a"
    assert repr(claim("A58")).splitlines()[0] == "A58 (slide T32): error"


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
