"""pytest on small files, for the tests of what we have taught it."""

import os
import subprocess
import sys
from pathlib import Path

from lib import ROOT


def small_run(folder: Path, files: dict[str, str], *options: str, conftest: str) -> str:
    """Run pytest, without any plugin that is not asked for, on files of these contents; what it prints."""
    for name, content in (files | {"conftest.py": conftest, "pytest.ini": "[pytest]\n"}).items():
        (folder / name).write_text(content)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    kept |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    return subprocess.run(command, env=kept, cwd=folder, capture_output=True, text=True, timeout=300).stdout
