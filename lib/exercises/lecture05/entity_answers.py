"""Support for glue.entity_f1: entities of BIO tags, found rightly and wrongly, and how they are scored."""

EXERCISES = ()  # the exercise itself is in glue_entities.py


def found(tags, *, joined=False, strict=False, kinds=True):
    """The entities (kind, begin, end) of one sentence; the options make mistakes."""
    entities, kind, begin = [], None, 0
    for place, tag in enumerate([*tags, "O"]):
        mark, _, now = tag.partition("-")
        goes_on = kind is not None and now == kind and (mark == "I" or (joined and mark == "B"))
        if goes_on:
            continue
        if kind is not None:
            entities.append((kind if kinds else "", begin, place))
        begins = mark == "B" or (mark == "I" and not strict)
        kind, begin = (now, place) if begins else (None, place)
    return entities


def scored(find=found, score=None):
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


def joined(tags):
    return found(tags, joined=True)


def closed_by_begin_alone(tags):
    """O does not close what is open."""
    spans = []
    for place, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "I" and spans and spans[-1][0] == kind:
            spans[-1] = (kind, spans[-1][1], place)
        elif tag != "O":
            spans.append((kind, place, place))
    return spans


def kind_as(part):
    """The kind is only a part of what stands behind the mark."""
    return lambda tags: found([tag if tag == "O" else f"{tag[0]}-{part(tag)}" for tag in tags])


def goes_on_with_any(tags):
    """I- goes on whatever the kind."""
    kinds = []
    for place, tag in enumerate(tags):
        goes_on = tag[0] == "I" and place > 0 and tags[place - 1] != "O"
        kinds.append(f"I-{kinds[-1][2:]}" if goes_on else tag)
    return found(kinds)


def strict(tags):
    return found(tags, strict=True)


def without_kind(tags):
    return found(tags, kinds=False)


def begins_only(tags):
    return [entity[:2] for entity in found(tags)]


def last_lost(tags):
    return [entity for entity in found(tags) if entity[2] < len(tags)]


def kinds_only(tags):
    return [entity[0] for entity in found(tags)]


def across_sentences(labels, predictions):
    a, b = {e for tags in labels for e in found(tags)}, {e for tags in predictions for e in found(tags)}
    hit, there, named = len(a & b), len(a), len(b)
    return 2 * hit / (there + named) if there + named else 0.0


def run_on(labels, predictions):
    a = set(found([tag for tags in labels for tag in tags]))
    b = set(found([tag for tags in predictions for tag in tags]))
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0


def per_sentence(labels, predictions):
    scores = []
    for true, guess in zip(labels, predictions):
        a, b = set(found(true)), set(found(guess))
        scores.append(2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0)
    return sum(scores) / len(scores)


def tag_accuracy(labels, predictions):
    pairs = [pair for true, guess in zip(labels, predictions) for pair in zip(true, guess)]
    return sum(a == b for a, b in pairs) / len(pairs)


def tag_f1(labels, predictions):
    pairs = [pair for true, guess in zip(labels, predictions) for pair in zip(true, guess)]
    hit = sum(a == b != "O" for a, b in pairs)
    total = sum((a != "O") + (b != "O") for a, b in pairs)
    return 2 * hit / total if total else 0.0


def overlap(labels, predictions):
    hit = there = named = 0
    for true, guess in zip(labels, predictions):
        a, b = found(true), found(guess)
        hit += sum(any(x[0] == y[0] and x[1] < y[2] and y[1] < x[2] for y in b) for x in a)
        there, named = there + len(a), named + len(b)
    return 2 * hit / (there + named) if there + named else 0.0


def by_kind(labels, predictions):
    kinds = sorted({e[0] for tags in [*labels, *predictions] for e in found(tags)})
    scores = []
    for kind in kinds:
        hit = total = 0
        for true, guess in zip(labels, predictions):
            a = {e for e in found(true) if e[0] == kind}
            b = {e for e in found(guess) if e[0] == kind}
            hit, total = hit + len(a & b), total + len(a) + len(b)
        scores.append(2 * hit / total)
    return sum(scores) / len(scores) if scores else 0.0
