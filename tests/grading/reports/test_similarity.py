"""Near-identical answers: found under other names, not found where everybody writes the same."""

import ast
from dataclasses import replace

import pytest

from lib import NOTEBOOKS, ROOT
from lib.grading.assignment.item import Item
from lib.grading.reports import own_source
from lib.grading.reports.own_source import copied_from, known_shapes
from lib.grading.reports.similarity import (
    FEW,
    LEAST_RARE,
    LONGEST,
    NEAR,
    RUN,
    _near_pairs,
    _without_common,
    groups,
    pieces_of,
    runs_of,
    similarity,
)
from lib.grading.worker import shape, statements
from tests.grading.fake_class import COPIED, SOURCES, shape_of

SHORT = SOURCES["mlm.loss"][0]
RENAMED = COPIED.replace("total", "s").replace("place", "j").replace("# go through", "# we walk over")
LONGER = COPIED.replace("    total, count", "    answer = 42\n    total, count")
OTHER = """def mlm_loss(logits, labels):
    parts = []
    for scores, wanted in zip(logits, labels):
        chosen = [i for i, label in enumerate(wanted.tolist()) if label >= 0]
        parts.extend(-torch.log_softmax(scores[i], -1)[wanted[i]] for i in chosen)
    if not parts:
        return torch.zeros(())
    return torch.stack(parts).sum().div(len(parts))"""


def found(sources, known=()):
    """The groups of answers, each given as its source, or as that of the answer and of what it calls."""
    texts = {name: [text] if isinstance(text, str) else text for name, text in sources.items()}
    shapes = {name: pieces_of(shape_of(first), map(shape_of, more)) for name, (first, *more) in texts.items()}
    return groups(shapes, map(shape_of, known))


def test_a_copy_under_other_names_is_found():
    (group,) = found({"ada": COPIED, "bob": OTHER, "cem": RENAMED, "dan": SHORT})
    assert group.students == ("ada", "cem") and group.similarity == 1


def test_a_copy_with_one_more_line_is_near():
    (group,) = found({"ada": COPIED, "bob": LONGER, "cem": OTHER})
    assert group.students == ("ada", "bob") and NEAR < group.similarity < 1


def test_who_is_near_to_one_of_a_group_belongs_to_it():
    (group,) = found({"ada": COPIED, "bob": LONGER, "cem": RENAMED, "dan": OTHER})
    assert group.students == ("ada", "bob", "cem") and group.similarity < 1


def test_two_groups_are_two():
    first, second = found({"ada": COPIED, "bob": LONGER, "cem": OTHER, "dan": OTHER})
    assert (first.students, second.students) == (("cem", "dan"), ("ada", "bob"))


WRAPPER = "def mlm_loss(logits, labels):\n    return work(logits, labels)"
DECOY = OTHER.replace("mlm_loss", "decoy").replace("labels", "wanted_ones")


def test_a_copy_hidden_in_a_helper_is_found():
    inside = RENAMED.replace("def mlm_loss", "def work")
    for hidden in ([WRAPPER, inside], [WRAPPER + "\n" + "    # and nothing else", DECOY, inside]):
        (group,) = found({"ada": COPIED, "bob": hidden, "cem": SHORT})
        assert group.students == ("ada", "bob") and group.similarity > NEAR
    (group,) = found({"ada": [WRAPPER, inside], "bob": [WRAPPER, inside.replace("total", "t")], "cem": OTHER})
    assert group.students == ("ada", "bob")


def test_a_copy_cut_into_two_helpers_is_found_as_a_whole():
    first, second = COPIED, OTHER.replace("mlm_loss", "other")
    both = [WRAPPER, first, second]
    (group,) = found({"ada": both, "bob": [both[0], RENAMED, second], "cem": SHORT})
    assert group.students == ("ada", "bob")


def test_nobody_is_alike_with_himself():
    assert found({"ada": [WRAPPER, COPIED, RENAMED], "bob": OTHER}) == []


def test_pieces_of_one_student_count_once_for_what_many_write():
    three = {name: [WRAPPER, COPIED] for name in ("ada", "bob", "cem")}
    assert [group.students for group in found(three)] == [("ada", "bob", "cem")] and len(three) == FEW


def test_an_answer_that_is_part_of_a_longer_one_is_not_near():
    """Overlap (common / shorter) would accuse; Jaccard counts what only the longer one has."""
    longer = COPIED + "\n" + "\n".join(f"    extra_{i} = [labels[{i}], logits.sum() * {i}]" for i in range(15))
    short, long = (runs_of(shape_of(source)) for source in (COPIED, longer))
    assert len(short & long) / min(len(short), len(long)) > NEAR > similarity(short, long) > 0.1
    assert found({"ada": COPIED, "bob": longer, "cem": SHORT}) == []


