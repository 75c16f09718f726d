"""Lists to try word vectors and attention on, of data/words: ratings, analogies, common words, partners, senses."""

from pathlib import Path
from typing import NamedTuple

from lib import DATA
from lib.files import read_csv

FOLDER = DATA / "words"


class RatedPair(NamedTuple):
    """Two words, and how much they have to do with each other."""

    first: str
    second: str
    rating: float  # mean of 13 or 16 people, from 0 (nothing) to 10 (the same)


class Analogy(NamedTuple):
    """`a` is to `b` as `c` is to `d`: the question is d."""

    category: str  # such as "capital-common-countries" or "gram3-comparative"
    a: str
    b: str
    c: str
    d: str


class Partners(NamedTuple):
    """Two words of a sentence, each of which occurs in it once, that belong together: the verb and its subject."""

    relation: str  # "subject and verb", "verb and object", "pronoun and noun" or "pronoun puzzle"
    part: str  # "search": to choose by, or "test": to judge by
    sentence: str  # small letters, a space around each word
    word: str  # from where one looks
    partner: str  # what should be found


class Use(NamedTuple):
    """A sentence with a word of two meanings, and which of them is meant."""

    word: str
    sense: str  # such as "of a river" or "for money"
    sentence: str  # small letters, a space around each word; the word occurs once


def load_wordsim(path: Path = FOLDER / "wordsim353.csv") -> list[RatedPair]:
    """The 353 pairs of WordSim-353 (Finkelstein et al. 2002), as printed: "money, cash" twice, "tiger, tiger" too.

    Raises ValueError if the file is missing or damaged (naming the line).

    >>> load_wordsim()[1]
    RatedPair(first='tiger', second='cat', rating=7.35)
    """
    pairs = []
    for line, (first, second, printed) in read_csv(path, ["first", "second", "rating"]):
        try:
            rating = float(printed)
        except ValueError:
            rating = -1.0
        if not (first and second and 0 <= rating <= 10):
            raise ValueError(f"{path.name}, line {line}: expected two words and a rating from 0 to 10, "
                             f"got {first!r}, {second!r}, {printed!r}")  # fmt: skip
        pairs.append(RatedPair(first, second, rating))
    return pairs


def load_analogies(path: Path = FOLDER / "questions-words.txt") -> list[Analogy]:
    """The 19,544 analogy questions of word2vec (Mikolov et al. 2013): five categories of meaning, nine of grammar.

    Raises ValueError if the file is missing or damaged (naming the line).

    >>> load_analogies()[0]
    Analogy(category='capital-common-countries', a='Athens', b='Greece', c='Baghdad', d='Iraq')
    """
    questions, category = [], None
    for number, line in enumerate(_lines(path), 1):
        words = line.split(" ")
        if len(words) == 2 and words[0] == ":":
            category = words[1]
        elif len(words) == 4 and all(words) and category:
            questions.append(Analogy(category, *words))
        else:
            raise ValueError(f"{path.name}, line {number}: expected ': category' or four words, got {line!r}")
    return questions


def load_partners(path: Path = FOLDER / "partners.csv") -> list[Partners]:
    """88 pairs of words that belong together, written for this course: 24 of each grammatical relation and 16 puzzles.

    The puzzles are made as those of Winograd are: of each two that follow each other one word differs, and the pronoun means
    another noun. Raises ValueError if the file is missing or damaged (naming the line).

    >>> load_partners()[0][2:]
    ('the old chef cooked a wonderful meal for his guests .', 'chef', 'cooked')
    """
    pairs = []
    for line, row in read_csv(path, list(Partners._fields)):
        pair = Partners(*row)
        words = pair.sentence.split(" ")
        if not (pair.relation and pair.part in ("search", "test") and words.count(pair.word) == 1
                and words.count(pair.partner) == 1):  # fmt: skip
            raise ValueError(f"{path.name}, line {line}: expected a relation, search or test, a sentence and two of its "
                             f"words that occur once, got {', '.join(map(repr, row))}")  # fmt: skip
        pairs.append(pair)
    return pairs


def load_senses(path: Path = FOLDER / "senses.csv") -> list[Use]:
    """96 uses of eight words with two meanings, six sentences for each meaning, written for this course.

    Raises ValueError if the file is missing or damaged (naming the line).

    >>> load_senses()[0]
    Use(word='bank', sense='of a river', sentence='we sat on the grassy bank and fished until dark .')
    """
    uses = []
    for line, row in read_csv(path, list(Use._fields)):
        use = Use(*row)
        if not (use.word and use.sense and use.sentence.split(" ").count(use.word) == 1):
            raise ValueError(f"{path.name}, line {line}: expected a word, a sense and a sentence in which the word occurs "
                             f"once, got {', '.join(map(repr, row))}")  # fmt: skip
        uses.append(use)
    return uses


def load_glove_words(path: Path = FOLDER / "glove_words.txt") -> list[str]:
    """The words of the first 50,000 rows of GloVe 6B (Pennington et al. 2014), the commonest first: word n is row n.

    Raises ValueError if the file is missing or damaged.

    >>> load_glove_words()[:5]
    ['the', ',', '.', 'of', 'to']
    """
    words = _lines(path)
    if len(words) != 50_000 or len(set(words)) != len(words) or not all(words):
        raise ValueError(f"{path.name} is damaged: expected 50,000 words, none of them twice; restore it from "
                         "version control")  # fmt: skip
    return words


def _lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text, which end with a line feed and with nothing else that Unicode counts as such."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing; restore it from version control") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None
    return text.removesuffix("\n").split("\n")
