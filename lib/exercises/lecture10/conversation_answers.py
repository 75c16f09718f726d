"""Right and wrong answers to the exercise of `conversation`."""

from lib.exercises.engine.exercise import Misconception


def turns(messages, encode, begin, end, *, ends=True, head=False, tail=False, trained=("assistant",), ignore=-100):
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


def by_spans(messages, encode, begin, end):
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


def by_pieces(messages, encode, begin, end):
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
        more, counted = turns([message], encode, begin, end)
        ids, wanted = ids + more, wanted + (counted if i == last else [-100] * len(more))
    return ids, wanted


def _after_the_first_user(messages, encode, begin, end):
    ids, wanted = turns(messages, encode, begin, end)
    start = wanted.index(next((i for i in wanted if i != -100), -100)) if wanted else 0
    return ids, wanted[:start] + ids[start:]


def _shifted(messages, encode, begin, end):
    ids, wanted = turns(messages, encode, begin, end)
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
        more, counted = turns([message], encode, begin, end)
        kept = 1 + len(encode(message["role"] + "\n"))
        ids += head + more[kept:]
        wanted += [-100] * len(head) + counted[kept:]
    return ids, wanted


def _no_last_line_break(messages, encode, begin, end):
    ids, wanted = [], []
    for message in messages:
        more, counted = turns([message], encode, begin, end)
        cut = len(more) - len(encode("\n"))
        ids, wanted = ids + more[:cut], wanted + counted[:cut]
    return ids, wanted


def _empty_answer_skipped(messages, encode, begin, end):
    ids, wanted = [], []
    for message in messages:
        more, counted = turns([message], encode, begin, end)
        ids, wanted = ids + more, wanted + (counted if message["content"] else [-100] * len(more))
    return ids, wanted


def _roles(trains):
    """`labels`, with `trains(role)` for the question whose messages are learned."""

    def answer(messages, encode, begin, end):
        roles = {message["role"] for message in messages}
        return turns(messages, encode, begin, end, trained=[role for role in roles if trains(role)])

    return answer


def _without_spaces(messages, encode, begin, end):
    return turns([message | {"content": message["content"].strip()} for message in messages], encode, begin, end)


def _no_line_break_in_the_labels(messages, encode, begin, end):
    ids, wanted = turns(messages, encode, begin, end)
    return ids, [-100 if token in encode("\n") else token for token in wanted]


def _empty_message_dropped(messages, encode, begin, end):
    return turns([message for message in messages if message["content"]], encode, begin, end)


def _end_of_the_last_only(messages, encode, begin, end):
    """Only the last message's end has a label."""
    ids, wanted = [], []
    for i, message in enumerate(messages):
        more, counted = turns([message], encode, begin, end, ends=i == len(messages) - 1)
        ids, wanted = ids + more, wanted + counted
    return ids, wanted


def _to_go_on(messages, encode, begin, end):
    ids, wanted = turns(messages, encode, begin, end)
    more = [begin, *encode("assistant\n")]
    return ids + more, wanted + [-100] * len(more)


def _header_without_begin(messages, encode, begin, end):
    ids, wanted = [], []
    for message in messages:
        more, counted = turns([message], encode, begin, end, head=True)
        ids, wanted = ids + more, wanted + [-100] + counted[1:]
    return ids, wanted


def _ends_by_value(messages, encode, begin, end):
    ids, wanted = turns(messages, encode, begin, end)
    return ids, [end if token == end else label for token, label in zip(ids, wanted)]


MISTAKES = (
    Misconception(
        "last_turn_only",
        _last_turn_only,
        "Only the last answer has labels. Every message of the assistant is one that the model should learn to write.",
    ),
    Misconception(
        "all_roles",
        lambda *given: turns(*given, trained=("system", "user", "assistant")),
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
        "role_begins_with_assistant",
        _roles(lambda role: role.startswith("assistant")),
        'A role that begins with "assistant" has labels too: compare the role as a whole.',
    ),
    Misconception(
        "role_ends_with_assistant",
        _roles(lambda role: role.endswith("assistant")),
        'A role that ends with "assistant" has labels too: compare the role as a whole.',
    ),
    Misconception(
        "role_in_small_letters",
        _roles(lambda role: role.lower() == "assistant"),
        'The role "Assistant" has labels too: compare the role as it stands, with its capitals.',
    ),
    Misconception(
        "role_without_spaces",
        _roles(lambda role: role.strip() == "assistant"),
        'A role with a space around "assistant" has labels too: compare the role as it stands.',
    ),
    Misconception(
        "all_but_user",
        _roles(lambda role: role != "user"),
        'All roles but the user\'s have labels: only the role that is exactly "assistant" is learned.',
    ),
    Misconception(
        "content_stripped",
        _without_spaces,
        "Spaces or line breaks around a content are lost. Encode it as it stands.",
    ),
    Misconception(
        "line_break_masked_by_value",
        _no_line_break_in_the_labels,
        "A line break inside an answer has no label. Only the one after the end is the template's: decide by position.",
    ),
    Misconception(
        "empty_message_dropped",
        _empty_message_dropped,
        "A message without content is missing. Its header, end and line break belong to the ids.",
    ),
    Misconception(
        "end_of_the_last_only",
        _end_of_the_last_only,
        "Only the last message's end has a label. Every answer of the assistant ends, and each end is learned.",
    ),
    Misconception(
        "header_to_go_on",
        _to_go_on,
        "You add the header of a further answer, as one does to let a model write. In training the conversation ends "
        "with its last message.",
    ),
    Misconception(
        "header_without_begin_counted",
        _header_without_begin,
        "The role and its line break have labels in the answers. The template writes these, not the model.",
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
        lambda *given: turns(*given, ends=False),
        "The end after an answer has no label: a model trained like this never learns to stop.",
    ),
    Misconception(
        "end_of_users_counted",
        _ends_by_value,
        "Every end token has a label, also those after other roles' messages. Only the assistant's ends are the model's.",
    ),
    Misconception(
        "header_counted",
        lambda *given: turns(*given, head=True),
        "The header of the answers has labels: begin and the role. The template writes these, not the model.",
    ),
    Misconception(
        "newline_counted",
        lambda *given: turns(*given, tail=True),
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
        lambda *given: turns(*given, ignore=0),
        "You wrote 0 where nothing is to be learned, but 0 is a token. Losses ignore the value −100.",
    ),
)
