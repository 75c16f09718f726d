"""What `course new lecture` begins with: the parts of a lecture in their order, and a drawing.

`$room` stands for the first half of the ids that belong to the lecture, `$number` for its number.
"""

import json
from string import Template

_HIDDEN = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
_OPEN = {"grade": True, "locked": False, "points": 3, "schema_version": 3, "solution": True, "task": False}

_PARTS = (
    ("title", "markdown", """# FILL IN: the title

FILL IN: the question that this lecture answers, in two or three sentences.

**Before you start.** FILL IN: the lectures that it builds on.

**You will be able to**

* FILL IN: write, compare, explain …

Run time: about FILL IN seconds, memory: FILL IN GB. Everything runs offline."""),
    ("parameters", "code", "seed = 0  # of every random draw"),
    ("imports", "code", """import torch

from lib.exercises import check, compare, hint, predict

generator = torch.Generator().manual_seed(seed)"""),
    ("mechanism-drawing", "markdown", """## FILL IN: the first mechanism, as a question

FILL IN: what to look at in the drawing. The slides that a section teaches stand in the metadata of its first cell, as
`"course": {"slides": […]}`.

![FILL IN: what the drawing shows, in a sentence.](figures/$drawing)"""),
    ("mechanism-paper", "markdown", """### On paper

FILL IN: an example small enough for pencil and paper."""),
    ("mechanism-example", "code", """x = torch.tensor([[1.0, 2.0, 6.0]])  # FILL IN: the numbers of the example
print(x.sum(dim=-1) / 3)"""),
    ("mechanism-formula", "markdown", r"""### The formula

FILL IN: the formula in the field's own symbols, and what each letter is: $$\bar x=\frac1D\sum_d x_d$$."""),
    ("mechanism", "code", """def mean(x):  # FILL IN: the mechanism itself, a dozen lines at most
    return x.sum(dim=-1) / x.shape[-1]"""),
    ("mechanism-lib", "markdown", "FILL IN: which function of `lib` does the same, and what it does besides."),
    ("mechanism-equal", "code", "assert torch.allclose(mean(x), x.mean(dim=-1))  # FILL IN: ours and lib's are equal"),
    ("exercise-here", "markdown", """FILL IN: an exercise while the idea is fresh, and this cell away:
`course new exercise ID --lecture $number --after exercise-here`. Four to six in a lecture; one builds something."""),
    ("prediction-idea", "markdown", """### On real text

FILL IN: what is tried. **Predict:** ask for one number with its unit, a word out of a few, or True or False."""),
    ("prediction", "code", 'predict("$room.guess", ...)  # FILL IN: an id of its own; the place of the answer stays ...'),
    ("experiment", "code", """draws = torch.randn(1000, generator=generator)  # FILL IN: the experiment
compare("$room.guess", mean(draws))"""),
    ("experiment-holds", "code", "assert abs(mean(draws)) < 0.2  # FILL IN: what long asserts there are, in hidden cells"),
    ("experiment-notice", "markdown", "FILL IN: what was to be seen, and what surprised you."),
    ("failure-idea", "markdown", """## A failure worth seeing: FILL IN

FILL IN: what goes wrong when one thing is forgotten."""),
    ("failure", "code", "assert mean(torch.zeros(0)).isnan()  # FILL IN: the failure, its symptom asserted"),
    ("failure-notice", "markdown", "FILL IN: how one recognises it."),
    ("$room-explain", "markdown", """### Open question: FILL IN

*3 points · 15 minutes · a person reads it*

FILL IN: explain, design a control, or interpret; what an answer of 5 to 10 sentences is asked for.

<!-- BEGIN SOLUTION -->
FILL IN: a model answer.

**Rubric**, one point each

* FILL IN: what earns the first point
* FILL IN: the second
* FILL IN: the third
<!-- END SOLUTION -->"""),
    ("summary", "markdown", """## Summary

* FILL IN: what was the question, what is the answer, what surprised us."""),
    ("other-libraries-idea", "markdown", """### The same in other libraries

FILL IN: who else has it, and under which name."""),
    ("other-libraries", "code", "print(torch.mean(x, dim=-1))  # FILL IN: code that runs"),
    ("further-reading", "markdown", """### Further reading

* FILL IN: [Hu et al. 2021, *LoRA*](https://arxiv.org/abs/2106.09685), as `lib.lectures.references.reference(key)` writes
  it, and what one finds there"""),
    ("slides", "markdown", """## From the slides

| slide | section | note |
|---|---|---|
| FILL IN | FILL IN | FILL IN |"""),
)  # fmt: skip

_METADATA = {
    "parameters": {"tags": ["parameters"]},
    "experiment-holds": _HIDDEN,
    "$room-explain": {
        "course": {"exercise": "$room.explain", "title": "FILL IN"},
        "nbgrader": {"grade_id": "$room-explain"} | _OPEN,
    },
}

DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 220" role="img" aria-labelledby="title desc"
     font-family="sans-serif" font-size="16">
  <title id="title">FILL IN: what the drawing is of</title>
  <desc id="desc">FILL IN: what it shows, for those who cannot see it.</desc>
  <rect width="700" height="220" rx="8" fill="#ffffff" stroke="#999999"/>
  <rect x="60" y="80" width="160" height="60" rx="6" fill="none" stroke="#0072B2" stroke-width="2"/>
  <text x="140" y="116" text-anchor="middle" fill="#222222">FILL IN: input</text>
  <path d="M220 110 H470" stroke="#222222" stroke-width="2"/>
  <path d="M480 110 l-12 -6 v12 z" fill="#222222"/>
  <rect x="480" y="80" width="160" height="60" rx="6" fill="none" stroke="#009E73" stroke-width="2"/>
  <text x="560" y="116" text-anchor="middle" fill="#222222">FILL IN: output</text>
</svg>
"""
"""The beginning of a drawing: title, description, a light card of its own, input in blue and output in green."""


def parts(room: str, number: str, drawing: str) -> list[tuple[str, str, str, dict]]:
    """The cells of a new lecture: id, kind, source, metadata.

    >>> parts("bert", "05", "05_mechanism.svg")[-6][0]
    'bert-explain'
    """
    words = {"room": room, "number": number, "drawing": drawing}

    def filled(text: str) -> str:
        return Template(text).substitute(words)

    return [
        (filled(id), kind, filled(source), json.loads(filled(json.dumps(_METADATA.get(id, {})))))
        for id, kind, source in _PARTS
    ]
