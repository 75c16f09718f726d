"""Exercise of notebook 00 that shows how exercises work: a value, found by counting."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception

# --- start.token_count ----------------------------------------------------------------------------------------------
TEXT = "The strawberries are unbelievably good."
TOKENS = ("The", " strawberries", " are", " unbelie", "v", "ably", " good", ".")
"""What SmolLM2's tokenizer makes of it."""

TOKEN_COUNT = Exercise(
    id="start.token_count",
    slides=("N38",),
    points=1,
    minutes=3,
    title="Count tokens",
    reference=len(TOKENS),
    accepts=(torch.tensor(len(TOKENS)),),
    misconceptions=(
        Misconception(
            "words",
            len(TEXT.split()),
            "You counted the words. A frequent word is one token, but a rare one is cut into several, and the full stop is "
            "a token, too.",
        ),
        Misconception(
            "words_and_full_stop",
            len(TEXT.split()) + 1,
            "These are the words and the full stop. One of the words is too rare to be a token of its own: which?",
        ),
        Misconception(
            "without_full_stop",
            len(TOKENS) - 1,
            "One is missing. Did you leave out the full stop? It belongs to the text.",
        ),
        Misconception(
            "word_by_word",
            11,
            "You cut the text into words and counted the tokens of each alone. A word with the space before it is another "
            "token than the word without: give the whole text to `tokenizer.encode`.",
        ),
        Misconception(
            "spaces_counted",
            len(TOKENS) + TEXT.count(" "),
            "You counted the four spaces, too. In this text each space is part of the token after it.",
        ),
        Misconception(
            "two_marks_added",
            len(TOKENS) + 2,
            "You counted a mark at the beginning and one at the end, too. This tokenizer adds none: `encode` returns what "
            "stands in the text.",
        ),
        Misconception("characters", len(TEXT), "You counted characters. A token is mostly several of them."),
        Misconception("text", str(len(TOKENS)), "Your answer is in quotes: that makes it text, not a number."),
        Misconception(
            "decimal", float(len(TOKENS)), "The number is right, but it is a decimal one. Tokens are counted: an int."
        ),
        Misconception("a_list", list(TOKENS), "These are the tokens. How many are they?"),
        Misconception(
            "vocabulary",
            49_152,
            "That is the number of all tokens that the model knows. How many does it read in this text?",
        ),
    ),
    hints=(
        'A new cell, with `[tokenizer.decode([i]) for i in tokenizer.encode("The strawberries are unbelievably good.")]`, '
        "shows the tokens one by one.",
        "One of the five words is cut into three tokens, and the full stop is a token of its own.",
    ),
)

EXERCISES = (TOKEN_COUNT,)