def test_pairs_are_those_of_the_definition():
    """Jaccard's index, written out over all pairs, on answers at all distances from each other."""
    lines = [f"    part_{i} = [labels[{i}], logits.sum() * {i}]" for i in range(30)]
    sources = {f"s{n}": COPIED + "\n" + "\n".join(lines[:n]) for n in (0, 3, 6, 12, 24)}
    rare = _without_common({runs_of(shape_of(text)): {name} for name, text in sources.items()}, 1000, ())
    near = {frozenset(pair): value for pair, value in _near_pairs(rare).items()}
    for a in rare:
        for b in rare:
            value = len(rare[a] & rare[b]) / len(rare[a] | rare[b])
            assert a == b or near.get(frozenset((a, b)), 0) == (value if value >= NEAR else 0)
    assert 0 < len(near) < 10


def tokens(count, mark, changed=0):
    """A shape of `count` runs, all of them rare: tokens that nobody else has, the last `changed` others still."""
    own = [f"{mark}{i}" for i in range(count + RUN - 1 - changed)]
    return own + [f"{mark}-changed{i}" for i in range(changed)]


def alike(*shapes, size=0):
    """The groups of these shapes, in a class with `size` others."""
    others = {f"other{i}": [[]] for i in range(size)}
    return groups({f"s{i}": [shape] for i, shape in enumerate(shapes)} | others)


def test_forty_rare_runs_are_enough_and_39_are_not():
    (group,) = alike(tokens(LEAST_RARE, "a"), tokens(LEAST_RARE, "a"))
    assert (group.similarity, group.rare) == (1, 40) and alike(*[tokens(LEAST_RARE - 1, "a")] * 2) == []


def test_a_similarity_of_just_seven_tenths_is_near():
    """By hand: of 170 runs each, 140 common: 140 / (170 + 170 − 140) = 0.7."""
    one, other = tokens(170, "a"), tokens(170, "a", changed=30)
    assert len(runs_of(one) & runs_of(other)) == 140
    (group,) = alike(one, other)
    assert group.similarity == NEAR and alike(one, tokens(170, "a", changed=31)) == []


@pytest.mark.parametrize("writers, size, rare", [(3, 10, True), (4, 80, True), (4, 79, False), (6, 120, True)])
def test_a_run_of_a_twentieth_of_the_class_is_rare(writers, size, rare):
    assert bool(alike(*[tokens(60, "a")] * writers, size=size - writers)) is rare


def test_a_group_says_its_worst_pair_and_its_shortest_piece_and_the_most_similar_comes_first():
    a, b, c = tokens(100, "a"), tokens(100, "a", changed=5), tokens(90, "a")
    first, second, third = alike(a, b, c, tokens(50, "z"), tokens(50, "z"), tokens(60, "y"), tokens(60, "y"))
    assert (first.students, second.students) == (("s5", "s6"), ("s3", "s4")) and first.rare == 60
    assert third.students == ("s0", "s1", "s2") and third.rare == 90
    assert third.similarity == min(similarity(*map(runs_of, pair)) for pair in ((a, b), (a, c), (b, c)))


def test_what_is_common_is_left_out_before_answers_are_compared():
    known = tokens(100, "k")
    shapes = {"ada": [known + tokens(50, "a")], "bob": [known + tokens(50, "b")]}
    assert groups(shapes, [known]) == []
    (group,) = groups({name: [known + tokens(50, "a")] for name in shapes}, [known])
    assert group.rare == 50 + 2 * (RUN - 1) - (RUN - 1)


def test_tokens_beyond_the_longest_do_not_count():
    assert runs_of(["a", *tokens(LONGEST, "x")]) == runs_of(["a", *tokens(LONGEST, "x")][:LONGEST])


def test_short_answers_say_nothing():
    assert found({"ada": SHORT, "bob": SHORT}) == []


def test_what_many_write_says_nothing():
    many = {f"s{i}": COPIED for i in range(FEW + 1)}
    assert found(many) == [] and len(found(dict(list(many.items())[:FEW]))) == 1
    of_hundred = many | {f"t{i}": SHORT for i in range(100)}
    assert len(found(of_hundred)[0].students) == FEW + 1, "four of a hundred are few"


def test_known_answers_are_nobodys():
    assert found({"ada": COPIED, "bob": COPIED}, known=[RENAMED]) == []
    assert found({"ada": LONGER, "bob": LONGER}, known=[COPIED]) == [], "one own line is too little"


def test_a_class_of_one_or_none_has_no_groups():
    assert groups({}) == [] and found({"ada": COPIED}) == []


def test_odd_shapes_do_no_harm():
    odd = {"ada": [], "bob": [], "cem": ["x"] * 100_000, "dan": ["\ud800", "n" * 10_000]}
    assert groups({name: [shape] for name, shape in odd.items()}) == [] == groups({"ada": [], "bob": [[]]})


def test_the_order_of_the_class_changes_nothing():
    sources = {"ada": COPIED, "bob": LONGER, "cem": OTHER, "dan": OTHER, "eve": RENAMED}
    assert found(sources) == found(dict(reversed(sources.items())))


def test_a_sign_makes_a_difference():
    runs = [runs_of(shape_of(source)) for source in (COPIED, COPIED.replace("log_z -", "log_z +"))]
    assert NEAR < similarity(*runs) < 1
    assert similarity(frozenset(), frozenset()) == 0


