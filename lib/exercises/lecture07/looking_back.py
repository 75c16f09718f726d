"""Exercise of notebook 07: how much does each head look behind the earlier occurrence of a token?"""

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


def induction_score(weights: Tensor, ids: list[int]) -> Tensor:
    """For each head the mean weight on the token after the latest earlier occurrence, over all tokens that have one.

    >>> induction_score(torch.ones(1, 3, 3).tril() / 2, [7, 8, 7])
    tensor([0.5000])
    """
    found = []
    for t, token in enumerate(ids):
        earlier = [s for s in range(t) if ids[s] == token]
        if earlier:
            found.append(weights[:, t, earlier[-1] + 1])
    return torch.stack(found).mean(dim=0) if found else weights.new_zeros(len(weights))


def _maps(heads, length, generator):
    return (
        (3 * torch.randn(heads, length, length, generator=generator))
        .masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf)
        .softmax(dim=-1)
    )


def _cases(generator):
    return [
        case("a b a", _maps(2, 3, generator), [7, 8, 7]),
        case("one token three times", _maps(2, 6, generator), [7, 8, 7, 5, 7, 9]),
        case("two tokens that repeat", _maps(3, 7, generator), [1, 2, 3, 1, 4, 2, 5]),
        case("twice the same text", _maps(2, 8, generator), [4, 3, 2, 1, 4, 3, 2, 1]),
        case("the same token twice in a row", _maps(2, 4, generator), [5, 5, 6, 7]),
        case("no token repeats", _maps(3, 4, generator), [1, 2, 3, 4]),
        case("one head, one token", _maps(1, 1, generator), [0]),
        case("token 0 repeats", _maps(2, 5, generator), [0, 3, 1, 0, 0]),
        case("as many heads as tokens", _maps(4, 4, generator), [2, 1, 2, 1]),
        case("float64", _maps(2, 5, generator).double(), [1, 2, 1, 2, 1]),
        case("many tokens", _maps(3, 12, generator), torch.randint(4, (12,), generator=generator).tolist()),
    ]


def _by_dict(weights, ids):
    last, total, number = {}, torch.zeros_like(weights[:, 0, 0]), 0
    for t, token in enumerate(ids):
        if token in last:
            total, number = total + weights[:, t, last[token] + 1], number + 1
        last[token] = t
    return total / max(number, 1)


def _variant(
    place=lambda s, t: s + 1,
    which=-1,
    read=lambda w, t, s: w[:, t, s],
    mean=lambda found, length: found.mean(dim=0),
    include=False,
):
    def answer(weights, ids):
        found = []
        for t, token in enumerate(ids):
            earlier = [s for s in range(t + include) if ids[s] == token]
            if earlier and 0 <= place(earlier[which], t) < len(ids):
                found.append(read(weights, t, place(earlier[which], t)))
        if not found:
            return torch.zeros_like(weights[:, 0, 0])
        return mean(torch.stack(found), len(ids))

    return answer


def _all_earlier(weights, ids):
    found = [
        weights[:, t, [s + 1 for s in range(t) if ids[s] == token]].sum(dim=1)
        for t, token in enumerate(ids)
        if token in ids[:t]
    ]
    return torch.stack(found).mean(dim=0) if found else weights.new_zeros(len(weights))


def _nan(weights, ids):
    found = [weights[:, t, t - 1 - ids[:t][::-1].index(ids[t]) + 1] for t in range(len(ids)) if ids[t] in ids[:t]]
    return torch.stack([*found, weights[:, 0, 0]])[:-1].mean(dim=0)


def _period(half):
    """Takes for granted that the tokens are one text written twice, with `half(T)` tokens each."""

    def answer(weights, ids):
        if len(set(ids)) == len(ids):
            return weights.new_zeros(len(weights))
        return weights.diagonal(1 - half(len(ids)), 1, 2).mean(dim=-1)

    return answer


def _from_the_half(weights, ids):
    half = len(ids) // 2
    if len(set(ids)) == len(ids):
        return weights.new_zeros(len(weights))
    return torch.stack([weights[:, t, t - half + 1] for t in range(half, 2 * half)]).mean(dim=0)


