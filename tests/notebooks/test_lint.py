"""Every lecture keeps the rules of the house."""

import pytest

from lib.lectures import notebooks
from lib.lectures.lint import lint_file


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)
def test_the_linter_finds_nothing(path):
    errors = [str(finding) for finding in lint_file(path) if not finding.warning]
    assert not errors, "\n".join(errors)
