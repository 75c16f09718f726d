"""What CONTRIBUTING.md and AGENTS.md name is there: commands, files, options."""

import re

import pytest

from lib import ROOT
from lib.course import cli

PAGES = [(name, (ROOT / name).read_text(encoding="utf-8")) for name in ("CONTRIBUTING.md", "AGENTS.md")]
NOT_YET = ("lib/exercises/lecture04/words.py", "data/models/", "lib/exercises/lectureNN/", "build/trial")


@pytest.mark.parametrize("name, text", PAGES, ids=[name for name, _ in PAGES])
def test_every_file_that_it_names_is_there(name, text):
    named = re.findall(r"\b(?:lib|tests|data|notebooks)/[\w/.-]*[\w/]", text)
    named += re.findall(r"\b[A-Z]{5,}\.md\b", text)
    missing = [path for path in named if path not in NOT_YET and "NN" not in path and not (ROOT / path).exists()]
    assert len(named) > 4 and not missing


@pytest.mark.parametrize("name, text", PAGES, ids=[name for name, _ in PAGES])
def test_every_command_and_option_that_it_names_there_is(name, text):
    named = re.findall(r"\bcourse ([a-z][a-z-]+)((?: [\w./-]+)*)", re.sub(r"of the course\b.*", "", text))
    commands = [(command, rest) for command, rest in named if command in cli.COMMANDS]
    assert len(commands) > 2
    for command, rest in commands:
        parser = cli.build_parser(only=command)._subparsers._group_actions[0].choices[command]
        shown = parser.format_help()
        if command == "new":
            shown += "".join(each.format_help() for each in parser._subparsers._group_actions[0].choices.values())
        assert all(option in shown for option in re.findall(r"--[a-z-]+", rest))


def test_it_is_one_page():
    assert len(dict(PAGES)["CONTRIBUTING.md"].splitlines()) <= 140
