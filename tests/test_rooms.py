"""A room imports only from the rooms above it: the library reads top down and nothing turns in circles."""

import ast

import pytest

from lib import ROOT

ROOMS = (
    "kernels", "text", "models", "objectives", "generation", "training", "adapters", "evaluation",
    "accounting", "slides", "exercises", "course",
)  # fmt: skip
SHARED = ("checks", "files", "names", "progress")
"""Modules of `lib` itself that every room may use."""

PLOTS_MAY_USE = ROOMS[: ROOMS.index("exercises")]

KNOWN_CIRCLES = [{"lib.course.grading.judging", "lib.course.grading.work"}]
"""Modules that still import each other. The list only gets shorter."""

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


# --- and no module comes back to itself ---------------------------------------------------------------------
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "lib").rglob("*.py")
}
"""Every module of `lib` by its name."""


def imported_modules(name, source, *, is_package=False):
    """The modules of `lib` that the source of module `name` imports, wherever in it, also within functions."""
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            # `import lib.room` in a module of that room takes nothing from it, and Python has begun with it anyway
            yield from (alias.name for alias in node.names if not name.startswith(f"{alias.name}."))
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else None
            base = ".".join(filter(None, (above, node.module)))
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in SOURCES else base


def circles(graph):
    """The sets of modules that all import each other, through others or directly."""

    def reached(start):
        found, todo = set(), [start]
        while todo:
            new = graph.get(todo.pop(), set()) - found
            found |= new
            todo += new
        return found

    within = {name: reached(name) for name in graph}
    found = [{other for other in within[name] if name in within[other]} for name in graph if name in within[name]]
    return [circle for i, circle in enumerate(found) if circle not in found[:i]]


def test_no_module_imports_itself_through_others():
    graph = {
        name: set(imported_modules(name, path.read_text(), is_package=path.name == "__init__.py")) & set(SOURCES)
        for name, path in SOURCES.items()
    }
    assert len(graph) > 150 and graph["lib.kernels.triton"] >= {"lib.kernels.softmax", "lib.kernels.loss"}
    assert circles(graph) == KNOWN_CIRCLES


def test_the_ground_floor_imports_nothing_of_the_house():
    for module in SHARED:
        found = set(imported_modules(f"lib.{module}", SOURCES[f"lib.{module}"].read_text())) & set(SOURCES)
        assert found <= ({"lib.names"} if module == "checks" else set())


@pytest.mark.parametrize(
    "source, modules",
    [
        ("from lib.kernels import tiled, softmax_of_old", {"lib.kernels.tiled", "lib.kernels"}),
        ("def f():\n    from .triton import launch", {"lib.kernels.triton"}),
        ("from . import softmax", {"lib.kernels.softmax"}),
        ("from .. import ROOT", {"lib"}),
        ("import lib.kernels, lib.text.corpus as c", {"lib.text.corpus"}),
        ("from lib.kernels import softmax", {"lib.kernels.softmax"}),
    ],
)
def test_imported_modules_are_named_in_full(source, modules):
    assert set(imported_modules("lib.kernels.loss", source)) == modules


@pytest.mark.parametrize(
    "graph, found",
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [{"a", "b", "c"}]),
        ({"a": {"a"}, "b": {"c"}, "c": {"b"}}, [{"a"}, {"b", "c"}]),
    ],
)
def test_circles_are_found(graph, found):
    assert circles(graph) == found
