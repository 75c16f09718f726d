"""Exercise of notebook 03: cut a word with the merges that were learned."""

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.text.subword import bpe_encode


# --- bpe.encode -------------------------------------------------------------------------------------------------------
def _cases(generator):
    sea = [("s", "h"), ("s", "e"), ("sh", "e"), ("l", "l"), ("ll", "s"), ("se", "a")]
    return [
        case("a word of the line", "shells", sea),
        case("a new word", "seashore", sea),
        case("no letter was ever seen", "xyz", sea),
        case("no merges", "sea", []),
        case("an empty word", "", sea),
        case("one letter", "s", sea),
        case("the same pair twice", "sese", [("s", "e")]),
        case("a pair of two equal letters, three in a row", "aaab", [("a", "a")]),
        case("two equal letters, five in a row, and again", "aaaaa", [("a", "a"), ("aa", "aa")]),
        case("the earlier merge takes the letter of the later one", "abc", [("b", "c"), ("a", "b"), ("ab", "c")]),
        case("the earlier merge stands on the right", "xabc", [("b", "c"), ("a", "b"), ("xa", "bc")]),
        case("a longer piece could be made another way", "abcd", [("b", "c"), ("a", "b"), ("c", "d"), ("ab", "cd")]),
        case("a merge that needs another one that comes later", "abcabc", [("ab", "c"), ("a", "b")]),
        case("a merge gives two pieces with the text of another", "abab", [("a", "b"), ("ab", "ab"), ("b", "a")]),
        case("the second part is a piece that was merged", "xyza", [("y", "z"), ("x", "yz"), ("z", "a")]),
    ]


def _merged(pieces, pair):
    done, i = [], 0
    while i < len(pieces):
        found = i + 1 < len(pieces) and (pieces[i], pieces[i + 1]) == tuple(pair)
        done.append(pieces[i] + pieces[i + 1] if found else pieces[i])
        i += 2 if found else 1
    return done


def _by_rank(word, merges):
    """As the libraries do it: the earliest of the merges that are possible now, until none is."""
    rank, pieces = {tuple(pair): place for place, pair in reversed(list(enumerate(merges)))}, list(word)
    least = -1
    while True:
        possible = [rank[p] for p in zip(pieces, pieces[1:]) if rank.get(p, -1) > least]
        if not possible:
            return pieces
        least = min(possible)
        pieces = _merged(pieces, merges[least])


def _in_place(word, merges):
    pieces = list(word)
    for first, second in merges:
        i = 0
        while i < len(pieces) - 1:
            if pieces[i] == first and pieces[i + 1] == second:
                pieces[i : i + 2] = [first + second]
            i += 1
    return pieces


def _once(word, merges):
    pieces = list(word)
    for first, second in merges:
        for i in range(len(pieces) - 1):
            if (pieces[i], pieces[i + 1]) == (first, second):
                pieces[i : i + 2] = [first + second]
                break
    return pieces


def _longest_first(word, merges):
    known, pieces, start = {"".join(pair) for pair in merges}, [], 0
    while start < len(word):
        end = next((end for end in range(len(word), start, -1) if word[start:end] in known), start + 1)
        pieces.append(word[start:end])
        start = end
    return pieces


def _from_the_left(word, merges):
    """The leftmost pair that may be merged, whichever it is, until there is none."""
    pieces, known = list(word), {tuple(pair) for pair in merges}
    while (i := next((i for i, p in enumerate(zip(pieces, pieces[1:])) if p in known), None)) is not None:
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return pieces


def _one_walk(word, merges):
    known, pieces, i, done = {tuple(pair) for pair in merges}, list(word), 0, []
    while i < len(pieces):
        found = i + 1 < len(pieces) and (pieces[i], pieces[i + 1]) in known
        done.append(pieces[i] + pieces[i + 1] if found else pieces[i])
        i += 2 if found else 1
    return done


def _overlapping(word, merges):
    """Every place where the pair stands, also where its first piece has been used up."""
    pieces = list(word)
    for pair in merges:
        starts = [i for i, p in enumerate(zip(pieces, pieces[1:])) if p == tuple(pair)]
        ends = {i + 1 for i in starts} - set(starts)
        pieces = [a + (pieces[i + 1] if i in starts else "") for i, a in enumerate(pieces) if i not in ends]
    return pieces


def _by_text(word, merges):
    """Marks are put between pieces, and the text of the pair is replaced, also where it ends or begins within a piece."""
    text = " ".join(word)
    for first, second in merges:
        text = text.replace(f"{first} {second}", first + second)
    return text.split()


