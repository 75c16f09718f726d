"""How pytest hands out our test files: the long ones first, and a crash costs the test that crashed."""

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

# Files that take more than half a minute, the longest first: begun last, they leave the other worker idle.
LONG = (
    "tests/exercises/test_every_exercise.py",
    "tests/grading/test_corpus.py",
    "tests/grading/test_every_exercise.py",
    "tests/grading/judging/test_judging.py",
    "tests/grading/worker/test_withheld.py",
    "notebooks/09_scaling_laws.ipynb",
    "notebooks/06_autoregressive_objective.ipynb",
    "notebooks/12_reinforce.ipynb",
    "notebooks/11_bradley_terry_reward.ipynb",
    "notebooks/16_int8.ipynb",
    "tests/grading/test_class.py",
    "notebooks/14_lora_and_peft.ipynb",
    "tests/kernels/test_triton.py",
    "tests/grading/walls/test_seccomp.py",
    "tests/grading/test_nbgrader.py",
    "tests/lectures/test_run.py",
    "tests/grading/test_grade.py",
    "tests/adapters/test_second_derivatives.py",
    "notebooks/13_rlhf_ppo_dpo.ipynb",
    "tests/course/test_sweep.py",
    "tests/bench/test_grading.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the files in LONG, then those of files with many tests; each file stays together."""
    tests = Counter(_file(item.nodeid) for item in items)
    rank = {file: LONG.index(file) if file in LONG else len(LONG) for file in tests}
    items.sort(key=lambda item: (rank[_file(item.nodeid)], -tests[_file(item.nodeid)]))


def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> LoadFileScheduling:
    """Files stay whole: the cells of a notebook share one kernel."""
    return FileScheduling(config, log)


def _file(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


class FileScheduling(LoadFileScheduling):
    """--dist=loadfile, mended for workers that crash, after which pytest-xdist 3.8 may wait forever.

    Unmended, it hands out again what the crashed worker had finished, which nobody will ever report as done;
    it gives a new worker one test, and nothing that follows; and it repeats the test that crashed, in each
    worker that takes the place (its issues 1378, 1327 and 1371). A worker may also have died without our
    having heard of it yet: what cannot be sent to it any more is for the others.
    """

    def __init__(self, config: pytest.Config, log: "Producer | None" = None) -> None:
        super().__init__(config, log)
        self.unreachable: set[WorkerController] = set()  # their pipes are broken, the news is on its way

    def remove_node(self, node: "WorkerController") -> str | None:
        """Hand out again what a worker has left undone, and return the test at which it crashed."""
        left = self.assigned_work.pop(node)
        crashed = next((name for tests in left.values() for name, done in tests.items() if not done), None)
        if crashed:
            left[_file(crashed)][crashed] = True
        self.workqueue.update({file: tests for file, tests in left.items() if not all(tests.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return crashed

    def _assign_work_unit(self, node: "WorkerController") -> None:
        """Hand out the next file; where nobody is there to take it, it stays the next."""
        file = next(iter(self.workqueue))
        try:
            super()._assign_work_unit(node)
        except OSError:
            self.unreachable.add(node)
            self.workqueue[file] = self.assigned_work[node].pop(file)
            self.workqueue.move_to_end(file, last=False)

    def _reschedule(self, node: "WorkerController") -> None:
        """Give a worker more, or let it end: it keeps its last test back until it hears what follows."""
        if node not in self.registered_collections:
            return  # it is new, and asks for work once it has collected
        while node not in self.unreachable:
            super()._reschedule(node)
            if node.shutting_down or self._pending_of(self.assigned_work[node]) >= 2:
                return
