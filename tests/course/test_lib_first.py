"""A folder called `lib` where Python is started does not hide the course's."""

import subprocess
import sys

import pytest

from lib import ROOT
from lib.course import lib_first, setup


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment that set-up has prepared, with nothing installed."""
    root = tmp_path_factory.mktemp("clone")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / ".venv")], check=True)
    setup.put_our_lib_first(root)
    (root / "lib" / "course").mkdir(parents=True)
    for name in ("__init__.py", "course/__init__.py"):
        (root / "lib" / name).touch()
    (root / "lib" / "course" / "cli.py").write_text("print('ours')")
    return str(root / ".venv" / "bin" / "python")


def students(folder, kind):
    """A student's own `lib` in `folder`."""
    if kind == "module":
        (folder / "lib.py").write_text("mine = True")
    else:
        (folder / "lib").mkdir()
        (folder / "lib" / ("__init__.py" if kind == "package" else "notes.py")).write_text("mine = True")


def said(python, folder, *arguments, **environment):
    done = subprocess.run([python, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("kind", ["none", "folder", "package", "module"])
def test_ours_is_found_in_every_folder(python, tmp_path, kind):
    if kind != "none":
        students(tmp_path, kind)
    assert said(python, tmp_path, "-m", "lib.course.cli") == "ours"
    assert said(python, tmp_path, "-c", "import lib.course.cli") == "ours"  # as in a kernel, where "" is on the path
    assert said(python, tmp_path, "-c", "import lib.course.cli", PYTHONPATH=str(tmp_path)) == "ours"


def test_in_another_clone_its_own_counts(python, tmp_path):
    (tmp_path / "lib" / "course").mkdir(parents=True)
    for name in ("__init__.py", "course/__init__.py"):
        (tmp_path / "lib" / name).touch()
    (tmp_path / "lib" / "course" / "cli.py").write_text("print('theirs')")
    assert said(python, tmp_path, "-m", "lib.course.cli") == "theirs"


def test_other_modules_are_none_of_its_business(python, tmp_path):
    (tmp_path / "library.py").write_text("print('a module of mine')")
    assert said(python, tmp_path, "-c", "import library") == "a module of mine"
    assert lib_first.CourseFirst(str(ROOT)).find_spec("lib.course") is None


def test_a_kernel_in_a_folder_with_a_lib_imports_ours(tmp_path):
    """The same finder in a real kernel of this environment, whatever its set-up was."""
    from jupyter_client.manager import start_new_kernel

    students(tmp_path, "package")
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        code = (
            f"import sys; sys.path.append({str(ROOT / 'lib' / 'course')!r})\n"
            f"import lib_first; lib_first.install({str(ROOT)!r})\n"
            "import lib.errors; print(lib.__file__)"
        )
        seen = []
        client.execute_interactive(code, timeout=60, output_hook=lambda message: seen.append(message["content"]))
        assert any(content.get("text", "").strip() == str(ROOT / "lib" / "__init__.py") for content in seen), seen
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
