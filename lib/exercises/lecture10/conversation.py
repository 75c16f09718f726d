"""Exercise of lecture 10: a conversation of several turns as tokens, with the labels that train the assistant."""

from collections.abc import Callable, Mapping, Sequence

import torch

from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import encodes_pairs

_BEGIN, _END = 1, 2


def labels(
    messages: Sequence[Mapping[str, str]], encode: Callable[[str], list[int]], begin: int, end: int
) -> tuple[list[int], list[int]]:
    r"""ChatML: begin, "role\n", content, end, "\n" for each message; labels on an assistant's contents and their ends.

    >>> labels([{"role": "user", "content": "Hi"}], lambda text: [len(text)], 1, 2)
    ([1, 5, 2, 2, 1], [-100, -100, -100, -100, -100])
    """
    return _turns(messages, encode, begin, end)


def _turns(messages, encode, begin, end, *, ends=True, head=False, tail=False, trained=("assistant",), ignore=-100):
    """The ids and labels. The default options are right; each other option makes a mistake."""
    ids, wanted = [], []
    for message in messages:
        parts = (
            ([begin, *encode(message["role"] + "\n")], head),
            (encode(message["content"]), True),
            ([end], ends),
            (encode("\n"), tail),
        )
        for tokens, counts in parts:
            ids += tokens
            wanted += tokens if counts and message["role"] in trained else [ignore] * len(tokens)
    return ids, wanted


def _by_spans(messages, encode, begin, end):
    ids, spans = [], []
    for message in messages:
        ids.extend([begin] + encode(message["role"] + "\n"))
        start = len(ids)
        ids.extend(encode(message["content"]) + [end])
        if message["role"] == "assistant":
            spans.append((start, len(ids)))
        ids.extend(encode("\n"))
    wanted = [-100] * len(ids)
    for start, stop in spans:
        wanted[start:stop] = ids[start:stop]
    return ids, wanted


def _by_pieces(messages, encode, begin, end):
    pieces = []  # (ids, whether they are learned)
    for message in messages:
        pieces.append(([begin, *encode(message["role"] + "\n")], False))
        pieces.append(([*encode(message["content"]), end], message["role"] == "assistant"))
        pieces.append((encode("\n"), False))
    return [i for tokens, _ in pieces for i in tokens], [
        i if learned else -100 for tokens, learned in pieces for i in tokens
    ]


