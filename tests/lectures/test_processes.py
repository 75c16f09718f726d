"""Workers of a pool: Ctrl-C in a terminal reaches all processes, and only the command answers."""

import os
import signal
import subprocess
import sys

from lib import ROOT
from lib.lectures.processes import processes

INTERRUPTED = """
import os, signal, sys, time
from lib.lectures.processes import processes

if __name__ == "__main__":
    try:
        with processes(2) as executor:
            sleeping = [executor.submit(time.sleep, 300) for _ in range(2)]
            time.sleep(float(sys.argv[1]))
            os.killpg(os.getpid(), signal.SIGINT)
            time.sleep(300)
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_an_interrupted_pool_prints_no_traceback_of_its_workers(tmp_path):
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for delay in ("0", "0.05", "2"):  # while a worker is being started, while it imports, and while it works
        done = subprocess.run(
            [sys.executable, str(script), delay], capture_output=True, text=True, timeout=300, env=environment,
            start_new_session=True,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", ""), delay


def test_workers_are_single_threaded_processes_of_their_own():
    with processes(2) as executor:
        assert executor.submit(os.getpid).result(300) != os.getpid()
        assert executor.submit(os.getenv, "OMP_NUM_THREADS").result(300) == "1"
        masked = executor.submit(signal.pthread_sigmask, signal.SIG_BLOCK, set()).result(300)
        assert signal.SIGINT in masked and signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
