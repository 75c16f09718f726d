import numpy as np
import pytest

from lib.plots import words as plots


def test_tokens_per_text_has_a_bar_for_each_text_of_each_tokenizer():
    ax = plots.tokens_per_text({"one": [3, 4], "other": [5, 6]}, ["a", "b"]).axes[0]
    assert [[bar.get_height() for bar in bars] for bars in ax.containers] == [[3, 4], [5, 6]]
    with pytest.raises(ValueError, match="row must have the length of texts"):
        plots.tokens_per_text({"one": [3]}, ["a", "b"])


def test_by_vocabulary_keeps_the_values_and_draws_levels():
    ax = plots.by_vocabulary([258, 1000], [6.25, 2.5], {"BERT": 1.5}).axes[0]
    assert ax.lines[0].get_ydata().tolist() == [6.25, 2.5] and ax.lines[1].get_ydata() == [1.5, 1.5]
    assert ax.get_xscale() == "log" and ax.get_ylim()[0] == 0


def test_learned_and_counted_has_a_point_for_each_pair():
    ax = plots.learned_and_counted([[0.0, 1.0], [2.0, 3.0]], [[0.5, 1.0], [2.0, 3.0]], ["a", "b"], [("a", "b")]).axes[0]
    assert ax.collections[0].get_offsets().tolist() == [[0.0, 0.5], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    assert ax.texts[0].get_text() == "a, b" and ax.texts[0].xy == (1.0, 1.0)
    with pytest.raises(ValueError, match="learned must have shape"):
        plots.learned_and_counted(np.zeros((2, 2)), np.zeros((2, 3)), ["a", "b"], [])


def test_plane_names_each_word_at_its_end():
    ax = plots.plane([[1.0, 2.0], [-1.0, 0.0]], ["a", "b"], [0, 1]).axes[0]
    assert [(text.get_text(), tuple(text.xy)) for text in ax.texts if text.get_text()] == [
        ("a", (1, 2)),
        ("b", (-1, 0)),
    ]


def test_by_layer_and_by_place_keep_their_values():
    ax = plots.by_layer({"x": [0.5, 0.75]}, "share", {"chance": 0.25}).axes[0]
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.75] and ax.lines[1].get_ydata() == [0.25, 0.25]
    ax = plots.by_place({"x": [0.5, 0.75]}, {"x": [0.5, 1.0]}).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.5, 1.0], [0.5, 0.75]]
    with pytest.raises(ValueError, match="best must have the length of found"):
        plots.by_place({"x": [0.5]}, {})


def test_who_sees_draws_each_matrix():
    fig = plots.who_sees({"a": np.eye(2), "b": np.ones((2, 2))})
    assert [ax.images[0].get_array().tolist() for ax in fig.axes] == [[[1, 0], [0, 1]], [[1, 1], [1, 1]]]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["depends on it", "does not", "the word itself"]
    dark, light = (patch.get_facecolor() for patch in fig.legends[0].get_patches())
    image = fig.axes[0].images[0]
    assert dark == image.cmap(image.norm(1.0)) and light == image.cmap(image.norm(0.0))
