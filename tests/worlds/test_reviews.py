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
