"""A room imports only from the rooms before it: the library reads top down and nothing turns in circles."""

import ast

import pytest

from lib import GROUND, ROOMS, ROOT
from lib.grading import STATIONS

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "lib").rglob("*.py")
}
"""Every module of `lib` by its name."""


def imported_modules(name, source, *, is_package=False):
    """The modules that the source of module `name` imports, wherever in it, also within functions."""
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


def imports_of(name):
    """The modules that the module `name` of lib imports."""
    path = SOURCES[name]
    return set(imported_modules(name, path.read_text(), is_package=path.name == "__init__.py"))


def rooms_of(modules):
    """The rooms of `lib` that these modules lie in."""
    parts = [name.split(".") for name in modules]
    return {part[1] for part in parts if part[0] == "lib" and len(part) > 1 and part[1] in ROOMS}


def test_every_room_is_in_the_order():
    found = {path.name for path in (ROOT / "lib").iterdir() if (path / "__init__.py").exists()}
    assert found == set(ROOMS)
    assert {path.stem for path in (ROOT / "lib").glob("*.py")} == {"__init__", *GROUND}


@pytest.mark.parametrize("name", sorted(name for name in SOURCES if name.count(".") > 1))
def test_a_room_imports_only_from_rooms_before_it_and_never_the_tests(name):
    room = name.split(".")[1]
    assert rooms_of(imports_of(name)) <= set(ROOMS[: ROOMS.index(room) + 1])
    assert not [module for module in imports_of(name) if module.split(".")[0] == "tests"]


@pytest.mark.parametrize("station", STATIONS)
def test_a_submission_goes_one_way(station):
    """No station imports from one after it, nor from the modules that lead a submission through them."""
    for name in SOURCES:
        if name.startswith(f"lib.grading.{station}."):
            parts = [module.split(".") for module in imports_of(name) if module.startswith("lib.grading.")]
            assert {part[2] for part in parts} <= set(STATIONS[: STATIONS.index(station) + 1]), name


@pytest.mark.parametrize(
    "source, rooms",
    [
        ("from lib.text import mask_tokens", {"text"}),
        ("import lib.models.config as c", {"models"}),
        ("from lib import kernels, ROOT", {"kernels"}),
        ("def f():\n    from lib.course.run import run", {"course"}),
        ("from .corpus import Document", {"accounting"}),
        ("from lib.files import atomic_write\nimport torch", set()),
    ],
)
def test_imports_are_seen_in_every_form(source, rooms):
    assert rooms_of(imported_modules("lib.accounting.flops", source)) == rooms


# --- and no module comes back to itself ---------------------------------------------------------------------
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
    graph = {name: imports_of(name) & set(SOURCES) for name in SOURCES}
    assert len(graph) > 150 and graph["lib.kernels.triton"] >= {"lib.kernels.softmax", "lib.kernels.loss"}
    assert circles(graph) == []


def test_the_ground_floor_imports_nothing_of_the_house():
    for module in GROUND:
        found = imports_of(f"lib.{module}") & set(SOURCES)
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
