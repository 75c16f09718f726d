"""What the README shows and lists is so."""

import io
import re
from contextlib import redirect_stdout

from lib import ROOMS, ROOT
from lib.course.cli import COMMANDS
from lib.lectures.edition import exercise_of, is_check
from lib.lectures.notebooks import all_notebooks, load

README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title):
    """The text under a heading."""
    return re.search(rf"^## {title}\n(.*?)(?=^## )", README, re.MULTILINE | re.DOTALL)[1]


def test_the_code_that_it_shows_prints_what_it_shows():
    code, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", section("In a dozen lines"), re.DOTALL).groups()
    with redirect_stdout(io.StringIO()) as printed:
        exec(code, {})
    assert printed.getvalue() == shown
    lines = [line for line in code.splitlines() if line.strip() and not re.match("import |from ", line)]
    assert len(lines) <= 12


def test_the_lectures_are_those_that_there_are_with_their_exercises():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", section("The lectures"), re.MULTILINE)
    exercises = {
        path.stem: {exercise_of(cell) for cell in load(path).cells if is_check(cell)} for path in all_notebooks()
    }
    assert dict(rows) == {name: str(len(ids)) for name, ids in exercises.items()} and len(rows) == len(exercises)


def test_the_rooms_are_those_of_lib_in_their_order():
    assert tuple(re.findall(r"^ {15}(\w+) +\S", section("What is where"), re.MULTILINE)) == ROOMS


def test_every_command_that_it_names_there_is():
    named = re.findall(r"(?:^|[`/])course ([a-z][a-z-]+)", README, re.MULTILINE)
    assert len(set(named)) > 10 and set(named) <= set(COMMANDS)


def test_every_file_that_it_links_is_there():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)
