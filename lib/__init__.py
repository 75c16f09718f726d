"""The library behind the course: one room per idea, in the order in which data flows through them.

A room imports only from the rooms before it in `ROOMS`. This module holds what every room may use: where things live.
"""

import os
from pathlib import Path

__version__ = "0.1.0"

ROOMS = (
    "kernels", "text", "models", "objectives", "generation", "training", "adapters", "evaluation", "accounting",
    "worlds", "slides", "plots", "exercises", "lectures", "grading", "bench", "course",
)  # fmt: skip
"""The rooms, in the order in which data flows through them: each imports only from those before it."""

OPEN_ROOMS = ROOMS[: ROOMS.index("exercises")]
"""What notebooks and answers may use. The rooms after it know the answers, or what becomes of them."""

GROUND = ("names", "files", "progress", "errors", "checks")
"""Modules beside the rooms, for all of them."""

ROOT = Path(__file__).resolve().parent.parent
"""The repository (the course is used from a clone, so notebooks and data lie beside the library)."""

DATA = ROOT / "data"
NOTEBOOKS = ROOT / "notebooks"

NOT_WRITTEN = "write your answer here"
"""What the stub of an answer raises, as a NotImplementedError: by these words, and not by the type, it is known as a
stub. PyTorch raises that type too."""

CACHE = Path(os.environ.get("COURSE_CACHE", ROOT / ".cache"))
"""What can be made again: converted weights and tokenizers. Set COURSE_CACHE to share one between clones."""
