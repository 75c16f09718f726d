"""Exercise of notebook 07: which tokens would repeat an n-gram?"""

from lib.exercises.engine.exercise import Exercise, Misconception, case


def forbidden(ids: list[int], n: int) -> list[int]:
    """The tokens that would complete an n-gram that stands in `ids` already, sorted, each once.

    >>> forbidden([5, 6, 7, 5, 6], 3)
    [7]
    """
    end = ids[len(ids) - n + 1 :]
    seen = {ids[i + n - 1] for i in range(len(ids) - n + 1) if ids[i : i + n - 1] == end}
    return sorted(seen)


def _cases(generator):
    import torch

    def drawn(size, length):
        return torch.randint(size, (length,), generator=generator).tolist()

    return [
        case("a trigram that came before", [5, 6, 7, 5, 6], 3),
        case("a bigram with three continuations", [1, 9, 1, 4, 1, 2, 1], 2),
        case("the same continuation twice", [3, 8, 3, 8, 3], 2),
        case("single tokens", [4, 2, 4, 7], 1),
        case("nothing came before", [1, 2, 3, 4], 2),
        case("the end came before, after other tokens", [9, 1, 2, 9, 2], 2),
        case("the same token again and again", [6, 6, 6], 2),
        case("the same token again and again, trigrams", [6, 6, 6, 6], 3),
        case("fewer tokens than n", [1, 1], 3),
        case("as many tokens as n", [1, 1], 2),
        case("no tokens", [], 2),
        case("no tokens, n is 1", [], 1),
        case("four tokens", [1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], 4),
        case("n - 1 tokens in another order", [2, 1, 7, 1, 2], 3),
        case("the place is one that steps of n jump over", [9, 1, 2, 7, 1, 2], 3),
        case("many tokens of a small vocabulary", drawn(3, 12), 2),
        case("many tokens, trigrams", drawn(3, 20), 3),
    ]


def _by_dict(ids, n):
    after = {}
    for gram in zip(*(ids[i:] for i in range(n))):
        after.setdefault(gram[:-1], set()).add(gram[-1])
    return sorted(after.get(tuple(ids[-(n - 1) :]) if n > 1 else (), set()))


def _by_trial(ids, n):
    grams = [ids[i : i + n] for i in range(len(ids) - n + 1)]
    return sorted({token for token in ids if (ids + [token])[-n:] in grams})


def _window(ids, n, end, start=0, stop=None):
    places = range(start, (len(ids) - n + 1) if stop is None else stop)
    return sorted({ids[i + n - 1] for i in places if i + n - 1 < len(ids) and ids[i : i + n - 1] == end})


def _longer_end(ids, n):
    """Looks for the last n tokens."""
    end = ids[-n:]
    return sorted({ids[i + n] for i in range(len(ids) - n) if ids[i : i + n] == end})


def _places(start, stop):
    def answer(ids, n):
        end = ids[len(ids) - n + 1 :]
        found = [ids[i + n - 1] for i in range(len(ids) - n + 1) if ids[i : i + n - 1] == end]
        return found[start:stop]

    return answer


def _apart(ids, n):
    return sorted(
        {ids[i + n - 1] for i in range(0, len(ids) - n + 1, n) if ids[i : i + n - 1] == ids[len(ids) - n + 1 :]}
    )


NGRAMS = Exercise(
    id="ngrams.forbidden",
    slides=("T39",),
    points=3,
    minutes=15,
    title="No n-gram twice",
    reference=forbidden,
    cases=_cases,
    accepts=(_by_dict, _by_trial),
    withheld=("lib.generation.penalties.forbid_repeated_ngrams",),
    misconceptions=(
        Misconception(
            "empty_slice",
            lambda ids, n: _window(ids, n, ids[-(n - 1) :]),
            "ids[-0:] is the whole list, not an empty one. For n = 1 nothing must match, and every token seen is forbidden: "
            "write the beginning of the slice as len(ids) - n + 1.",
        ),
        Misconception(
            "n_tokens_must_match",
            _longer_end,
            "You look for the last n tokens. An n-gram is n tokens together with the new one: only n - 1 have to match.",
        ),
        Misconception(
            "first_place_only",
            _places(0, 1),
            "You stop at the first place. The end may have come before several times, with different tokens after it.",
        ),
        Misconception(
            "last_place_only",
            _places(-1, None),
            "You keep only the last place. The end may have come before several times, with different tokens after it.",
        ),
        Misconception(
            "in_the_order_of_the_text",
            lambda ids, n: list(dict.fromkeys(_places(None, None)(ids, n))),
            "Your tokens stand in the order of the text. Asked for is a sorted list.",
        ),
        Misconception(
            "each_place_once",
            lambda ids, n: sorted(_places(None, None)(ids, n)),
            "A token that followed twice stands in your list twice. Collect the tokens in a set.",
        ),
        Misconception(
            "last_window_missing",
            lambda ids, n: _window(ids, n, ids[len(ids) - n + 1 :], stop=len(ids) - n),
            "Your loop ends one place too early: T tokens have T - n + 1 n-grams.",
        ),
        Misconception(
            "first_window_missing",
            lambda ids, n: _window(ids, n, ids[len(ids) - n + 1 :], start=1),
            "Your loop begins one place too late: the first n-gram begins at place 0.",
        ),
        Misconception(
            "only_the_last_token",
            lambda ids, n: sorted({ids[i + 1] for i in range(len(ids) - 1) if ids[i] == ids[-1]}),
            "You compare the last token alone, which is right for n = 2 only. The last n - 1 tokens have to match.",
        ),
        Misconception(
            "every_nth_place",
            _apart,
            "You move on by n places. N-grams overlap: one begins at every place.",
        ),
        Misconception(
            "any_order",
            lambda ids, n: sorted(
                {
                    ids[i + n - 1]
                    for i in range(len(ids) - n + 1)
                    if sorted(ids[i : i + n - 1]) == sorted(ids[len(ids) - n + 1 :])
                }
            ),
            "You compare the tokens without their order. 1, 2 and 2, 1 are different beginnings.",
        ),
        Misconception(
            "whole_ngrams",
            lambda ids, n: [
                ids[i : i + n] for i in range(len(ids) - n + 1) if ids[i : i + n - 1] == ids[len(ids) - n + 1 :]
            ],
            "You return whole n-grams. Asked for are the tokens that would complete them.",
        ),
    ),
    hints=(
        "Take the last n - 1 tokens. Where did the same n - 1 tokens stand before, and what came after them?",
        "An n-gram begins at each i from 0 to len(ids) - n. Compare ids[i : i + n - 1] with the end, and collect ids[i + n - 1].",
    ),
)

EXERCISES = (NGRAMS,)
