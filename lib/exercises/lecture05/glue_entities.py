"""An exercise of `glue`: F1 over whole entities, from BIO tags."""

from lib.exercises.engine.exercise import Exercise, Misconception, case

EXERCISES = ()


# --- glue.entity_f1 ---------------------------------------------------------------------------------------------------
def entity_f1(labels, predictions):
    """F1 over the entities of all sentences; 0 where nothing is there and nothing is named."""
    hit = there = named = 0
    for true, guess in zip(labels, predictions):
        a, b = set(_found(true)), set(_found(guess))
        hit, there, named = hit + len(a & b), there + len(a), named + len(b)
    return 2 * hit / (there + named) if there + named else 0.0


def _found(tags, *, joined=False, strict=False, kinds=True, number=0):
    """The entities (kind, begin, end) of one sentence; the options make mistakes."""
    found, kind, begin = [], None, 0
    for place, tag in enumerate([*tags, "O"]):
        mark, _, now = tag.partition("-")
        goes_on = kind is not None and now == kind and (mark == "I" or (joined and mark == "B"))
        if goes_on:
            continue
        if kind is not None:
            found.append((kind if kinds else "", begin, place))
        begins = mark == "B" or (mark == "I" and not strict)
        kind, begin = (now, place) if begins else (None, place)
    return found


def _scored(find=_found, score=None):
    """An answer with other entities, or another score of the counts hit, there and named."""

    def answer(labels, predictions):
        hit = there = named = 0
        for true, guess in zip(labels, predictions):
            a, b = set(find(true)), set(find(guess))
            hit, there, named = hit + len(a & b), there + len(a), named + len(b)
        if score is not None:
            return score(hit, there, named)
        return 2 * hit / (there + named) if there + named else 0.0

    return answer


def _joined(tags):
    return _found(tags, joined=True)


def _closed_by_begin_alone(tags):
    """O does not close what is open."""
    spans = []
    for place, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "I" and spans and spans[-1][0] == kind:
            spans[-1] = (kind, spans[-1][1], place)
        elif tag != "O":
            spans.append((kind, place, place))
    return spans


def _kind_as(part):
    """The kind is only a part of what stands behind the mark."""
    return lambda tags: _found([tag if tag == "O" else f"{tag[0]}-{part(tag)}" for tag in tags])


def _goes_on_with_any(tags):
    """I- goes on whatever the kind."""
    kinds = []
    for place, tag in enumerate(tags):
        goes_on = tag[0] == "I" and place > 0 and tags[place - 1] != "O"
        kinds.append(f"I-{kinds[-1][2:]}" if goes_on else tag)
    return _found(kinds)


def _strict(tags):
    return _found(tags, strict=True)


def _without_kind(tags):
    return _found(tags, kinds=False)


def _begins_only(tags):
    return [entity[:2] for entity in _found(tags)]


def _last_lost(tags):
    return [entity for entity in _found(tags) if entity[2] < len(tags)]


def _kinds_only(tags):
    return [entity[0] for entity in _found(tags)]


def _across_sentences(labels, predictions):
    hit = there = named = 0
    a, b = {e for tags in labels for e in _found(tags)}, {e for tags in predictions for e in _found(tags)}
    hit, there, named = len(a & b), len(a), len(b)
    return 2 * hit / (there + named) if there + named else 0.0


def _run_on(labels, predictions):
    a = set(_found([tag for tags in labels for tag in tags]))
    b = set(_found([tag for tags in predictions for tag in tags]))
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0


def _per_sentence(labels, predictions):
    scores = []
    for true, guess in zip(labels, predictions):
        a, b = set(_found(true)), set(_found(guess))
        scores.append(2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0)
    return sum(scores) / len(scores)


def _tag_accuracy(labels, predictions):
    pairs = [pair for true, guess in zip(labels, predictions) for pair in zip(true, guess)]
    return sum(a == b for a, b in pairs) / len(pairs)


def _tag_f1(labels, predictions):
    pairs = [pair for true, guess in zip(labels, predictions) for pair in zip(true, guess)]
    hit = sum(a == b != "O" for a, b in pairs)
    total = sum((a != "O") + (b != "O") for a, b in pairs)
    return 2 * hit / total if total else 0.0


def _overlap(labels, predictions):
    hit = there = named = 0
    for true, guess in zip(labels, predictions):
        a, b = _found(true), _found(guess)
        hit += sum(any(x[0] == y[0] and x[1] < y[2] and y[1] < x[2] for y in b) for x in a)
        there, named = there + len(a), named + len(b)
    return 2 * hit / (there + named) if there + named else 0.0