def _not_next_to_itself(older):
    """Leaves out an earlier place that is next to the token: an `older` one is taken, or none."""

    def answer(weights, ids):
        found = []
        for t, token in enumerate(ids):
            earlier = [s for s in range(t) if ids[s] == token]
            far = [s for s in earlier if s < t - 1]
            if far and (older or far == earlier):
                found.append(weights[:, t, far[-1] + 1])
        return torch.stack(found).mean(dim=0) if found else weights.new_zeros(len(weights))

    return answer


LOOKING_BACK = Exercise(
    id="looking_back.score",
    slides=("C29", "N39"),
    points=4,
    minutes=20,
    title="Is this head an induction head?",
    reference=induction_score,
    cases=_cases,
    accepts=(_by_dict,),
    withheld=("lib.evaluation.induction.induction_scores",),
    misconceptions=(
        Misconception(
            "the_token_itself",
            _variant(place=lambda s, t: s),
            "You read the weight on the earlier occurrence itself. An induction head looks at the token *after* it: "
            "one place "
            "further right.",
        ),
        Misconception(
            "the_token_before",
            _variant(place=lambda s, t: s - 1),
            "You read the weight on the token before the earlier occurrence. It is the token after it that is copied.",
        ),
        Misconception(
            "first_occurrence",
            _variant(which=0),
            "You look for the first occurrence. A token that came several times is sought at its latest earlier place.",
        ),
        Misconception(
            "rows_and_columns_exchanged",
            _variant(read=lambda w, t, s: w[:, s, t]),
            "Rows and columns are exchanged. Row t holds the weights of query t; the key is the column.",
        ),
        Misconception(
            "mean_over_all_tokens",
            _variant(mean=lambda found, length: found.sum(dim=0) / length),
            "You divide by the number of all tokens. The mean is taken over the tokens that came before.",
        ),
        Misconception(
            "sum",
            _variant(mean=lambda found, length: found.sum(dim=0)),
            "You return the sum over the tokens. Asked for is the mean, which lies between 0 and 1.",
        ),
        Misconception(
            "mean_over_heads",
            _variant(mean=lambda found, length: found.mean()),
            "You average over the heads as well. Each head has a score of its own.",
        ),
        Misconception(
            "one_number_for_each_token",
            _variant(mean=lambda found, length: found.mean(dim=1)),
            "You average over the heads and keep the tokens. Each head needs one number: average over the tokens.",
        ),
        Misconception(
            "largest",
            _variant(mean=lambda found, length: found.amax(dim=0)),
            "You take the largest weight. A head that looks back once by chance would have a high score: take the "
            "mean.",
        ),
        Misconception(
            "all_earlier_places",
            _all_earlier,
            "You add up the weights behind all earlier occurrences. Only the latest one counts.",
        ),
        Misconception(
            "nothing_to_average",
            _nan,
            "When no token repeats you take the mean of nothing, which is nan. The score of each head is then 0.",
        ),
        Misconception(
            "period_taken_for_granted",
            _period(lambda length: length // 2),
            "You take for granted that the text stands there twice, half and half: you read one diagonal. Any "
            "tokens may come: look for the latest earlier place of each.",
        ),
        Misconception(
            "period_rounded_up",
            _period(lambda length: (length + 1) // 2),
            "You read the weights at one fixed distance, half of the length. The distance is another for each "
            "token: look for its latest earlier place.",
        ),
        Misconception(
            "second_half_only",
            _from_the_half,
            "You take the second half of the tokens for a copy of the first. That is so in the lecture's test "
            "only: look for the latest earlier place of each token, wherever it is.",
        ),
        Misconception(
            "next_to_itself_skipped",
            _not_next_to_itself(older=False),
            "You leave out a token that stands twice in a row. Its latest earlier place is t - 1, so s + 1 is t "
            "itself: that weight counts, too.",
        ),
        Misconception(
            "next_to_itself_older_place",
            _not_next_to_itself(older=True),
            "Where a token stands twice in a row you pass over place t - 1, or take an older one. Earlier means "
            "any s < t: begin at t - 1.",
        ),
        Misconception(
            "itself_counts",
            _variant(include=True),
            "You count the token at place t as its own earlier occurrence. Earlier means at a place before t.",
        ),
    ),
    hints=(
        "For each place t find the latest s < t with the same token. If there is one, the weight in question is "
        "weights[:, t, s + 1].",
        "Collect these vectors of H numbers in a list and take torch.stack(found).mean(dim=0). Mind the empty list.",
    ),
)

EXERCISES = (LOOKING_BACK,)
