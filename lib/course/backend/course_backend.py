"""setuptools for `pip install -e .`, and a refusal for everything else.

The course is a folder to work in: notebooks, data, caches and editions lie beside `lib`, and `lib` is a name that no
package in other people's environments should take. A wheel would be none of that.
"""

from setuptools.build_meta import (  # noqa: F401 (pip calls them)
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
)

REASON = (
    "The course is not built into a wheel or an archive: its notebooks and data lie beside the library. "
    "Use it from a clone: `make run`, or `pip install -e . -c constraints.txt` in the clone's folder."
)


def build_wheel(*arguments, **options):
    """Refuse, with the reason: pip and build print it as the last line."""
    raise SystemExit(REASON)


build_sdist = build_wheel
