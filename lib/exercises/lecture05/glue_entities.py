"""An exercise of `glue`: F1 over whole entities, from BIO tags."""

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture05 import entity_answers as wrong

EXERCISES = ()


# --- glue.entity_f1 ---------------------------------------------------------------------------------------------------
def entity_f1(labels, predictions):
    """F1 over the entities of all sentences; 0 where nothing is there and nothing is named."""
    hit = there = named = 0
    for true, guess in zip(labels, predictions):
        a, b = set(wrong.found(true)), set(wrong.found(guess))
        hit, there, named = hit + len(a & b), there + len(a), named + len(b)
    return 2 * hit / (there + named) if there + named else 0.0


def _tags(line):
    return line.split()


def _cases(generator):
    return [
        case("one of two entities", [_tags("B-PER I-PER O B-LOC")], [_tags("B-PER I-PER O O")]),
        case("a person that loses its last name", [_tags("B-PER I-PER O")], [_tags("B-PER O O")]),
        case("the same words, another kind", [_tags("B-LOC I-LOC O B-PER")], [_tags("B-ORG I-ORG O B-PER")]),
        case("two neighbours of one kind", [_tags("B-PER B-PER O")], [_tags("B-PER I-PER O")]),
        case("an entity at the end", [_tags("O O B-ORG I-ORG")], [_tags("O O B-ORG I-ORG")]),
        case("one that begins with I-", [_tags("B-LOC I-LOC O B-PER")], [_tags("I-LOC I-LOC O I-PER")]),
        case("a kind that changes inside", [_tags("B-PER O B-LOC")], [_tags("B-PER O I-LOC")]),
        case("I- of another kind", [_tags("B-PER B-LOC O")], [_tags("B-PER I-LOC O")]),
        case("two sentences of different length", [_tags("B-PER O O B-LOC"), _tags("B-ORG O")],
             [_tags("B-PER O O O"), _tags("B-ORG O")]),
        case("right in the wrong sentence", [_tags("B-PER O"), _tags("O O")], [_tags("O O"), _tags("B-PER O")]),
        case("a sentence ends inside an entity", [_tags("B-PER I-PER"), _tags("I-PER O")],
             [_tags("B-PER I-PER"), _tags("I-PER O")]),
        case("an entity at an end, the next begins with I-", [_tags("O B-PER"), _tags("I-PER O B-LOC")],
             [_tags("O B-PER"), _tags("O O B-LOC")]),
        case("nothing there, nothing named", [_tags("O O")], [_tags("O O")]),
        case("nothing there, one named", [_tags("O O")], [_tags("B-PER O")]),
        case("three named, one there", [_tags("B-PER O O O O")], [_tags("B-PER O B-LOC O B-ORG")]),
        case("a kind with a hyphen", [_tags("B-WORK-OF-ART I-WORK-OF-ART O")], [_tags("B-WORK-OF-ART I-WORK-OF-ART O")]),
        case("two kinds that begin alike", [_tags("B-WORK-OF-ART O B-PER")], [_tags("B-WORK-OF-LAW O B-PER")]),
        case("two kinds that end alike", [_tags("B-WORK-OF-ART O B-PER")], [_tags("B-LACK-OF-ART O B-PER")]),
        case("O between two of one kind", [_tags("B-PER O I-PER O")], [_tags("B-PER O O O")]),
        case("many of one kind, few of another", [_tags("B-PER O B-PER O B-PER O B-LOC"), _tags("O B-LOC")],
             [_tags("B-PER O B-PER O B-PER O O"), _tags("O B-LOC")]),
        case("a longer entity named", [_tags("O B-LOC O O")], [_tags("O B-LOC I-LOC O")]),
        case("an empty sentence", [[], _tags("B-PER O")], [[], _tags("B-PER O")]),
    ]  # fmt: skip