def test_the_index_finds_what_a_comparison_of_all_pairs_finds():
    shapes = [shape_of(source) for source in (COPIED, LONGER, RENAMED, OTHER, SHORT)]
    functions, _ = own_source._library()
    for runs in [*map(runs_of, shapes), *(ours.runs for ours in functions[::40])]:
        near = {ours.name for ours in functions if similarity(runs, ours.runs) >= own_source.LIKE_OURS}
        assert near <= {ours.name for ours in own_source._candidates(runs)}


def pasted(least):
    """A function of the library of at least so many tokens: what is known of it, its shape and its source."""
    several = (each for each in own_source._library()[0] if least <= each.tokens < least + 60 and len(each.lines) > 4)
    ours = next(several)
    path, name = ours.name.split(": ")
    text = (ROOT / path).read_text()
    tree = ast.parse(text)
    node = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)
    return ours, shape.shape_of(node, statements.import_names(tree)), ast.get_source_segment(text, node)


@pytest.mark.parametrize("least", [own_source.LEAST_TOKENS, 150])
def test_a_function_of_the_library_is_recognised(least):
    ours, tokens, source = pasted(least)
    copied = copied_from(tokens, source)
    assert copied.name == ours.name and copied.similarity == 1 and copied.same_lines == copied.lines
    reworded = copied_from(tokens, "nothing of it word for word")
    assert (reworded is None) == (ours.tokens < own_source.TELLING_TOKENS)
    assert reworded is None or reworded.same_lines == 0


def test_own_work_is_not_the_librarys():
    for source in (COPIED, LONGER, OTHER, SHORT, *SOURCES["mlm.slot_probabilities"]):
        assert copied_from(shape_of(source), source) is None
    assert copied_from([], "") is None


def test_the_solution_the_reference_and_the_mistakes_are_known():
    item = Item("04_mlm_masking.ipynb", "mlm.loss", "", (), 3)
    assert (NOTEBOOKS / item.notebook).is_file()
    known = known_shapes(item)
    assert len(known) > 2 and all(tokens[0] == "FunctionDef" for tokens in known)
    solution = tuple(own_source._in_notebook(item))
    assert len(solution) == 1 and known[0] == solution[0]
    former = replace(item, notebook="04_mlm_masking.ipynb")  # of a release before the lectures were renumbered
    assert tuple(own_source._in_notebook(former)) == solution


def test_an_exercise_or_notebook_of_another_version_has_no_known_answers():
    assert known_shapes(Item("99_none.ipynb", "none.such", "", (), 3)) == ()
    assert known_shapes(Item("../README.md", "none.such", "", (), 3)) == ()


def test_half_a_function_of_the_library_is_not_ours():
    ours, tokens, source = pasted(150)
    half = [*tokens[: 2 * len(tokens) // 3], *shape_of(OTHER)]
    assert 0.3 < similarity(runs_of(half), ours.runs) < own_source.LIKE_OURS
    assert copied_from(half, source) is None


@pytest.mark.parametrize("tokens_of_ours, lines, same, copied", [
    (100, 10, 0, True), (99, 10, 8, True), (99, 10, 7, False), (99, 1, 1, False), (99, 3, 3, True), (40, 2, 2,
    False), (99, 20, 16, True),
])  # fmt: skip
def test_a_short_function_of_the_library_needs_its_lines(monkeypatch, tokens_of_ours, lines, same, copied):
    """2 lines are fewer than 8 tenths of the 3 that are asked at least."""
    shape_ = tokens(60, "a")
    ours = own_source.LibraryFunction(
        "lib/a.py: f", runs_of(shape_), tokens_of_ours, tuple(f"line {i}" for i in range(lines))
    )
    index = {run: [0] for run in ours.runs}
    monkeypatch.setattr(own_source, "_library", lambda: ([ours], index))
    source = "def f(x):\n" + "\n".join(f"    line {i}  " for i in range(same)) + "\n    line 0" * 3
    found = copied_from(shape_, source)
    assert (found is not None) is copied
    assert found is None or (found.same_lines, found.lines, found.similarity) == (max(same, 1), lines, 1)


def test_of_several_functions_the_one_with_the_most_lines(monkeypatch):
    shape_ = tokens(60, "a")
    one, other, far = (
        own_source.LibraryFunction(f"lib/{name}.py: f", runs_of(shape), 200, lines)
        for name, shape, lines in (
            ("a", shape_, ("x", "y")),
            ("b", shape_, ("x", "z")),
            ("c", tokens(60, "c"), ("x", "y")),
        )
    )
    index = {run: [0, 1] for run in one.runs} | {run: [2] for run in far.runs}
    monkeypatch.setattr(own_source, "_library", lambda: ([one, other, far], index))
    assert copied_from(shape_, "  x\ny").name == "lib/a.py: f" and copied_from(shape_, "z\nx").name == "lib/b.py: f"
    assert copied_from(shape_, "").name == "lib/b.py: f"  # the last by name, so that it is always the same one
    assert copied_from(tokens(60, "c"), "").name == "lib/c.py: f"
