"""Removes IPython's additions to Python from a cell, without changing line numbers.

Only a cell that is not valid Python comes here. A line that begins with % inside a string or an open bracket is not
changed.
"""

import re

RUN_PYTHON = ("time", "timeit", "capture", "prun")  # cell magics whose cell is Python

_LINE = re.compile(r"\s*(?:[%!?]|[%\w.]+\?{1,2}\s*$)")
_ASSIGNED = re.compile(r"(\s*[\w.,*][\w.,* \t]*=)\s*[%!]")
_MARK = re.compile(r"'''|\"\"\"|[\\'\"#()\[\]{}]")


_LANGUAGES = (
    "html HTML javascript js latex markdown svg SVG bash sh script system sx ! cmd perl ruby pypy python python2 python3 "
    "writefile file"
)
OTHER_LANGUAGES = frozenset(_LANGUAGES.split())
"""Cell magics of IPython whose cell is not executed here."""


def foreign_magic(source: str) -> str:
    """The cell magic because of which `plain_python` gives "", as it stands in the cell; "" if there is none.

    >>> foreign_magic("%%writefile answer.py\\nx = 1"), foreign_magic("%%time\\nx = 1")
    ('%%writefile', '')
    """
    first = next((line.strip() for line in source.splitlines() if line.strip()), "")
    name = (first.removeprefix("%%").split() or [""])[0]
    return f"%%{name}" if first.startswith("%%") and name and name not in RUN_PYTHON else ""


def plain_python(source: str) -> str:
    """The Python code of a cell, without magics, shell commands and help requests, and with its indentation removed.

    A cell with a magic for another language gives "".

    >>> plain_python("%matplotlib inline\\nfiles = !ls\\nx = 5")
    'pass\\nfiles = get_ipython().getoutput()\\nx = 5'
    """
    lines = _moved_left(source.split("\n"))
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        words = lines[first][2:].split()
        if not words or words[0] not in RUN_PYTHON:
            return ""
        lines[first] = ""
        lines = _moved_left(lines)
    return "\n".join(_without_magics(lines))


def _moved_left(lines: list[str]) -> list[str]:
    """Remove the first line's indentation from all lines that have it, as IPython does."""
    first = next((line for line in lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    return [line.removeprefix(indent) for line in lines] if indent else lines


def _without_magics(lines: list[str]) -> list[str]:
    kept, state = [], _State()
    for line in lines:
        if state.between_statements:
            assigned = _ASSIGNED.match(line)
            if assigned:
                line = f"{assigned[1]} get_ipython().getoutput()"
            elif _LINE.match(line):
                line = line[: len(line) - len(line.lstrip())] + "pass"
        state.read(line)
        kept.append(line)
    return kept


class _State:
    """The state at the end of a line: inside a multi-line string, inside brackets, or after a complete statement."""

    def __init__(self) -> None:
        self.quotes = ""
        self.depth = 0
        self.continued = False

    @property
    def between_statements(self) -> bool:
        return not (self.quotes or self.depth or self.continued)

    def read(self, line: str) -> None:
        """Update the state with one line, from mark to mark."""
        at, self.continued = 0, False
        while mark := _MARK.search(line, at):
            at = mark.end()
            if mark[0] == "\\":
                self.continued = at == len(line)
                at += 1
            elif self.quotes:
                at = self._inside(line, mark.start())
            elif mark[0] == "#":
                break
            elif mark[0] in "()[]{}":
                self.depth = max(0, self.depth + (1 if mark[0] in "([{" else -1))
            else:
                self.quotes = mark[0]
        if len(self.quotes) == 1 and not self.continued:
            self.quotes = ""  # a single-quoted string ends with its line

    def _inside(self, line: str, at: int) -> int:
        """The position after the mark at `at`, which is the end of the string or a part of it."""
        if not line.startswith(self.quotes, at):
            return at + 1
        length, self.quotes = len(self.quotes), ""
        return at + length
