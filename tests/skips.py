"""The last lines of a run say what was not tried: each reason for skipping a test, and how many it cost."""

from collections import Counter
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """After everything else, so that only pytest's own line of counts comes later."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.write_sep("=", "skipped, by reason", yellow=True, bold=True)
    for reason, cost in Counter(map(_reason, skipped)).most_common():
        terminalreporter.write_line(f"{cost:5}  {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where, _, words = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, str(report.longrepr))
    words = words.removeprefix("Skipped: ") if words != "Skipped" else ""
    return words or f"no reason given, in {where}"
