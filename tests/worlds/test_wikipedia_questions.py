import pytest
import torch

from lib.models import Decoder, TransformerConfig, load_small
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
