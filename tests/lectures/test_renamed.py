"""Lectures were renumbered: nobody's file is touched, and its owner is told which lecture it is now."""

import re
from importlib.util import find_spec

import pytest

from lib import NOTEBOOKS, ROOT
from lib.course.cli import main
from lib.lectures.notebooks import all_notebooks
from lib.lectures.renamed import RENAMED, all_names, left_alone, present_name


def test_every_present_name_is_a_lecture_and_no_former_one_is():
    now = {path.stem for path in all_notebooks()}
    assert set(RENAMED.values()) <= now and not set(RENAMED) & now


@pytest.mark.parametrize("old, new", RENAMED.items())
def test_names_in_both_directions(old, new):
    assert present_name(old) == present_name(new) == new
    assert all_names(old) == all_names(new) == (new, old)


def test_each_name_that_was_once_in_use():
    assert {name[:2]: present_name(name)[:2] for name in (
        "01_attention_and_masks", "03_mlm_masking", "05_autoregressive_objective", "08_scaling_laws", "09_alignment_and_sft",
        "10_bradley_terry_reward", "11_reinforce", "12_rlhf_ppo_dpo", "13_lora_and_peft", "14_memory_footprint",
        "15_int8_and_kernels",
    )} == {"01": "01", "03": "04", "05": "06", "08": "09", "09": "10", "10": "11", "11": "12", "12": "13", "13": "14",
           "14": "15", "15": "16"}  # fmt: skip


def test_a_lecture_that_never_moved_has_one_name():
    assert all_names("00_start_here") == ("00_start_here",)


def test_work_under_former_names_is_left_alone_and_that_is_said(tmp_path, capsys):
    for name in ("03_mlm_masking.ipynb", "15_int8_and_kernels.ipynb", "00_start_here.ipynb"):
        (tmp_path / name).write_text(f"mine: {name}")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert main(["student", "04", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.endswith((".svg", ".html"))] == [  # what the lecture shows
        f"created   {tmp_path / '04_mlm_masking.ipynb'}",
        "03_mlm_masking.ipynb: now 04_mlm_masking; yours is left as it is",
        "15_int8_and_kernels.ipynb: now 16_int8; yours is left as it is",
    ]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_a_folder_of_a_former_name_is_no_notebook(tmp_path):
    (tmp_path / "03_mlm_masking.ipynb").mkdir()
    assert list(left_alone(tmp_path)) == [] == list(left_alone(tmp_path / "none"))


CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_changelog_tells_where_each_module_is_now():
    rows = re.findall(r"^\| `(lib\.[\w.]+)` \| `(lib\.[\w.]+)` \|$", CHANGELOG, re.MULTILINE)
    assert len(rows) == 7 and all(find_spec(new) and not find_spec(old) for old, new in rows)


def test_the_changelog_tells_each_new_name():
    rows = re.findall(r"^\| `(\d\d_\w+)` \| `(\d\d_\w+)` \|$", CHANGELOG, re.MULTILINE)
    assert dict(rows) == RENAMED and all((NOTEBOOKS / f"{new}.ipynb").is_file() for _, new in rows)