def _by_kind(labels, predictions):
    kinds = sorted({e[0] for tags in [*labels, *predictions] for e in _found(tags)})
    scores = []
    for kind in kinds:
        hit = total = 0
        for true, guess in zip(labels, predictions):
            a = {e for e in _found(true) if e[0] == kind}
            b = {e for e in _found(guess) if e[0] == kind}
            hit, total = hit + len(a & b), total + len(a) + len(b)
        scores.append(2 * hit / total)
    return sum(scores) / len(scores) if scores else 0.0


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
    accepts=(_scored(score=lambda h, t, n: h / (h + (t - h + n - h) / 2) if t + n else 0.0),),
    withheld=(
        "lib.evaluation.classification.scores_of",
        "lib.evaluation.classification._share",
        "lib.evaluation.spans.entities_of",
        "lib.evaluation.spans.entity_scores",
    ),
    misconceptions=(
        Misconception(
            "tag_accuracy",
            _tag_accuracy,
            "This is the accuracy of tags. Most tags are O, and half an entity would count: compare whole entities.",
        ),
        Misconception(
            "tags_not_entities",
            _tag_f1,
            "This is F1 over tags. Half an entity would count half: compare whole entities.",
        ),
        Misconception(
            "overlap_is_enough",
            _overlap,
            "You count entities that overlap. Beginning and end must both be right.",
        ),
        Misconception(
            "kind_does_not_matter",
            _scored(_without_kind),
            "You compare places alone. An entity is right only with its kind.",
        ),
        Misconception(
            "end_does_not_matter",
            _scored(_begins_only),
            "You compare where entities begin. The end must be right, too.",
        ),
        Misconception(
            "place_does_not_matter",
            _scored(_kinds_only),
            "You compare kinds alone. Beginning and end must be right, too.",
        ),
        Misconception(
            "neighbours_joined",
            _scored(_joined),
            "B- always begins a new entity, also directly after one of its own kind. You join the two.",
        ),
        Misconception(
            "o_does_not_close",
            _scored(_closed_by_begin_alone),
            "In B-PER O I-PER your entity goes on after the O. O ends an entity: what follows begins a new one.",
        ),
        Misconception(
            "kind_up_to_hyphen",
            _scored(_kind_as(lambda tag: tag.split("-")[1])),
            "You take the kind up to its first hyphen: WORK-OF-ART and WORK-OF-LAW would be one. The kind is all that follows "
            "B- or I-.",
        ),
        Misconception(
            "kind_after_last_hyphen",
            _scored(_kind_as(lambda tag: tag.rsplit("-", 1)[1])),
            "You take the kind from its last hyphen on: WORK-OF-ART and LACK-OF-ART would be one. The kind is all that follows "
            "B- or I-.",
        ),
        Misconception(
            "goes_on_with_any_kind",
            _scored(_goes_on_with_any),
            "You let I- go on with an entity of another kind. It then begins a new one.",
        ),
        Misconception(
            "i_never_begins",
            _scored(_strict),
            "You drop an entity whose first tag is I-. The statement lets it begin one.",
        ),
        Misconception(
            "last_one_lost",
            _scored(_last_lost),
            "An entity that ends with the sentence is lost. After the last tag, close what is open.",
        ),
        Misconception(
            "sentences_mixed",
            _across_sentences,
            "You throw the entities of all sentences into one set. An entity must be right in its own sentence.",
        ),
        Misconception(
            "sentences_run_on",
            _run_on,
            "You read all sentences as one. An entity cannot go on into the next sentence.",
        ),
        Misconception(
            "mean_of_sentences",
            _per_sentence,
            "You average the F1 of the sentences. Count over all sentences first, then take one F1.",
        ),
        Misconception(
            "mean_of_kinds",
            _by_kind,
            "You average the F1 of the kinds (macro-F1). CoNLL counts all entities together.",
        ),
        Misconception(
            "precision",
            _scored(score=lambda h, t, n: h / n if n else 0.0),
            "This is the precision: it does not see what was missed.",
        ),
        Misconception(
            "recall",
            _scored(score=lambda h, t, n: h / t if t else 0.0),
            "This is the recall: it does not see what was named without being there.",
        ),
        Misconception(
            "mean_of_precision_and_recall",
            _scored(score=lambda h, t, n: ((h / n if n else 0.0) + (h / t if t else 0.0)) / 2),
            "You take the plain mean of precision and recall. F1 is their harmonic mean, 2TP / (named + there).",
        ),
        Misconception(
            "jaccard",
            _scored(score=lambda h, t, n: h / (t + n - h) if t + n else 0.0),
            "You divide the common entities by all different ones (Jaccard). F1 is 2TP / (named + there).",
        ),
        Misconception(
            "one_where_nothing_is",
            _scored(score=lambda h, t, n: 2 * h / (t + n) if t + n else 1.0),
            "Where nothing is there and nothing named you give 1. The statement asks for 0.",
        ),
        Misconception(
            "not_doubled",
            _scored(score=lambda h, t, n: h / (t + n) if t + n else 0.0),
            "A factor 2 is missing: with all right, F1 is 1.",
        ),
    ),
    hints=(
        "First a function for one sentence: from tags to a set of (kind, begin, end).",
        "Remember the kind of the entity that is open, and where it began. Which tags end it? And what if the sentence ends?",
        "With sets, the right ones are those in both. Add up three counts over the sentences.",
    ),
)