def _by_letters(word, merges):
    """Two neighbours are joined if together they spell the pair, wherever the cut between them is."""
    pieces = list(word)
    for pair in merges:
        i = 0
        while i < len(pieces) - 1:
            if pieces[i] + pieces[i + 1] == "".join(pair):
                pieces[i : i + 2] = ["".join(pair)]
            i += 1
    return pieces


def _from_the_right(word, merges):
    pieces = list(word)
    for pair in merges:
        i = len(pieces) - 2
        while i >= 0:
            if (pieces[i], pieces[i + 1]) == tuple(pair):
                pieces[i : i + 2] = ["".join(pair)]
                i -= 1
            i -= 1
    return pieces


def _no_empty_word(word, merges):
    if not word:
        raise IndexError("list index out of range")
    return bpe_encode(word, merges)


ENCODE = Exercise(
    id="bpe.encode",
    slides=("N24",),
    points=4,
    minutes=20,
    title="Cut a word with learned merges",
    reference=lambda word, merges: bpe_encode(word, merges),
    cases=_cases,
    accepts=(_in_place, lambda word, merges: tuple(_by_rank(word, merges))),
    withheld=("lib.text.subword.merge_pair",),
    misconceptions=(
        Misconception(
            "one_merge_each",
            _once,
            "Each merge is done at its first place only. A pair may stand in a word several times: do all of them.",
        ),
        Misconception(
            "longest_piece_first",
            _longest_first,
            "You look for the longest piece in the word, as WordPiece does. BPE does the merges in the order in which they were "
            "learned, and a long piece may then never arise.",
        ),
        Misconception(
            "from_the_left",
            _from_the_left,
            "You merge the leftmost pair that is in the list. The order of the *list* counts: first its first merge, everywhere "
            "in the word, then its second.",
        ),
        Misconception(
            "one_walk",
            _one_walk,
            "You walk through the word once. Pieces that were merged can be merged again: each merge of the list needs a walk of "
            "its own.",
        ),
        Misconception(
            "reversed_order",
            lambda word, merges: bpe_encode(word, list(merges)[::-1]),
            "You do the last merge first. The first one was learned first and comes first.",
        ),
        Misconception(
            "order_by_length",
            lambda word, merges: bpe_encode(word, sorted(merges, key=lambda pair: -len("".join(pair)))),
            "You do the merges that make long pieces first. They are done in the order in which they were learned.",
        ),
        Misconception(
            "overlapping",
            _overlapping,
            "In *aaab* the pair (a, a) stands at two places, but they share a letter. From left to right, go on behind the "
            "pair that you have merged.",
        ),
        Misconception(
            "letters_only",
            lambda word, merges: list(word),
            "You return the letters. Now do the merges, one after the other.",
        ),
        Misconception(
            "joined",
            lambda word, merges: " ".join(bpe_encode(word, merges)),
            "You return one string. The result is a list of pieces.",
        ),
        Misconception(
            "merges_until_nothing_changes",
            lambda word, merges: _until_stable(word, merges),
            "You go through the list again and again until nothing changes. Each merge has one turn, in its order.",
        ),
        Misconception(
            "replaced_text",
            _by_text,
            "Your replacement also finds the pair where it ends or begins within a longer piece: it joins (a, b) in *xa b*. Only "
            "whole pieces count.",
        ),
        Misconception(
            "joined_letters",
            _by_letters,
            "You compare the joined letters. The pair (ab, c) is the piece *ab* before the piece *c*; *a* before *bc* has the "
            "same letters and is another pair.",
        ),
        Misconception(
            "from_the_right",
            _from_the_right,
            "You go through the word from its end. In *aaab* the pair (a, a) joins the first two letters: go from the left.",
        ),
        Misconception(
            "empty_piece",
            lambda word, merges: bpe_encode(word, merges) or [""],
            "An empty word has no pieces: the result is an empty list.",
        ),
        Misconception(
            "no_empty_word",
            _no_empty_word,
            "Your code takes a letter from an empty word, which has none. Its result is an empty list.",
        ),
    ),
    hints=(
        "Begin with `pieces = list(word)`. The outer loop goes over the merges, in their order.",
        "For one merge, walk through the pieces with an index: where the pair stands, append both as one and go on by 2; else "
        "append one piece and go on by 1.",
    ),
)


def _until_stable(word, merges):
    pieces, before = list(word), None
    while pieces != before:
        before = pieces
        for pair in merges:
            pieces = _merged(pieces, pair)
    return pieces


EXERCISES = (ENCODE,)