ENTITY_F1 = Exercise(
    id="glue.entity_f1",
    slides=("C14",),
    points=6,
    minutes=30,
    title="F1 over entities",
    reference=entity_f1,
    cases=_cases,
    accepts=(wrong.scored(score=lambda h, t, n: h / (h + (t - h + n - h) / 2) if t + n else 0.0),),
    withheld=(
        "lib.evaluation.classification.scores_of",
        "lib.evaluation.classification._share",
        "lib.evaluation.spans.entities_of",
        "lib.evaluation.spans.entity_scores",
    ),
    misconceptions=(
        Misconception(
            "tag_accuracy",
            wrong.tag_accuracy,
            "This is the accuracy of tags. Most tags are O, and half an entity would count: compare whole entities.",
        ),
        Misconception(
            "tags_not_entities",
            wrong.tag_f1,
            "This is F1 over tags. Half an entity would count half: compare whole entities.",
        ),
        Misconception(
            "overlap_is_enough",
            wrong.overlap,
            "You count entities that overlap. Beginning and end must both be right.",
        ),
        Misconception(
            "kind_does_not_matter",
            wrong.scored(wrong.without_kind),
            "You compare places alone. An entity is right only with its kind.",
        ),
        Misconception(
            "end_does_not_matter",
            wrong.scored(wrong.begins_only),
            "You compare where entities begin. The end must be right, too.",
        ),
        Misconception(
            "place_does_not_matter",
            wrong.scored(wrong.kinds_only),
            "You compare kinds alone. Beginning and end must be right, too.",
        ),
        Misconception(
            "neighbours_joined",
            wrong.scored(wrong.joined),
            "B- always begins a new entity, also directly after one of its own kind. You join the two.",
        ),
        Misconception(
            "o_does_not_close",
            wrong.scored(wrong.closed_by_begin_alone),
            "In B-PER O I-PER your entity goes on after the O. O ends an entity: what follows begins a new one.",
        ),
        Misconception(
            "kind_up_to_hyphen",
            wrong.scored(wrong.kind_as(lambda tag: tag.split("-")[1])),
            "You take the kind up to its first hyphen: WORK-OF-ART and WORK-OF-LAW would be one. The kind is all that follows "
            "B- or I-.",
        ),
        Misconception(
            "kind_after_last_hyphen",
            wrong.scored(wrong.kind_as(lambda tag: tag.rsplit("-", 1)[1])),
            "You take the kind from its last hyphen on: WORK-OF-ART and LACK-OF-ART would be one. The kind is all that follows "
            "B- or I-.",
        ),
        Misconception(
            "goes_on_with_any_kind",
            wrong.scored(wrong.goes_on_with_any),
            "You let I- go on with an entity of another kind. It then begins a new one.",
        ),
        Misconception(
            "i_never_begins",
            wrong.scored(wrong.strict),
            "You drop an entity whose first tag is I-. The statement lets it begin one.",
        ),
        Misconception(
            "last_one_lost",
            wrong.scored(wrong.last_lost),
            "An entity that ends with the sentence is lost. After the last tag, close what is open.",
        ),
        Misconception(
            "sentences_mixed",
            wrong.across_sentences,
            "You throw the entities of all sentences into one set. An entity must be right in its own sentence.",
        ),
        Misconception(
            "sentences_run_on",
            wrong.run_on,
            "You read all sentences as one. An entity cannot go on into the next sentence.",
        ),
        Misconception(
            "mean_of_sentences",
            wrong.per_sentence,
            "You average the F1 of the sentences. Count over all sentences first, then take one F1.",
        ),
        Misconception(
            "mean_of_kinds",
            wrong.by_kind,
            "You average the F1 of the kinds (macro-F1). CoNLL counts all entities together.",
        ),
        Misconception(
            "precision",
            wrong.scored(score=lambda h, t, n: h / n if n else 0.0),
            "This is the precision: it does not see what was missed.",
        ),
        Misconception(
            "recall",
            wrong.scored(score=lambda h, t, n: h / t if t else 0.0),
            "This is the recall: it does not see what was named without being there.",
        ),
        Misconception(
            "mean_of_precision_and_recall",
            wrong.scored(score=lambda h, t, n: ((h / n if n else 0.0) + (h / t if t else 0.0)) / 2),
            "You take the plain mean of precision and recall. F1 is their harmonic mean, 2TP / (named + there).",
        ),
        Misconception(
            "jaccard",
            wrong.scored(score=lambda h, t, n: h / (t + n - h) if t + n else 0.0),
            "You divide the common entities by all different ones (Jaccard). F1 is 2TP / (named + there).",
        ),
        Misconception(
            "one_where_nothing_is",
            wrong.scored(score=lambda h, t, n: 2 * h / (t + n) if t + n else 1.0),
            "Where nothing is there and nothing named you give 1. The statement asks for 0.",
        ),
        Misconception(
            "not_doubled",
            wrong.scored(score=lambda h, t, n: h / (t + n) if t + n else 0.0),
            "A factor 2 is missing: with all right, F1 is 1.",
        ),
    ),
    hints=(
        "First a function for one sentence: from tags to a set of (kind, begin, end).",
        "Remember the kind of the entity that is open, and where it began. Which tags end it? And what if the sentence ends?",
        "With sets, the right ones are those in both. Add up three counts over the sentences.",
    ),
)
