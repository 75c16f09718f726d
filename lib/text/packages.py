"""Where an installed package keeps its files, found without importing it (some are slow to import)."""

import importlib.util
from pathlib import Path


def package_folder(name: str, install: str) -> Path:
    """The folder of the installed package `name`; `install` is the command to show when it is missing.

    Raises ModuleNotFoundError if the package is not installed.

    >>> package_folder("tokenizers", "pip install tokenizers").name
    'tokenizers'
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {name!r} is not installed: run `{install}`", name=name)
    return Path(spec.submodule_search_locations[0])


def package_file(name: str, path: str, install: str) -> Path:
    """The file `path` inside the installed package `name`.

    Raises ModuleNotFoundError if the package is missing, FileNotFoundError if it lacks the file (an install
    that was interrupted, or another version).

    >>> package_file("tokenizers", "__init__.py", "pip install tokenizers").name
    '__init__.py'
    """
    file = package_folder(name, install) / path
    if not file.is_file():
        raise FileNotFoundError(f"the package {name!r} has no file {path!r}: install it again, `{install}`")
    return file