def _last_turn_only(messages, encode, begin, end):
    ids, wanted = [], []
    last = max((i for i, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    for i, message in enumerate(messages):
        more, counted = _turns([message], encode, begin, end)
        ids, wanted = ids + more, wanted + (counted if i == last else [-100] * len(more))
    return ids, wanted


def _after_the_first_user(messages, encode, begin, end):
    ids, wanted = _turns(messages, encode, begin, end)
    start = wanted.index(next((i for i in wanted if i != -100), -100)) if wanted else 0
    return ids, wanted[:start] + ids[start:]


def _shifted(messages, encode, begin, end):
    ids, wanted = _turns(messages, encode, begin, end)
    return ids, wanted[1:] + [-100] * bool(wanted)


def _contents_as_one(messages, encode, begin, end):
    """Encodes a whole message at once: in most tokenizers pieces at a border then have other ids."""
    ids, wanted = [], []
    for message in messages:
        head, whole = encode(message["role"] + "\n"), encode(message["role"] + "\n" + message["content"])
        body = whole[len(head) :]
        ids += [begin, *whole, end, *encode("\n")]
        trained = message["role"] == "assistant"
        wanted += [-100] * (1 + len(head)) + ([*body, end] if trained else [-100] * (len(body) + 1)) + [-100]
    return ids, wanted


def _header_in_two_calls(messages, encode, begin, end):
    """Encodes the role and its line break apart: in a tokenizer of pairs an odd role has other ids then."""
    ids, wanted = [], []
    for message in messages:
        head = [begin, *encode(message["role"]), *encode("\n")]
        more, counted = _turns([message], encode, begin, end)
        kept = 1 + len(encode(message["role"] + "\n"))
        ids += head + more[kept:]
        wanted += [-100] * len(head) + counted[kept:]
    return ids, wanted


def _no_last_line_break(messages, encode, begin, end):
    ids, wanted = [], []
    for message in messages:
        more, counted = _turns([message], encode, begin, end)
        cut = len(more) - len(encode("\n"))
        ids, wanted = ids + more[:cut], wanted + counted[:cut]
    return ids, wanted


def _empty_answer_skipped(messages, encode, begin, end):
    ids, wanted = [], []
    for message in messages:
        more, counted = _turns([message], encode, begin, end)
        ids, wanted = ids + more, wanted + (counted if message["content"] else [-100] * len(more))
    return ids, wanted


def _roles(trains):
    """`labels`, with `trains(role)` for the question whose messages are learned."""

    def answer(messages, encode, begin, end):
        roles = {message["role"] for message in messages}
        return _turns(messages, encode, begin, end, trained=[role for role in roles if trains(role)])

    return answer


def _ends_by_value(messages, encode, begin, end):
    ids, wanted = _turns(messages, encode, begin, end)
    return ids, [end if token == end else label for token, label in zip(ids, wanted)]


def _conversations(generator):
    encode = Made(encodes_pairs, (int(torch.randint(1000, (1,), generator=generator)),))
    user = {"role": "user", "content": "What is Rugby?"}
    answer = {"role": "assistant", "content": "Rugby is a traditional sport in Andorra."}
    system = {"role": "system", "content": "You answer in one sentence."}
    more = {"role": "user", "content": "And the abacus?"}
    second = {"role": "assistant", "content": "A frame with beads, for sums."}
    return [
        case("a question and its answer", [user, answer], encode, _BEGIN, _END),
        case("a system message and two turns", [system, user, answer, more, second], encode, _BEGIN, _END),
        case("the last message is the user's", [user, answer, more], encode, _BEGIN, _END),
        case("no answer", [system, user], encode, _BEGIN, _END),
        case("an empty answer: its end counts", [user, answer | {"content": ""}, more, second], encode, 7, 3),
        case("two answers in a row", [user, second, answer], encode, _BEGIN, _END),
        case("a tool's result", [user, answer, {"role": "tool", "content": "No page found."}, second], encode, 7, 3),
        case("another role's name", [user, {"role": "assistant_2", "content": "A sport."}, answer], encode, 7, 3),
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
    accepts=(_by_spans, _by_pieces),
    misconceptions=(
        Misconception(
            "last_turn_only",
            _last_turn_only,
            "Only the last answer has labels. Every message of the assistant is one that the model should learn to write.",
        ),
        Misconception(
            "all_roles",
            lambda *given: _turns(*given, trained=("system", "user", "assistant")),
            "Messages of users and of the system have labels too. The model reads them; it should not learn to write them.",
        ),
        Misconception(
            "all_but_user_and_system",
            _roles(lambda role: role not in ("user", "system")),
            'A tool\'s messages have labels too: only the role that is exactly "assistant" is learned, not all but two.',
        ),
        Misconception(
            "role_contains_assistant",
            _roles(lambda role: "assistant" in role),
            'A role whose name only contains "assistant" has labels too: compare the role as a whole.',
        ),
        Misconception(
            "header_in_two_calls",
            _header_in_two_calls,
            'You encode the role and its line break apart. They are one piece: encode(role + "\\n").',
        ),
        Misconception(
            "no_last_line_break",
            _no_last_line_break,
            "The line break after each message's end is missing. It belongs to the ids, with the label −100.",
        ),
        Misconception(
            "empty_answer_skipped",
            _empty_answer_skipped,
            "An answer without content has no label on its end. To say nothing and stop is learned too.",
        ),
        Misconception(
            "after_the_first_answer_all",
            _after_the_first_user,
            "From the first answer on everything has a label, the next question included. Decide message by message.",
        ),
        Misconception(
            "end_not_counted",
            lambda *given: _turns(*given, ends=False),
            "The end after an answer has no label: a model trained like this never learns to stop.",
        ),
        Misconception(
            "end_of_users_counted",
            _ends_by_value,
            "Every end token has a label, also those after other roles' messages. Only the assistant's ends are the model's.",
        ),
        Misconception(
            "header_counted",
            lambda *given: _turns(*given, head=True),
            "The header of the answers has labels: begin and the role. The template writes these, not the model.",
        ),
        Misconception(
            "newline_counted",
            lambda *given: _turns(*given, tail=True),
            "The line break after an answer's end has a label. When the model has written the end, it is not asked any more.",
        ),
        Misconception(
            "header_without_newline_apart",
            _contents_as_one,
            'You encode role and content as one text. Where the two meet, the tokens may then be others: encode role + "\\n" '
            "and the content each on its own.",
        ),
        Misconception(
            "shifted_already",
            _shifted,
            "Your labels are shifted by one. A label stands at its own token's place; the loss does the shift.",
        ),
        Misconception(
            "zero_for_ignore",
            lambda *given: _turns(*given, ignore=0),
            "You wrote 0 where nothing is to be learned, but 0 is a token. Losses ignore the value −100.",
        ),
    ),
    hints=(
        "Go through the messages. Each has four pieces: header, content, end, line break. Which of them may have labels?",
        "Let two lists grow side by side: whatever you add to ids, add as many labels.",
        "For a piece with labels add its ids to both lists; for another add [-100] * len(piece) to the labels.",
    ),
)

EXERCISES = (LABELS,)
