"""What a result says of one exercise, in plain data."""

from typing import Any

FORMAT = 1  # of a result


def entry(id: str, status: str, **known: Any) -> dict[str, Any]:
    """What a result says of one exercise: its id and status, and as much more as is `known`."""
    empty = {"cell": None, "answer": "", "shape": [], "reason": "", "misconception": "", "hint": "", "passed": 0}
    return {"id": id, "status": status, **empty, "cases": 0, "failed": None, **known}
