"""The reference texts about Python that the standard library carries for `help("if")`."""


def python_topics() -> list[tuple[str, str]]:
    """The (title, text) of every topic that does not merely repeat a part of a longer one, sorted by title.

    Many topics are sections of another ("compound" contains all of "for"). With both, a test text could be part of
    the training text too, so a topic is left out if half of its paragraphs, or more, are found in longer topics.

    Raises ModuleNotFoundError where Python was installed without its documentation.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ModuleNotFoundError(
            "this Python has no pydoc_data.topics: install your system's full Python",
            name="pydoc_data",
        ) from error
    return without_repeats(topics)


def without_repeats(topics: dict[str, str]) -> list[tuple[str, str]]:
    """The topics of which more than half of the paragraphs are new, going from the longest to the shortest.

    >>> without_repeats({"all": "To be\\n\\nor not to be,\\n\\nthat is", "part": "or not to be,"})
    [('all', 'To be\\n\\nor not to be,\\n\\nthat is')]
    """
    seen, kept = set(), []
    for title, text in sorted(topics.items(), key=lambda topic: (-len(topic[1]), topic[0])):
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]
        if 2 * sum(paragraph in seen for paragraph in paragraphs) < len(paragraphs):
            kept.append((title, text.strip()))
        seen.update(paragraphs)
    return sorted(kept)
