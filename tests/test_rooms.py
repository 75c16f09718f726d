"""A room imports only from the rooms above it: the library reads top down and nothing turns in circles."""

import ast

import pytest

from lib import ROOT

ROOMS = (
    "kernels", "text", "models", "objectives", "generation", "training", "adapters", "evaluation",
    "accounting", "slides", "exercises", "course",
)  # fmt: skip
SHARED = ("files", "names", "progress")
"""Modules of `lib` itself that every room may use."""

PLOTS_MAY_USE = ROOMS[: ROOMS.index("exercises")]

MODULES = sorted(path for path in (ROOT / "lib").rglob("*.py") if path.parent != ROOT / "lib")


def allowed(room):
    """The rooms that `room` may import from."""
    if room == "plots":
        return set(PLOTS_MAY_USE)
    return {*ROOMS[: ROOMS.index(room)], *(["plots"] if room == "course" else [])}  # the class report has pictures


def imported_rooms(source):
    """The rooms of `lib` that some source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, "another room is imported by its name: from lib.room import name"
            if node.level == 1:  # a neighbour in the same room
                continue
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "lib"
                else [node.module]
            )
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "lib" and len(parts) > 1 and parts[1] in (*ROOMS, "plots"):
                yield parts[1]


def test_every_room_is_in_the_order():
    found = {path.name for path in (ROOT / "lib").iterdir() if (path / "__init__.py").exists()}
    assert found <= {*ROOMS, "plots"}
    assert {path.stem for path in (ROOT / "lib").glob("*.py")} == {"__init__", *SHARED}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "lib")))
def test_a_room_imports_only_from_rooms_above(path):
    room = path.relative_to(ROOT / "lib").parts[0]
    assert set(imported_rooms(path.read_text())) <= allowed(room) | {room}


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
