"""Support for mlm.mask_tokens, whose answers are random: the rules for an answer, and wrong answers to recognise."""

import math

import numpy as np
import torch

from lib import text
from lib.exercises.engine.exercise import case

IGNORED = -100
EXERCISES = ()  # the exercise itself is mlm.mask_tokens


def mask_tokens(ids, mask_id, vocab_size, special_ids, rate, generator):
    """lib.text.mask_tokens with positional arguments."""
    return tuple(
        text.mask_tokens(
            ids, mask_id=mask_id, vocab_size=vocab_size, special_ids=special_ids, rate=rate, generator=generator
        )
    )


def check_masking(given, output, expected):
    """None if corrupted ids and labels follow the rules, else a complaint; shares are checked from 1,000 tokens on."""
    ids, mask_id, vocab_size, special_ids, rate, _ = given.args
    corrupted, labels = output
    if corrupted.shape != ids.shape or labels.shape != ids.shape:
        return "corrupted ids and labels must both have the shape of ids"
    selected, ordinary = labels != IGNORED, ~torch.isin(ids, torch.tensor(special_ids))
    changed = corrupted != ids
    if (labels[selected] != ids[selected]).any():
        return "some labels are not the original ids"
    if (selected & ~ordinary).any():
        return "special tokens have labels" + (", like all other tokens" if selected.all() else "")
    if (changed & ~ordinary).any():
        return "special tokens were changed"
    if (changed & ~selected).any():
        most = (changed & ~selected).sum() > 0.5 * (~selected & ordinary).sum()
        return f"{'most' if most else 'some'} tokens without a label were changed"
    if corrupted.min() < 0 or corrupted.max() >= vocab_size:
        return "an id is outside the vocabulary"
    if rate == 0 and selected.any():
        return "at rate 0 something was selected"
    if ids.numel() > 1000 and 0 < rate < 1 and any((selected == s & ordinary).all() for s in _global(ids.shape, rate)):
        return "the draws do not come from `generator`"
    return _check_shares(given, corrupted, selected, changed, ordinary)


def _global(shape, rate):
    """What an answer that ignores its generator selects: every answer begins with the global random states of seed 0."""
    seed_0 = torch.Generator()
    yield torch.rand(shape, generator=seed_0.manual_seed(0)) < rate
    yield torch.bernoulli(torch.full(shape, float(rate)), generator=seed_0.manual_seed(0)).bool()
    yield torch.from_numpy(np.random.RandomState(0).random_sample(shape)) < rate


def _check_shares(given, corrupted, selected, changed, ordinary):
    _, mask_id, vocab_size, special_ids, rate, _ = given.args
    if (complaint := _off("labelled among ordinary tokens", selected, ordinary, rate)) is not None:
        return complaint
    if len(selected) > 1 and 0 < rate < 1 and selected.sum() > 1000 and (selected == selected[0]).all():
        return "the same positions are selected in every row"
    if (complaint := _shared_fates(corrupted == mask_id, selected)) is not None:
        return complaint
    masked = corrupted == mask_id
    fates = {"[MASK]": (masked, 0.8), "random": (changed & ~masked, 0.1), "kept": (~changed, 0.1)}
    for fate, (which, share) in fates.items():
        if (complaint := _off(f"{fate} among the selected", which & selected, selected, share)) is not None:
            return complaint
    replaced = corrupted[changed & ~masked]
    if len(replaced) > 50 and len(replaced.unique()) < 20:
        return "the random tokens are nearly all the same"
    if len(replaced) > 20 * vocab_size and set(range(vocab_size)) - set(special_ids) - set(replaced.tolist()):
        return "some ids of the vocabulary never come as a random token"
    if len(replaced) > 50 and _drawn_elsewhere(corrupted, selected, changed & ~masked, masked, vocab_size):
        return "some draws do not come from `generator`"
    return None


