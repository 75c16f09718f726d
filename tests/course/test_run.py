"""The executed copies that `course run` keeps."""

from lib.course.run import _keep
from lib.lectures.execution import Execution


def test_a_run_without_a_copy_leaves_no_older_one(tmp_path):
    """Else yesterday's copy would be taken for that of a run which ended before its first cell."""
    whole = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    _keep(Execution("04_mlm_masking", "ok", 0, notebook=whole), tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == ["04_mlm_masking.ipynb"]
    for _ in range(2):  # nor does it miss one
        _keep(Execution("04_mlm_masking", "died", 0), tmp_path, None)
        assert not [*tmp_path.iterdir()]
