import pytest

from lib import progress as module
from lib.progress import progress


def test_in_a_terminal_it_is_a_bar_on_stderr(capsys):
    assert list(progress(range(3), description="counting")) == [0, 1, 2]
    captured = capsys.readouterr()
    assert captured.out == "" and "counting" in captured.err


def test_disabled_it_says_nothing(capsys):
    assert list(progress(range(3), description="counting", disable=True)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_in_a_notebook_one_output_ends_as_a_repeatable_line(monkeypatch, capsys):
    shown = []

    class Handle:
        def update(self, data, raw):
            shown.append(data["text/plain"])

    monkeypatch.setattr(module, "_in_notebook", lambda: True)
    monkeypatch.setattr(
        "IPython.display.display", lambda data, raw, display_id: shown.append(data["text/plain"]) or Handle()
    )
    with progress(description="training", total=2) as bar:
        bar.update()
        bar.set_postfix(loss="1.0")
        bar.update()
    assert shown[0] == "training: starting" and shown[-1] == "training: 2 of 2"
    assert capsys.readouterr().err == ""
    shown.clear()
    assert list(progress(iter("abc"), description="reading")) == ["a", "b", "c"]
    assert shown[0] == "reading: starting" and shown[-1] == "reading: 3" and shown.count("reading: 3") == 1
    shown.clear()
    with progress(range(2), description="quiet", disable=True) as bar:
        assert list(bar) == [0, 1]
    with progress(description="stopped", total=4) as bar:
        bar.close()
        bar.close()
    assert shown == ["stopped: starting", "stopped: 0 of 4"] and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "shell, here", [("ZMQInteractiveShell", True), ("TerminalInteractiveShell", False), ("", False)]
)
def test_a_notebook_is_known_by_its_shell(monkeypatch, shell, here):
    monkeypatch.setattr("IPython.get_ipython", lambda: type(shell, (), {})() if shell else None)
    assert module._in_notebook() is here


def test_a_bar_knows_the_total_that_a_generator_does_not(capsys):
    list(progress(iter("ab"), description="reading", total=2))
    assert "2/2" in capsys.readouterr().err