def _shared_fates(masked, selected):
    """A complaint if fates follow the order of the text, or if most rows of eight selected tokens or more have only one."""
    fates, count = masked[selected].float(), selected.sum(dim=1)
    first, second = fates[: len(fates) // 2].mean(), fates[len(fates) // 2 :].mean()
    if len(fates) > 1000 and max(first, second) > 0.95 and min(first, second) < 0.75:
        return "the fates depend on the place in the text"
    each = (masked & selected).sum(dim=1)[count >= 8] / count[count >= 8]
    if len(each) > 1 and ((each > 0) & (each < 1)).float().mean() < 0.5 and 0.2 < each.mean() < 0.95:
        return "all selected tokens of a row have the same fate"
    return None


def _drawn_elsewhere(corrupted, selected, replaced, masked, vocab_size):
    """Whether fates or random tokens are what the global random states of seed 0 give, see _global."""
    seed_0, words = torch.Generator(), corrupted[replaced]
    fates = torch.rand(masked.shape, generator=seed_0.manual_seed(0))
    if torch.equal((fates < 0.8)[selected], masked[selected]):
        return True
    drawn = torch.randint(vocab_size, masked.shape, generator=seed_0.manual_seed(0))
    in_order = torch.randint(vocab_size, (20,), generator=seed_0.manual_seed(0))
    in_numpy = torch.from_numpy(np.random.RandomState(0).randint(0, vocab_size, masked.shape))
    return any(torch.equal(words, w) for w in (drawn[replaced], in_numpy[replaced])) or torch.equal(
        words[:20], in_order
    )


def _off(what, part, whole, share):
    """A complaint if a share is more than five standard deviations off."""
    n = int(whole.sum())
    if n < 1000:
        return None
    found = int(part.sum()) / n
    if abs(found - share) <= 5 * math.sqrt(share * (1 - share) / n) + 0.01:
        return None
    if found == 0:
        return f"none are {what}"
    if found == 1:
        return f"all are {what}"
    return f"too {'many' if found > share else 'few'} are {what}"


def wrong_masking(
    split=(0.8, 0.1),
    *,
    specials=False,
    labels="selected",
    per_column=False,
    rate_used=None,
    rest=False,
    one_word=False,
    lowest=0,
    own_draws="",
):
    """An answer with one mistake, chosen by the arguments; without any, a right answer."""

    def answer(ids, mask_id, vocab_size, special_ids, rate, generator):
        generator = None if own_draws == "all" else generator
        shape = ids.shape[1:] if per_column else ids.shape
        selected = (torch.rand(shape, generator=generator) < (rate_used or rate)).expand(ids.shape)
        if specials == "by order":
            selected = selected & (ids > max(special_ids))
        elif not specials:
            selected = selected & ~torch.isin(ids, torch.tensor(special_ids))
        draw = torch.rand(ids.shape, generator=generator)
        to_mask = selected & (draw < split[0])
        if rest:
            to_random = selected & ~to_mask & (torch.rand(ids.shape, generator=generator) < 0.1)
        else:
            to_random = selected & ~to_mask & (draw < sum(split))
        words = None if own_draws else generator  # "words": the fates come from generator, the random tokens do not
        random = torch.randint(lowest, vocab_size, ids.shape, generator=words)
        random = torch.full_like(ids, int(random.flatten()[0])) if one_word else random
        corrupted = torch.where(to_random, random, ids.masked_fill(to_mask, mask_id))
        if labels == "everywhere":
            return corrupted, ids.clone()
        where = {"selected": selected, "masked": to_mask, "changed": to_mask | to_random, "corrupted": selected}[labels]
        return corrupted, (corrupted if labels == "corrupted" else ids).masked_fill(~where, IGNORED)

    return answer


def split_of_all(ids, mask_id, vocab_size, special_ids, rate, generator):
    selected = torch.rand(ids.shape, generator=generator) < rate
    ordinary = ~torch.isin(ids, torch.tensor(special_ids))
    draw = torch.rand(ids.shape, generator=generator)
    random = torch.randint(vocab_size, ids.shape, generator=generator)
    corrupted = torch.where(ordinary & (draw >= 0.8) & (draw < 0.9), random, ids)
    return corrupted.masked_fill(ordinary & (draw < 0.8), mask_id), ids.masked_fill(~(selected & ordinary), IGNORED)


def _split(ids, mask_id, selected, fate, words):
    """Corrupted ids and labels, once everything is drawn."""
    corrupted = ids.masked_fill(selected & (fate < 0.8), mask_id)
    corrupted = torch.where(selected & (fate >= 0.8) & (fate < 0.9), words, corrupted)
    return corrupted, ids.masked_fill(~selected, IGNORED)


def rate_of_all(ids, mask_id, vocab_size, special_ids, rate, generator):
    """As many tokens as the rate of all would be, taken from the ordinary ones."""
    ordinary = ~torch.isin(ids, torch.tensor(special_ids))
    higher = rate * ids.numel() / max(1, int(ordinary.sum()))
    selected = (torch.rand(ids.shape, generator=generator) < higher) & ordinary
    fate = torch.rand(ids.shape, generator=generator)
    return _split(ids, mask_id, selected, fate, torch.randint(vocab_size, ids.shape, generator=generator))


def limits_of_15(ids, mask_id, vocab_size, special_ids, rate, generator):
    """One draw for both, with the limits of 15 %: 0.12 and 0.135."""
    draw = torch.rand(ids.shape, generator=generator)
    selected = (draw < rate) & ~torch.isin(ids, torch.tensor(special_ids))
    words = torch.randint(vocab_size, ids.shape, generator=generator)
    return _split(ids, mask_id, selected, draw / 0.15, words)


def fate_by_place(ids, mask_id, vocab_size, special_ids, rate, generator):
    """The first 80 % of the selected tokens become [MASK], the next 10 % random."""
    selected = (torch.rand(ids.shape, generator=generator) < rate) & ~torch.isin(ids, torch.tensor(special_ids))
    rank = selected.flatten().cumsum(dim=0).view_as(ids) - 1
    words = torch.randint(vocab_size, ids.shape, generator=generator)
    return _split(ids, mask_id, selected, rank / selected.sum().clamp(min=1), words)


def fate_of_the_row(ids, mask_id, vocab_size, special_ids, rate, generator):
    """One draw decides the fate of all selected tokens of a row."""
    selected = (torch.rand(ids.shape, generator=generator) < rate) & ~torch.isin(ids, torch.tensor(special_ids))
    fate = torch.rand(len(ids), 1, generator=generator).expand(ids.shape)
    return _split(ids, mask_id, selected, fate, torch.randint(vocab_size, ids.shape, generator=generator))


def in_place(ids, *rest):
    corrupted, labels = mask_tokens(ids, *rest)
    ids.copy_(corrupted)
    return ids, labels


def no_copy(ids, mask_id, vocab_size, special_ids, rate, generator):
    """`corrupted = ids` is the same tensor, so the labels are read after it has been overwritten."""
    selected = (torch.rand(ids.shape, generator=generator) < rate) & ~torch.isin(ids, torch.tensor(special_ids))
    corrupted, fate = ids, torch.rand(ids.shape, generator=generator)
    corrupted[selected & (fate < 0.8)] = mask_id
    swapped = selected & (fate >= 0.9)
    corrupted[swapped] = torch.randint(vocab_size, (int(swapped.sum()),), generator=generator)
    return corrupted, ids.masked_fill(~selected, IGNORED)


def fixed_number(ids, mask_id, vocab_size, special_ids, rate, generator):
    """Select the same share of every row, as Devlin et al. do."""
    corrupted, labels = ids.clone(), torch.full_like(ids, IGNORED)
    for row in range(len(ids)):
        places = (~torch.isin(ids[row], torch.tensor(special_ids))).nonzero()[:, 0]
        chosen = places[torch.randperm(len(places), generator=generator)][: round(rate * len(places))]
        labels[row, chosen] = ids[row, chosen]
        fate = torch.rand(len(chosen), generator=generator)
        corrupted[row, chosen[fate < 0.8]] = mask_id
        swapped = chosen[fate >= 0.9]
        corrupted[row, swapped] = torch.randint(vocab_size, (len(swapped),), generator=generator)
    return corrupted, labels


def loss_cases(generator):
    """Logits and labels of masked batches in which every fate occurs, for mlm.loss; the id of [MASK] is 9."""

    def batch(rows, length, rate=0.5, size=1.0):
        original = torch.randint(9, (rows, length), generator=generator)
        original[0, 1] = 0  # an id like any other
        selected = torch.rand(rows, length, generator=generator) < rate
        selected[0, :3] = True  # one of each fate
        fate = torch.randint(3, (rows, length), generator=generator)
        fate[0, :3] = torch.arange(3)
        shown = original.masked_fill(fate == 0, 9)
        shown = torch.where(fate == 1, (original + 1) % 9, shown)
        logits = size * torch.randn(rows, length, 10, generator=generator)
        return logits, original.masked_fill(~selected, IGNORED), torch.where(selected, shown, original), 9

    few, one, given = batch(3, 6), batch(2, 5), batch(2, 6)
    few[1][1:] = IGNORED  # two rows without selected tokens
    one[1].fill_(IGNORED)[1, 3] = 7
    given[1][1, 2:], given[2][1, 2:4] = IGNORED, 9
    large = batch(2, 6, size=200.0)
    large[0][:, :, 9] += 5000  # [MASK], which is never a label: the probability of each label is 0 even in float64
    return [
        case("four rows of eight tokens", *batch(4, 8)),
        case("rows with different numbers of selected tokens", *batch(3, 12, 0.3)),
        case("nothing selected in two of three rows", *few),
        case("a single selected token", *one),
        case("a single row", *batch(1, 7)),
        case("a [MASK] that the text itself contains", *given),
        case("every token selected", *batch(2, 5, 1.0)),
        case("logits in the thousands", *large),
    ]
