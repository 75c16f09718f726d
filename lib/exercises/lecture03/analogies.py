"""Exercise of notebook 03: answer analogies with word vectors."""

import torch
from torch.nn.functional import normalize

from lib.evaluation.similarity import solve_analogies
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.models.word_vectors import WordVectors


# --- analogies.solve --------------------------------------------------------------------------------------------------
def solve(E, questions):
    """The row of each answer, with the words of the question left out."""
    return solve_analogies(WordVectors([str(row) for row in range(len(E))], E), questions)


def _cases(generator):
    def draw(V, D, N):
        lengths = torch.rand(V, 1, generator=generator) * 9 + 0.2
        E = normalize(torch.randn(V, D, generator=generator), dim=1) * lengths
        return E, torch.stack([torch.randperm(V, generator=generator)[:3] for _ in range(N)])

    square = torch.tensor([[1.0, 0, 0, 1], [1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1], [-1, 0, 0, 0]])
    pole = torch.tensor([[3.0, 0.1], [0.1, 2.0], [2.0, 2.0], [-5.0, 1.0], [1.0, -9.0]])
    short = torch.tensor(
        [[1.0, 0, 0], [0, 1, 0], [0, 0, 1e-10], [0, 0, 2], [-2, 2, 2], [-1, 1, 0], [1e-10, -1e-10, 1e-10], [1, -1, 0]]
    )
    return [
        case("a square", square, torch.tensor([[0, 1, 2]])),
        case("the square, asked in four ways", square, torch.tensor([[0, 1, 2], [1, 0, 3], [3, 2, 1], [2, 0, 3]])),
        case("ten words, ten questions", *draw(10, 4, 10)),
        case("thirty words of very different length", *draw(30, 6, 25)),
        case("forty words, two numbers each", *draw(40, 2, 25)),
        case("as many questions as words and numbers", *draw(5, 5, 5)),
        case("one question", *draw(12, 5, 1)),
        case("all cosines negative", pole, torch.tensor([[2, 3, 4], [0, 3, 4]])),
        case(
            "very short vectors, of a word of the question and of an answer",
            short,
            torch.tensor([[0, 1, 2], [1, 0, 3]]),
        ),
        case("a word twice in a question", *draw(9, 4, 1)[:1], torch.tensor([[0, 1, 0], [2, 2, 5]])),
    ]


def _general(by_length=True, answer_length=True, leave_out=(0, 1, 2), signs=(-1, 1, 1), farthest=False, zero=None):
    def answer(E, questions):
        U = normalize(E, dim=1) if by_length else E
        a, b, c = (sign * U[questions[:, i]] for i, sign in enumerate(signs))
        scores = (a + b + c) @ (normalize(E, dim=1) if answer_length else E).T
        if leave_out:
            scores = scores.scatter(1, questions[:, list(leave_out)], -torch.inf if zero is None else zero)
        return scores.argmin(dim=1) if farthest else scores.argmax(dim=1)

    return answer


def _all_questions_left_out(E, questions):
    U = normalize(E, dim=1)
    a, b, c = U[questions].unbind(dim=1)
    scores = (b - a + c) @ U.T
    scores[:, questions] = -torch.inf
    return scores.argmax(dim=1)


def _with_epsilon(E, questions):
    U = E / (E.norm(dim=1, keepdim=True) + 1e-6)
    a, b, c = U[questions].unbind(dim=1)
    return ((b - a + c) @ U.T).scatter(1, questions, -torch.inf).argmax(dim=1)


def _in_place(E, questions):
    E /= E.norm(dim=1, keepdim=True)
    return _general()(E, questions)


def _by_distance(E, questions):
    U = normalize(E, dim=1)
    found = []
    for a, b, c in questions.tolist():
        distance = (U - (U[b] - U[a] + U[c])).norm(dim=1)
        distance[[a, b, c]] = torch.inf
        found.append(distance.argmin())
    return torch.stack(found)


def _by_loops(E, questions):
    answers = []
    for a, b, c in questions.tolist():
        q = E[b] / E[b].norm() - E[a] / E[a].norm() + E[c] / E[c].norm()
        left = [row for row in range(len(E)) if row not in (a, b, c)]
        answers.append(max(left, key=lambda row: float(E[row] @ q / E[row].norm())))
    return torch.tensor(answers)


SOLVE = Exercise(
    id="analogies.solve",
    slides=("N25",),
    points=3,
    minutes=15,
    title="Answer analogies",
    reference=solve,
    cases=_cases,
    accepts=(_by_distance, _by_loops),
    withheld=("lib.evaluation.similarity.solve_analogies", "lib.evaluation.similarity.neighbours"),
    misconceptions=(
        Misconception(
            "question_not_left_out",
            _general(leave_out=()),
            "The words of the question may win in your code, and often do. Give them −∞ before you take the largest.",
        ),
        Misconception(
            "only_c_left_out",
            _general(leave_out=(2,)),
            "You leave out the third word of the question only. None of the three may be the answer.",
        ),
        Misconception(
            "only_a_and_b_left_out",
            _general(leave_out=(0, 1)),
            "You leave out the first two words of the question. The third may not be the answer either.",
        ),
        Misconception(
            "answers_not_scaled",
            _general(answer_length=False),
            "You compare with vectors as long as they are, so that long ones win. A cosine divides by the length of each word.",
        ),
        Misconception(
            "question_not_scaled",
            _general(by_length=False),
            "The three vectors of the question go into the sum as long as they are. Bring them to length 1 first.",
        ),
        Misconception(
            "nothing_scaled",
            _general(by_length=False, answer_length=False),
            "You use dot products of the vectors as they are. Bring all vectors to length 1 first.",
        ),
        Misconception(
            "a_minus_b",
            _general(signs=(1, -1, 1)),
            "You compute a − b + c. The step from a to b is b − a, and it is added to c.",
        ),
        Misconception(
            "all_added", _general(signs=(1, 1, 1)), "You add all three. The first one is subtracted: b − a + c."
        ),
        Misconception(
            "nearest_to_c",
            _general(signs=(0, 0, 1)),
            "You look for the nearest word to c. The step b − a is missing.",
        ),
        Misconception(
            "farthest",
            _general(farthest=True, zero=torch.inf),
            "You take the smallest cosine. The nearest word has the largest.",
        ),
        Misconception(
            "left_out_with_0",
            _general(zero=0.0),
            "You give the words of the question the cosine 0. Where all others are negative, 0 wins: use −∞.",
        ),
        Misconception(
            "left_out_with_minus_1",
            _general(zero=-1.0),
            "You give them −1. But b − a + c is up to 3 long, and a dot product with it may be less: use −∞.",
        ),
        Misconception(
            "all_questions_left_out",
            _all_questions_left_out,
            "`scores[:, questions]` is every row: the words of all questions are left out of each. Row n leaves out its own "
            "three only, with a row number beside each: `scores[torch.arange(N)[:, None], questions]`.",
        ),
        Misconception(
            "epsilon_in_the_length",
            _with_epsilon,
            "You add a small number to the lengths. A vector that is as short as that does not come to length 1. None has "
            "length 0: divide by the length itself.",
        ),
        Misconception(
            "in_place",
            _in_place,
            "The answers are right, but `/=` changes the vectors of whoever calls you. Write `U = E / …`.",
        ),
    ),
    hints=(
        "`U = E / E.norm(dim=1, keepdim=True)`; then `U[questions[:, 1]]` are the vectors of all second words, shape (N, D).",
        "All scores are one product, (N, D) with (D, V). For each row set the three places of its question to −∞.",
    ),
)

EXERCISES = (SOLVE,)
