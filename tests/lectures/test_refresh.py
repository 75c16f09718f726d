"""Stored outputs: those of a fresh run, the same ones every time, and nothing else changed."""

import copy
import json
import os

import nbformat
import pytest

from lib.course.cli import main
from lib.lectures import notebooks, stored_outputs
from lib.lectures.execution import Execution
from lib.lectures.lint import lint_file
from lib.lectures.stored_outputs import joined_streams, with_outputs
from lib.plots.figure import as_stored
from tests.lectures import sample
from tests.lectures.sample import cell

PICTURE = """from lib.plots import figure, show
fig, (axes,) = figure(1, 1)
axes.plot([1, 2])
show(fig, alt="a line that rises from one to two")"""


def lecture():
    """A stream, a picture, a result, a deliberate error that passes through a file, and stale metadata."""
    made = sample.notebook(
        ("steps = 3", "parameters"),
        "import sys\nfor step in range(steps):\n    print(step)\n    sys.stdout.flush()",
        PICTURE,
        "steps ** 2",
        ("import json\njson.loads('{')", "raises-exception"),
    )
    cell(made, "cell-1").metadata["execution"] = {"iopub.execute_input": "2026-01-01"}
    made.metadata["papermill"] = {"duration": 3}
    made.metadata["kernelspec"] = {"display_name": "mine", "language": "python", "name": "mine"}
    return made


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    """A lecture, refreshed for real: (path, before, exit code)."""
    path = sample.save(tmp_path_factory.mktemp("refresh") / "nb.ipynb", lecture())
    return path, lecture(), main(["refresh", str(path)])


def test_outputs_are_stored(refreshed):
    path, _, code = refreshed
    made = nbformat.read(path, as_version=4)
    assert code == 0
    assert [each.execution_count for each in made.cells[1:]] == [1, 2, 3, 4, 5]
    assert [output.text for output in cell(made, "cell-1").outputs] == ["0\n1\n2\n"]
    assert cell(made, "cell-3").outputs[0].data == {"text/plain": "9"}
    picture = cell(made, "cell-2").outputs[0]
    assert picture.metadata["image/png"] == {"alt": "a line that rises from one to two"}
    assert picture.data["image/png"] in picture.data["text/html"]


def test_ids_and_sources_stay_byte_for_byte(refreshed):
    path, before, _ = refreshed
    made = nbformat.read(path, as_version=4)
    assert [(each.id, each.source) for each in made.cells] == [(each.id, each.source) for each in before.cells]
    assert cell(made, "cell-0").metadata == {"tags": ["parameters"]} and cell(made, "title").metadata == {}


def test_only_advice_is_left_for_the_linter(refreshed):
    assert {finding.rule for finding in lint_file(refreshed[0])} == {"cell-count"}


def test_a_deliberate_error_keeps_its_own_frame_only(refreshed):
    made = nbformat.read(refreshed[0], as_version=4)
    traceback = "\n".join(cell(made, "cell-4").outputs[0].traceback)
    assert "JSONDecodeError" in traceback and "decoder.py" not in traceback and "In[5]" in traceback


def test_a_second_time_changes_nothing(refreshed):
    path = refreshed[0]
    before, written = path.read_bytes(), path.stat().st_mtime_ns
    assert main(["refresh", str(path)]) == 0
    assert path.read_bytes() == before and path.stat().st_mtime_ns == written


def executing(monkeypatch, change=None, verdict="ok"):
    """Stand in for the execution of a notebook: its outputs as they are, after `change`."""

    def execute(job):
        made = nbformat.from_dict(copy.deepcopy(job.notebook))
        if change:
            change(made)
        return Execution(job.name, verdict, 1, seconds=1.0, peak_bytes=10**8, notebook=json.loads(json.dumps(made)))

    monkeypatch.setattr("lib.course.run.execute", execute)


def test_a_notebook_that_fails_is_left_alone(tmp_path, monkeypatch, capsys):
    path = sample.save(tmp_path / "nb.ipynb", sample.clean())
    before = path.read_bytes()
    executing(monkeypatch, lambda made: cell(made, "cell-1").update(outputs=[]), verdict="NameError")
    assert main(["refresh", str(path)]) == 1
    assert path.read_bytes() == before
    assert "NameError" in capsys.readouterr().out


def other_text(made):
    cell(made, "cell-1").outputs[0].text = "4\n"


