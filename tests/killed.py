"""The command line in a process that kills itself half way, as a power cut would: in no race with a watcher."""

import json
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Sequence

import psutil

from lib import ROOT


def killed(owner: str, name: str, count: int, arguments: Sequence[str]) -> list[psutil.Process]:
    """Run `course` with these arguments until it has called `owner`.`name` (as "module:Class" or "module") `count`
    times; which processes it had started and may have left behind."""
    command = [sys.executable, "-m", "tests.killed", owner, name, str(count), *arguments]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert run.returncode == -signal.SIGKILL, "it ended before it was killed"
    return [psutil.Process(pid) for pid in json.loads(run.stdout.splitlines()[-1]) if psutil.pid_exists(pid)]


def main(owner: str, name: str, count: str, *arguments: str) -> None:
    """In the process that is killed."""
    from lib.course import cli

    place, left = pkgutil.resolve_name(owner), int(count)
    whole = getattr(place, name)

    def counted(*args: object, **kwargs: object) -> object:
        nonlocal left
        result, left = whole(*args, **kwargs), left - 1
        if not left:
            print(
                "", json.dumps([child.pid for child in psutil.Process().children(recursive=True)]), sep="\n", flush=True
            )
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, counted)
    cli.main([*arguments])


if __name__ == "__main__":
    main(*sys.argv[1:])
