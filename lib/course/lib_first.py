"""The course's `lib` comes first, in whatever folder a Python of .venv is started.

The set-up lays a copy of this file into .venv, and a line that calls `install` when Python starts. Otherwise a
student's own folder called `lib` would hide ours: from the kernel of a notebook beside it, and from
`python -m lib.course` there.
In another clone of the course its own `lib` counts.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from os.path import isfile, join


class CourseFirst:
    """A finder that knows one module, `lib`: the first on sys.path that is the course's, else the one in `root`."""

    def __init__(self, root: str) -> None:
        self.root = root

    def find_spec(self, name, path=None, target=None) -> ModuleSpec | None:
        """What Python's import asks every finder for; None for all modules but `lib`."""
        if name != "lib":
            return None
        found = PathFinder.find_spec(name)
        places = (found and found.submodule_search_locations) or ()
        if any(isfile(join(place, "course", "cli.py")) for place in places):
            return found
        return PathFinder.find_spec(name, [self.root])


def install(root: str) -> None:
    """Ask CourseFirst before Python's own finders."""
    sys.meta_path.insert(0, CourseFirst(root))
