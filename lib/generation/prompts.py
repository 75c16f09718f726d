"""Prompts that show a task: demonstrations, one under the other, and the question at the end (slides C29, N39)."""

from collections.abc import Sequence
from typing import NamedTuple

from lib import checks


class Demonstration(NamedTuple):
    """A solved example: a text and its label."""

    text: str
    label: str


def few_shot_prompt(
    demonstrations: Sequence[Demonstration],
    query: str,
    *,
    instruction: str = "",
    template: str = "{text} //{label}",
    separator: str = "\n",
    space: str = " ",
) -> str:
    """The demonstrations by the template, then the query with an empty place where its label belongs.

    The prompt ends before the `space` that stands in front of each label: in a byte-level BPE the space is part of
    the label's first token. No demonstrations make a zero-shot prompt.
    Raises ValueError if `template` lacks {text}, or does not end with {label}.

    >>> print(few_shot_prompt([Demonstration("Sales fell.", "Negative")], "Profits rose."))
    Sales fell. // Negative
    Profits rose. //
    """
    if "{text}" not in template or not template.endswith("{label}"):
        raise ValueError(f"template must hold {{text}} and end with {{label}}, got {template!r}")
    checks.strings("query", [query])
    lines = [instruction] if instruction else []
    lines += [template.format(text=text, label=space + label) for text, label in demonstrations]
    return separator.join([*lines, template.format(text=query, label="")])
