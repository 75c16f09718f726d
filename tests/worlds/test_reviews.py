"""The small reviews: made by rule, known again by rule, each word one piece."""

import pytest
import torch

from lib.worlds.reviews import BLAME, PLAIN, PRAISE, TOPICS, is_review, review_prompts, review_tokenizer, write_reviews


def test_what_is_written_is_known_again(generator):
    written = write_reviews(400, generator=generator)
    assert all(is_review(f"{prompt} {review}") for prompt, review in written)
    assert {prompt for prompt, _ in written} == set(review_prompts())
    assert 0.4 < sum(review.count("was") == 2 for _, review in written) / 400 < 0.6
    kinds = torch.tensor([[any(word in review for word in words) for words in (PRAISE, PLAIN, BLAME)]
                          for _, review in written]).float().mean(0)  # fmt: skip
    assert kinds.max() - kinds.min() < 0.12  # kind, plain and unkind alike


def test_seeded():
    first, again = (write_reviews(5, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert first == again != write_reviews(5, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(
    "text",
    ["the plot was dull .", "about the film : the plot was dull", "about the film : the soup was dull .",
     "about the film : the plot dull .", "about the film : the plot was dull , the plot was new .",
     "about the film : the plot was dull , the music was dull .", "about the film : the plot was very very dull .",
     "about the film : the plot was dull . the music was new .", "about the sea : the view was dull .", ""],
)  # fmt: skip
def test_what_is_no_review(text):
    assert not is_review(text)


def test_every_word_is_a_token():
    tokenizer = review_tokenizer()
    for words in (*TOPICS.values(), PRAISE, PLAIN, BLAME, ("very", "rather", "quite", "but", "about")):
        for word in words:
            assert len(tokenizer.encode(word)) == 1
    assert len({len(tokenizer.encode(prompt)) for prompt in review_prompts()}) == 1
    assert tokenizer.encode_batch(["about the film :"]) == review_tokenizer().encode_batch(["about the film :"])


def test_bad_number():
    with pytest.raises(ValueError, match="number must be at least 1"):
        write_reviews(0)


@pytest.mark.parametrize(
    "text",
    ["about the film : the plot was dull .", "About  The Film:\nthe PLOT was  dull.", "about the film :the plot was dull.",
     "about the walk : the view was very long and the path was rather old .",
     "about the meal : the soup was quite good , the fish was bad.",
     "about the meal : the soup was good, the fish was bad.", "about the book : the hero was new but the cover was old ."],
)  # fmt: skip
def test_what_is_a_review(text):
    assert is_review(text) is ("about the film :the" not in text)


@pytest.mark.parametrize("tail", ["", "!", " . .", " ..", "?"])
def test_a_review_ends_with_one_full_stop(tail):
    assert not is_review(f"about the film : the plot was dull{tail}")


def test_both_sides_belong_to_the_topic_and_degrees_are_of_three_kinds(generator):
    assert not is_review("about the film : the plot was dull and the soup was new .")
    assert not is_review("about the film : the soup was dull and the plot was new .")
    text = " ".join(review for _, review in write_reviews(600, generator=generator))
    counts = [text.count(f"was {degree} ") for degree in ("very", "rather", "quite")]
    assert sum(counts) / text.count("was") == pytest.approx(0.5, abs=0.08) and max(counts) - min(counts) < 60
    assert all(joint in text for joint in (" and the ", " , the ", " but the "))