def other_picture(made):
    cell(made, "cell-2").outputs[0].data |= as_stored(b"ho", "a line that rises")


def other_alt(made):
    cell(made, "cell-2").outputs[0].data |= as_stored(b"hi", "a line that falls")


def no_picture(made):
    cell(made, "cell-2").outputs = []


def streams_cut_elsewhere(made):
    cell(made, "cell-1").outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("", "3", "\n")
    ]


@pytest.mark.parametrize(
    "change, changed",
    [
        (None, []),
        (other_text, ["cell-1"]),
        (other_picture, []),
        (other_alt, ["cell-2"]),
        (no_picture, ["cell-2"]),
        (streams_cut_elsewhere, []),
    ],
)
def test_check_tells_what_would_change_and_writes_nothing(tmp_path, monkeypatch, capsys, change, changed):
    path = sample.save(tmp_path / "nb.ipynb", sample.clean())
    before = path.read_bytes()
    executing(monkeypatch, change)
    assert main(["refresh", "--check", str(path)]) == (1 if changed else 0)
    told = [line.split(":")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("nb:")]
    assert told == changed
    assert path.read_bytes() == before


def test_what_an_author_wrote_into_the_metadata_stays():
    made = sample.clean()
    made.metadata["course"] = {"edition": 2}
    hidden = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    cell(made, "cell-6").metadata.update(hidden)
    executed = copy.deepcopy(made)
    executed.metadata = {"papermill": {}, "course": {"edition": 1}}
    fresh = with_outputs(made, executed)
    assert fresh.metadata == made.metadata and cell(fresh, "cell-6").metadata == hidden


def test_stdout_and_stderr_are_not_joined():
    pieces = [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]
    streams = [{"output_type": "stream", "name": name, "text": text} for name, text in pieces]
    joined = joined_streams(streams)
    assert [(output["name"], output["text"]) for output in joined] == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "d"),
    ]
    assert streams[0]["text"] == "a"  # the caller's are as they were


def test_a_corrupt_notebook_is_named(tmp_path, capsys):
    (tmp_path / "nb.ipynb").write_text("{")
    assert main(["refresh", str(tmp_path / "nb.ipynb")]) == 1
    assert "nb.ipynb is not a notebook" in capsys.readouterr().err


def test_text_is_what_jupyter_would_save(refreshed):
    text = refreshed[0].read_text()
    assert notebooks.text_of(notebooks.parse(text, "nb")) == text


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/svg+xml"])
def test_pictures_of_each_kind_may_change_and_what_stands_beside_them_may_not(kind, capsys):
    def with_picture(data, text="<figure>"):
        made = sample.notebook("1")
        only = next(each for each in made.cells if each.cell_type == "code")
        only.execution_count = 1
        only.outputs = [nbformat.v4.new_output("display_data", data={kind: data, "text/plain": text})]
        return made

    assert stored_outputs.report_changes("nb", with_picture("old"), with_picture("new"))
    assert not stored_outputs.report_changes("nb", with_picture("old"), with_picture("old", "another"))
    assert capsys.readouterr().out == "nb:cell-0: the stored output differs from the output of a new run\n"


def test_what_is_the_same_is_not_written_and_only_times_of_execution_go(tmp_path):
    made = sample.notebook("print(1)")
    told = next(each for each in made.cells if each.cell_type == "code")
    told.metadata = {"tags": ["kept"], "execution": {"iopub.status.busy": "2020"}}
    done = nbformat.from_dict(json.loads(json.dumps(made)))
    ran = next(each for each in done.cells if each.cell_type == "code")
    ran.execution_count, ran.source = 7, "changed while it ran"
    fresh = stored_outputs.with_outputs(made, done)
    after = next(each for each in fresh.cells if each.cell_type == "code")
    assert (after.source, after.execution_count, after.metadata) == ("print(1)", 7, {"tags": ["kept"]})
    assert "execution" in told.metadata, "what was given is not changed"
    path = tmp_path / "nb.ipynb"
    path.write_text(notebooks.text_of(fresh))
    os.utime(path, (1, 1))
    stored_outputs.store(path, fresh)
    assert path.stat().st_mtime == 1
    after.source = "2"
    stored_outputs.store(path, fresh)
    assert path.stat().st_mtime > 1 and "changed" not in path.read_text()
