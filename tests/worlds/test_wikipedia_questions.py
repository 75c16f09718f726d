import pytest
import torch

from lib.models import Decoder, TransformerConfig, load_small
from lib.training import History
from lib.worlds.wikipedia_questions import (
    QuestionAnswer,
    as_demonstrations,
    as_prompt,
    batches_without_slack,
    fine_tune,
    loss_by_part,
    question_of,
    wikipedia_questions,
    write_answers,
)

RUGBY = QuestionAnswer("What is Rugby?", "Rugby is a sport.", "Andorra")
ART = QuestionAnswer("What is Art?", "Art is an act of expressing feelings, thoughts, and observations.", "Art")


@pytest.fixture(scope="module")
def small():
    return load_small("gpt-wiki-small")


def test_answers_are_real_sentences_and_no_article_is_on_both_sides():
    train, held_out = wikipedia_questions("train"), wikipedia_questions("validation", "test")
    assert len(train) == 327 and len(held_out) == 66
    assert not {pair.article for pair in train} & {pair.article for pair in held_out}
    assert not {pair.answer for pair in train} & {pair.answer for pair in held_out}
    assert all(len(pair.answer) <= 115 and pair.answer.endswith(".") for pair in train + held_out)
    assert {len(wikipedia_questions("train", longest=n)) > 100 for n in (60, 115)} == {False, True}


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("The old abacus is a frame with beads.", "What is the old abacus?"),
        ("Albert Camus was an author.", "What was Albert Camus?"),
        ("Amphibians are a class of animals.", "What are Amphibians?"),
        ("She was a singer.", None),
        ("However it is the best.", None),
        ("Rugby is played here.", None),
        ("Rugby is a sport", None),
        ("The sport that everybody in Andorra likes is a game.", None),
    ],
)
def test_question_of(sentence, question):
    assert question_of(sentence) == question


def test_demonstrations_count_the_answer_and_its_end_alone(small):
    tokenizer, batch = small.tokenizer, as_demonstrations([RUGBY, ART], small.tokenizer)
    for row, pair in enumerate((RUGBY, ART)):
        counted = batch.input_ids[row][batch.response_mask[row]].tolist()
        read = batch.input_ids[row][batch.attention_mask[row] & ~batch.response_mask[row]].tolist()
        assert tokenizer.decode(counted[:-1]) == " " + pair.answer and counted[-1] == tokenizer.eos_id
        assert tokenizer.decode(read) == as_prompt(pair.question)


def test_batches_hold_whole_rows_and_no_column_of_padding(small):
    data = as_demonstrations([RUGBY, ART, RUGBY], small.tokenizer)
    draw = batches_without_slack(data, 2)
    for seed in range(6):
        batch = draw(torch.Generator().manual_seed(seed))
        assert batch.attention_mask[:, -1].any()
        wanted = {tuple(ids[mask].tolist()) for ids, mask in zip(data.input_ids, data.attention_mask)}
        assert {tuple(ids[mask].tolist()) for ids, mask in zip(batch.input_ids, batch.attention_mask)} <= wanted
    with pytest.raises(ValueError, match="batch_size"):
        batches_without_slack(data, 0)


def test_written_answers_are_those_of_each_prompt_alone(small):
    prompts = [as_prompt(RUGBY.question), as_prompt("What is the final cause?")]
    together = write_answers(small.model, small.tokenizer, prompts, 6)
    alone = [write_answers(small.model, small.tokenizer, [prompt], 6)[0] for prompt in prompts]
    assert together == alone and not any(ended for _, ended in together)
    with pytest.raises(ValueError, match="prompts"):
        write_answers(small.model, small.tokenizer, [])


