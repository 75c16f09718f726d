"""A room imports only from the rooms before it: the library reads top down and nothing turns in circles."""

import ast

import pytest

from lib import GROUND, ROOMS, ROOT
from lib.grading import STATIONS

MODULES = sorted(path for path in (ROOT / "lib").rglob("*.py") if path.parent != ROOT / "lib")


def imported_rooms(source):
    """The rooms of `lib` that some source imports, wherever in it."""
    for name in imported_modules(source):
        parts = name.split(".")
        if parts[0] == "lib" and len(parts) > 1 and parts[1] in ROOMS:
            yield parts[1]


def imported_modules(source):
    """The names of the modules (or of what is in them) that some source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, "another room is imported by its name: from lib.room import name"
            if node.level == 0:  # else a neighbour in the same room
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_room_is_in_the_order():
    found = {path.name for path in (ROOT / "lib").iterdir() if (path / "__init__.py").exists()}
    assert found == set(ROOMS)
    assert {path.stem for path in (ROOT / "lib").glob("*.py")} == {"__init__", *GROUND}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "lib")))
def test_a_room_imports_only_from_rooms_before_it(path):
    room = path.relative_to(ROOT / "lib").parts[0]
    assert set(imported_rooms(path.read_text())) <= set(ROOMS[: ROOMS.index(room) + 1])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "lib")))
def test_nothing_in_lib_imports_the_tests(path):
    assert not [name for name in imported_modules(path.read_text()) if name.split(".")[0] == "tests"]


@pytest.mark.parametrize("station", STATIONS)
def test_a_submission_goes_one_way(station):
    """No station imports from one after it, nor from the modules that lead a submission through them."""
    for path in (ROOT / "lib" / "grading" / station).rglob("*.py"):
        parts = [name.split(".") for name in imported_modules(path.read_text()) if name.startswith("lib.grading.")]
        assert {part[2] for part in parts} <= set(STATIONS[: STATIONS.index(station) + 1]), path


@pytest.mark.parametrize(
    "source, rooms",
    [
        ("from lib.text import mask_tokens", ["text"]),
        ("import lib.models.config as c", ["models"]),
        ("from lib import kernels, ROOT", ["kernels"]),
        ("def f():\n    from lib.course.run import run", ["course"]),
        ("from .corpus import Document", []),
        ("from lib.files import atomic_write\nimport torch", []),
    ],
)
def test_imports_are_seen_in_every_form(source, rooms):
    assert list(imported_rooms(source)) == rooms
