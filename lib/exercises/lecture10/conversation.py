"""Exercise of lecture 10: a conversation of several turns as tokens, with the labels that train the assistant."""

from collections.abc import Callable, Mapping, Sequence

import torch

from lib.exercises.engine.exercise import Exercise, Made, case
from lib.exercises.engine.made import encodes_pairs
from lib.exercises.lecture10.conversation_answers import MISTAKES, by_pieces, by_spans, turns

_BEGIN, _END = 1, 2


def labels(
    messages: Sequence[Mapping[str, str]], encode: Callable[[str], list[int]], begin: int, end: int
) -> tuple[list[int], list[int]]:
    r"""ChatML: begin, "role\n", content, end, "\n" for each message; labels on an assistant's contents and their ends.

    >>> labels([{"role": "user", "content": "Hi"}], lambda text: [len(text)], 1, 2)
    ([1, 5, 2, 2, 1], [-100, -100, -100, -100, -100])
    """
    return turns(messages, encode, begin, end)


def _conversations(generator):
    encode = Made(encodes_pairs, (int(torch.randint(1000, (1,), generator=generator)),))
    user = {"role": "user", "content": "What is Rugby?"}
    answer = {"role": "assistant", "content": "Rugby is a traditional sport in Andorra."}
    system = {"role": "system", "content": "You answer in one sentence."}
    more = {"role": "user", "content": "And the abacus?"}
    second = {"role": "assistant", "content": "A frame with beads, for sums."}
    spaced = {"role": "assistant", "content": "  No\n"}  # its last id is that of a line break
    almost = [{"role": role, "content": "A sport."} for role in ("Assistant", "assistant ", "my assistant")]
    return [
        case("a question and its answer", [user, answer], encode, _BEGIN, _END),
        case("a system message and two turns", [system, user, answer, more, second], encode, _BEGIN, _END),
        case("the last message is the user's", [user, answer, more], encode, _BEGIN, _END),
        case("no answer", [system, user], encode, _BEGIN, _END),
        case("an empty answer: its end counts", [user, answer | {"content": ""}, more, second], encode, 7, 3),
        case("two answers in a row", [user, second, answer], encode, _BEGIN, _END),
        case("a tool's result", [user, answer, {"role": "tool", "content": "No page found."}, second], encode, 7, 3),
        case("another role's name", [user, {"role": "assistant_2", "content": "A sport."}, answer], encode, 7, 3),
        case("roles that are almost the assistant's", [user, *almost, answer], encode, _BEGIN, _END),
        case("spaces and a line break around an answer", [user, spaced, more, second], encode, _BEGIN, _END),
        case("no message", [], encode, _BEGIN, _END),
    ]


LABELS = Exercise(
    id="conversation.labels",
    slides=("C33",),
    points=5,
    minutes=25,
    title="A conversation with labels",
    reference=labels,
    cases=_conversations,
    accepts=(by_spans, by_pieces),
    misconceptions=MISTAKES,
    hints=(
        "Go through the messages. Each has four pieces: header, content, end, line break. Which of them may have labels?",
        "Let two lists grow side by side: whatever you add to ids, add as many labels.",
        "For a piece with labels add its ids to both lists; for another add [-100] * len(piece) to the labels.",
    ),
)

EXERCISES = (LABELS,)