def test_loss_by_part_adds_up_to_the_log_probability(small):
    batch = as_demonstrations([RUGBY, ART], small.tokenizer)
    parts = loss_by_part(small.model, batch)
    for row in range(2):
        ids = batch.input_ids[row][batch.attention_mask[row]][None]
        with torch.no_grad():
            nats = -small.model(ids)[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
        length = int(batch.response_mask[row].sum())
        total = parts["first"][row] + (length - 2) * parts["between"][row] + parts["end"][row]
        assert torch.allclose(total, nats[-length:].sum(), rtol=1e-4)
    short = batch._replace(response_mask=batch.response_mask & (batch.response_mask.cumsum(1) <= 2))
    with pytest.raises(ValueError, match="at least 3 tokens"):
        loss_by_part(small.model, short)


def test_fine_tuning_learns_what_counts_and_leaves_the_base_alone(small):
    config = TransformerConfig(architecture="decoder", vocab_size=4096, d_model=8, num_layers=1, num_heads=1, d_ff=8,
                               max_positions=64)  # fmt: skip
    base = Decoder(config, generator=torch.Generator().manual_seed(0)).eval()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    data = as_demonstrations([RUGBY], small.tokenizer)
    no_end = data.response_mask & (data.input_ids != small.tokenizer.eos_id)
    tuned, history = fine_tune(base, data, steps=40, show_progress=False)
    endless, _ = fine_tune(base, data, no_end, steps=40, show_progress=False)
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    assert history.loss[-1] < history.loss[0] and not tuned.training
    assert loss_by_part(tuned, data)["end"] < loss_by_part(endless, data)["end"] - 0.1


def test_bad_input():
    with pytest.raises(ValueError, match="splits"):
        wikipedia_questions()
    with pytest.raises(ValueError, match="'validation'"):
        wikipedia_questions("valid")
    with pytest.raises(ValueError, match="longest"):
        wikipedia_questions("train", longest=0)
    with pytest.raises(ValueError, match="prompts"):
        as_demonstrations([], load_small("gpt-wiki-small").tokenizer)


def says(ids, eos_id):
    """A decoder that writes these ids after any prompt, then its end."""
    config = TransformerConfig(architecture="decoder", vocab_size=4096, d_model=16, num_layers=1, num_heads=1, d_ff=8,
                               max_positions=64, position="rotary")  # fmt: skip
    model = Decoder(config, generator=torch.Generator().manual_seed(0)).eval()
    after = dict(zip([-1, *ids], [*ids, eos_id]))

    def logits(hidden):
        last = after[logits.last]
        logits.last = last if last != eos_id else -1
        return torch.nn.functional.one_hot(torch.full(hidden.shape[:2], last), 4096).float()

    logits.last = -1
    model.logits = logits
    return model


@pytest.mark.parametrize("words", ["", " It is"])
@pytest.mark.parametrize("most", [1, 2, 3, 9])
def test_an_answer_may_be_empty_or_cut_off(words, most, small):
    """The end token at the very first place ends an answer, too."""
    ids = small.tokenizer.encode(words)
    found = write_answers(says(ids, small.tokenizer.eos_id), small.tokenizer, ["What?", "What is Art?"], most)
    assert found == [(small.tokenizer.decode(ids[:most]), most > len(ids))] * 2


def test_answers_of_three_tokens_have_three_parts(small):
    batch = as_demonstrations([RUGBY], small.tokenizer)
    three = batch._replace(response_mask=batch.response_mask & (batch.response_mask.cumsum(1) <= 3))
    parts = loss_by_part(small.model, three)
    whole = loss_by_part(small.model, batch)
    assert parts["first"] == whole["first"] and all(part.shape == (1,) for part in parts.values())
    nats = torch.stack(list(parts.values()))
    assert len(nats.unique()) == 3 and not any(part.requires_grad for part in parts.values())


@pytest.mark.parametrize(
    ("sentence", "question"),
    [("A cat is a pet.", "What is a cat?"), ("An owl is not a pet.", "What is an owl?"),
     ("The cats were the pets.", "What were the cats?"), ("Tom's Owl is also a pet.", "What is Tom's Owl?"),
     ("If is a word.", None), ("One two three four is a row.", "What is One two three four?"),
     ("One two three four five is a row.", None), ("The one two three four is a row.", "What is the one two three four?")],
)  # fmt: skip
def test_which_subjects_are_asked_about(sentence, question):
    assert question_of(sentence) == question


def test_the_longest_answer_has_exactly_as_many_characters_as_allowed():
    every = wikipedia_questions("validation", longest=200)
    longest = max(len(pair.answer) for pair in every)
    assert len(wikipedia_questions("validation", longest=longest)) == len(every)
    assert len(wikipedia_questions("validation", longest=longest - 1)) < len(every)


def test_fine_tuning_hands_its_settings_on(small, monkeypatch):
    """The seed draws the batches; a run of one update has no warm-up; without `counted` all of the answers count."""
    seen, data = [], as_demonstrations([RUGBY, ART], small.tokenizer)
    monkeypatch.setattr("lib.worlds.wikipedia_questions.fit", lambda *given, **named: seen.append(given) or History())
    base = says([], 0)
    for steps, seed in ((1, 0), (4, 3), (30, 9)):
        fine_tune(base, data, steps=steps, seed=seed, show_progress=False)
    assert [(s.steps, s.seed, s.warmup_steps, s.learning_rate) for _, _, _, s in seen] == [
        (1, 0, 0, 1e-3), (4, 3, 3, 1e-3), (30, 9, 5, 1e-3),
    ]  # fmt: skip
    batch = seen[0][2](torch.Generator().manual_seed(0))
    assert len(batch.input_ids) == 8 and seen[0][0] is not base
    assert {int(n) for n in batch.response_mask.sum(dim=1)} == {int(n) for n in data.response_mask.sum(dim=1)}
