"""The entry of one exercise in a result, as plain data."""

from typing import Any

FORMAT = 2  # of a result


def entry(id: str, status: str, **known: Any) -> dict[str, Any]:
    """The entry of one exercise in a result: its id and status, defaults, and what is `known` besides."""
    empty = {
        "cell": None,
        "answer": "",
        "shape": [],
        "helpers": [],
        "reason": "",
        "misconception": "",
        "hint": "",
        "passed": 0,
    }
    return {"id": id, "status": status, **empty, "cases": 0, "failed": None, **known}
