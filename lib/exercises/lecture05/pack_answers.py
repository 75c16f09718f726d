"""Right and wrong answers to bert.pack_pair."""

EXERCISES = ()  # the exercise itself is bert.pack_pair


def kept(first, second, room):
    """The two texts, cut to `room` tokens together: the longer loses its last token; of equals, the second."""
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    return first, second


def filled(ids, types, max_length, pad_id, pad_type=0, left=False):
    """Ids, segments and mask of one row, padded to `max_length`."""
    gap = max_length - len(ids)
    parts = (ids, [pad_id] * gap), (types, [pad_type] * gap), ([1] * len(ids), [0] * gap)
    return tuple(b + a if left else a + b for a, b in parts)


def row(first, second, cls_id, sep_id):
    """Ids and segments before padding."""
    ids = [cls_id, *first, sep_id, *second, sep_id]
    return ids, [0] * (len(first) + 2) + [1] * (len(second) + 1)


def pack_pair(first, second, max_length, cls_id, sep_id, pad_id):
    """[CLS] first [SEP] second [SEP] in `max_length` tokens: ids, segments and mask, three lists."""
    first, second = kept(first, second, max_length - 3)
    return filled(*row(first, second, cls_id, sep_id), max_length, pad_id)


def by_formula(first, second, max_length, cls_id, sep_id, pad_id):
    room = max_length - 3
    a = min(len(first), max(room - len(second), room - room // 2))
    b = min(len(second), room - a)
    ids = [cls_id] + list(first[:a]) + [sep_id] + list(second[:b]) + [sep_id]
    types = [0] * (a + 2) + [1] * (b + 1)
    pad = max_length - len(ids)
    return ids + [pad_id] * pad, types + [0] * pad, [1] * len(ids) + [0] * pad


def cut_by(cut):
    """An answer that cuts in another way."""

    def answer(first, second, max_length, cls_id, sep_id, pad_id):
        a, b = cut(list(first), list(second), max_length - 3)
        return filled(*row(a, b, cls_id, sep_id), max_length, pad_id)

    return answer


def second_only(a, b, room):
    return a[:room], b[: max(0, room - len(a))]


def first_only(a, b, room):
    return a[: max(0, room - len(b))], b[:room]


def half_each(a, b, room):
    return (a, b) if len(a) + len(b) <= room else (a[: room - room // 2], b[: room // 2])


def tie_to_first(a, b, room):
    while len(a) + len(b) > room:
        (a if len(a) >= len(b) else b).pop()
    return a, b


def from_the_front(a, b, room):
    while len(a) + len(b) > room:
        (a if len(a) > len(b) else b).pop(0)
    return a, b


def room_by(number):
    """As if `number` places were needed for the special tokens."""
    return cut_by(lambda a, b, room: kept(a, b, max(0, room + 3 - number)))


def cut_whole_row(first, second, max_length, cls_id, sep_id, pad_id):
    ids, types = row(first, second, cls_id, sep_id)
    return filled(ids[:max_length], types[:max_length], max_length, pad_id)


def not_cut(first, second, max_length, cls_id, sep_id, pad_id):
    return filled(*row(first, second, cls_id, sep_id), max_length, pad_id)


def not_padded(first, second, max_length, cls_id, sep_id, pad_id):
    ids, types = row(*kept(first, second, max_length - 3), cls_id, sep_id)
    return ids, types, [1] * len(ids)


def laid_out(make):
    """An answer with another row: `make(first, second, cls_id, sep_id)` returns ids and segments."""

    def answer(first, second, max_length, cls_id, sep_id, pad_id):
        ids, types = make(*kept(first, second, max_length - 3), cls_id, sep_id)
        return filled(ids, types, max_length, pad_id)

    return answer


def middle_in_second(a, b, cls_id, sep_id):
    return [cls_id, *a, sep_id, *b, sep_id], [0] * (len(a) + 1) + [1] * (len(b) + 2)


def cls_twice(a, b, cls_id, sep_id):
    return [cls_id, *a, sep_id, cls_id, *b, sep_id], [0] * (len(a) + 2) + [1] * (len(b) + 2)


def no_last_separator(a, b, cls_id, sep_id):
    return [cls_id, *a, sep_id, *b], [0] * (len(a) + 2) + [1] * len(b)


def from_one(a, b, cls_id, sep_id):
    return row(a, b, cls_id, sep_id)[0], [1] * (len(a) + 2) + [2] * (len(b) + 1)


def all_zero(a, b, cls_id, sep_id):
    ids, types = row(a, b, cls_id, sep_id)
    return ids, [0] * len(types)


def specials_zero(a, b, cls_id, sep_id):
    return row(a, b, cls_id, sep_id)[0], [0] * (len(a) + 2) + [1] * len(b) + [0]


def padded_as(pad_type=0, left=False, zero=False):
    """An answer that pads in another way."""

    def answer(first, second, max_length, cls_id, sep_id, pad_id):
        ids, types = row(*kept(first, second, max_length - 3), cls_id, sep_id)
        return filled(ids, types, max_length, 0 if zero else pad_id, pad_type, left)

    return answer


def mask_of(change):
    """An answer whose mask is made from ids and the right mask."""

    def answer(first, second, max_length, cls_id, sep_id, pad_id):
        ids, types, mask = pack_pair(first, second, max_length, cls_id, sep_id, pad_id)
        return ids, types, [change(i, m, (cls_id, sep_id), pad_id) for i, m in zip(ids, mask)]

    return answer


def empty_left_out(first, second, max_length, cls_id, sep_id, pad_id):
    """An empty text gets no separator of its own."""
    first, second = kept(first, second, max_length - 3)
    ids, types = [cls_id], [0]
    for number, text in enumerate((first, second)):
        if text:
            ids, types = [*ids, *text, sep_id], types + [number] * (len(text) + 1)
    return filled(ids if len(ids) > 1 else [cls_id, sep_id], types if len(ids) > 1 else [0, 0], max_length, pad_id)


def one_text_without_second(first, second, max_length, cls_id, sep_id, pad_id):
    """Without a second text, [CLS] first [SEP]."""
    first, second = kept(first, second, max_length - 3)
    ids, types = row(first, second, cls_id, sep_id)
    return filled(ids if second else ids[:-1], types if second else types[:-1], max_length, pad_id)


def in_place(first, second, max_length, cls_id, sep_id, pad_id):
    while len(first) + len(second) > max_length - 3:
        (first if len(first) > len(second) else second).pop()
    return filled(*row(first, second, cls_id, sep_id), max_length, pad_id)


def another_order(first, second, max_length, cls_id, sep_id, pad_id):
    ids, types, mask = pack_pair(first, second, max_length, cls_id, sep_id, pad_id)
    return ids, mask, types
