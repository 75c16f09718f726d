"""What an answer tries from within its walls, each time in a process of its own, and what comes of it."""

import errno
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from lib import CACHE, ROOT
from lib.grading import walls
from lib.grading.walls import bubblewrap, kernel
from tests.grading import escapes


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """mode -> what was tried -> how it ended; a server with bubblewrap and one without, when first asked."""
    known = {}

    def ask(mode):
        wrapped = mode == "bubblewrap"
        if wrapped and not bubblewrap.works():
            pytest.skip("bubblewrap is not installed, or this system refuses it")
        if mode not in known:
            rows = [row for name in escapes.KERNELS if (name == mode if wrapped else name != "bubblewrap")
                    for row in escapes.rows(name)]  # fmt: skip
            rows += [] if wrapped else escapes.rows_for_once()
            for (name, task), how in escapes.serve(rows, wrapped, tmp_path_factory.mktemp("walls")):
                known.setdefault(name, {})[task] = how
        return known[mode]

    return ask


modes = pytest.mark.parametrize("mode", list(escapes.KERNELS))
kernel_modes = pytest.mark.parametrize("mode", [name for name in escapes.KERNELS if name != "hook"])
needs_the_kernel = pytest.mark.skipif(
    not (escapes.HAS.seccomp and escapes.HAS.landlock), reason="this kernel lacks Landlock or seccomp"
)
needs_namespaces = pytest.mark.skipif(not escapes.HAS.namespaces, reason="this system refuses namespaces")


@modes
@pytest.mark.parametrize("name", escapes.FORBIDDEN)
def test_an_answer_reaches_nothing_beyond_its_folder(ended, mode, name):
    how = ended(mode)[name]
    if mode == "hook" or not (escapes.HAS.seccomp and escapes.HAS.landlock):  # then Python refuses
        assert how.get("error") in ("AccessRefused", "PermissionError"), how
    elif mode == "bubblewrap" and name != "reads a secret beside its folder":  # which that process does see
        assert how.get("number") in (errno.EPERM, errno.EACCES, errno.ENOENT, errno.EROFS), how
    else:
        assert how.get("number") in (errno.EPERM, errno.EACCES), how


@needs_the_kernel
@kernel_modes
@pytest.mark.parametrize("name", escapes.FORBIDDEN_BY_THE_KERNEL)
def test_the_kernel_sees_what_python_does_not(ended, mode, name):
    how = ended(mode)[name]
    assert (how.get("error"), how.get("number")) == ("PermissionError", 1), how


@modes
@pytest.mark.parametrize("name", escapes.WORKS)
def test_what_an_exercise_needs_still_works(ended, mode, name):
    assert ended(mode)[name].get("value") == "b", ended(mode)[name]


@pytest.mark.skipif(not kernel.ON_LINUX, reason="no system but Linux limits memory")
@modes
@pytest.mark.parametrize("name", escapes.MEMORY)
def test_ten_gigabytes_are_refused_and_cost_nothing(ended, mode, name):
    assert ended(mode)[f"10 GB: {name}"].get("error") in ("MemoryError", "RuntimeError")


@pytest.mark.skipif(not kernel.ON_LINUX, reason="no system but Linux limits memory")
@modes
def test_memory_counts_from_what_there_was_at_the_beginning(ended, mode):
    assert ended(mode)["takes what it may"].get("value") == 390 * 2**20
    assert ended(mode)["takes more than it may"].get("error") == "MemoryError"


@needs_the_kernel
@kernel_modes
def test_coroutines_work_although_sockets_do_not(ended, mode):
    assert ended(mode)["runs a coroutine"].get("value") == "b"


@modes
def test_an_answer_may_kill_itself_and_nobody_else(ended, mode):
    assert ended(mode)["kills itself"]["signal"] == 9


@needs_the_kernel
@kernel_modes
def test_an_answer_ends_with_its_time_and_with_its_server(ended, mode):
    assert ended(mode)["tells its time"]["value"] == [7, 8]
    assert ended(mode)["tells who ends it"]["value"] == 9


@modes
def test_no_shell_is_started(ended, mode):
    how = ended(mode)["runs a shell"]
    assert how.get("error") == "AccessRefused" if mode == "hook" else how.get("value") == 127 * 256


def test_a_loop_ends_with_its_computing_time_even_if_it_ignores_the_first_signal(ended):
    assert ended("plain")["computes for ever"]["signal"] == 9


@modes
def test_files_are_limited_in_size_and_number(ended, mode):
    assert ended(mode)["writes a large file"]["number"] == errno.EFBIG
    assert ended(mode)["opens many files"]["number"] == errno.EMFILE


@needs_namespaces
@pytest.mark.parametrize("mode", ["bubblewrap", "plain"])
def test_files_together_are_limited_and_leave_nothing_where_there_are_namespaces(ended, mode):
    assert ended(mode)["writes many files"]["number"] == errno.ENOSPC
    assert all(how["left"] == [] for name, how in ended(mode).items() if "under version" not in name)


@modes
def test_nothing_of_the_callers_environment_is_left(ended, mode):
    environment, folder, mode_of_a_file = ended(mode)["tells its environment"]["value"]
    assert "PASSWORD" not in environment and environment["HOME"] == environment["TMPDIR"] == folder
    expected = set(walls.environment(Path("/"))) | {"PWD", "LC_CTYPE"}  # these two Python and bubblewrap add
    assert set(environment) <= expected
    assert mode_of_a_file == 0o700 and ended(mode)["tells its environment"]["leads"]


@modes
def test_even_roots_limits_cannot_be_raised_again(ended, mode):
    assert ended(mode)["raises its limits"].get("error") in ("ValueError", "AccessRefused")


@needs_the_kernel
@kernel_modes
def test_no_privilege_is_left_or_can_come_back(ended, mode):
    how = ended(mode)["tells its privileges"]
    assert how.get("value") == [0, 0, 0, 1]  # three times none, and no_new_privs is set


@needs_namespaces
def test_a_namespace_has_no_network_and_hides_a_folder_from_nobody_else():
    source = "from pathlib import Path; from lib.grading.walls import kernel; import socket, sys\n"
    source += "kernel.enter_private_namespaces(Path(sys.argv[1]), 2**20)\nprint(socket.if_nameindex())"
    folder = ROOT / "data"  # hidden in the process's own view, not in anybody else's
    line = [sys.executable, "-c", source, str(folder)]
    done = subprocess.run(line, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[(1, 'lo')]\n" and (folder / "style").is_dir()


@pytest.mark.parametrize("abi", range(1, escapes.HAS.landlock + 1))
def test_every_version_of_landlock_so_far_holds(ended, abi):
    assert ended("plain")[f"writes under version {abi}"].get("error") is None
    assert ended("plain")[f"reads under version {abi}"].get("error") == "PermissionError"


def test_a_neighbour_whose_name_begins_alike_is_outside(tmp_path):
    from lib.grading.walls import audit_hook

    for name in ("folder", "folder-2", "data", "data-2"):
        (tmp_path / name).mkdir()
    hook = audit_hook._hook(tmp_path / "folder", [tmp_path / "data"])
    hook("open", (str(tmp_path / "folder" / "x"), "w", os.O_WRONLY))
    hook("open", (str(tmp_path / "data" / "x"), "r", os.O_RDONLY))
    for name, flags in (
        ("folder-2", os.O_WRONLY),
        ("folder-2", os.O_RDONLY),
        ("data-2", os.O_RDONLY),
        ("data", os.O_WRONLY),
    ):
        with pytest.raises(audit_hook.AccessRefused, match=f"refused: open of .*{name}"):
            hook("open", (str(tmp_path / name / "x"), "", flags))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_memory_in_use_is_counted_in_bytes():
    """By the kernel's other count, in pages: data and stack together."""
    from lib.grading.walls import rlimits

    pages = int(Path("/proc/self/statm").read_text().split()[5])
    stack = 1024 * int(rlimits.status("VmStk").split()[0])
    assert rlimits.writable_bytes() == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE") - stack, rel=0.005)


def test_the_environment_of_a_server_is_this_and_nothing_else():
    assert walls.environment(Path("/scratch")) == {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "USER": "student", "HOME": "/scratch", "TMPDIR": "/scratch",
        "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "MPLBACKEND": "Agg",
        "TQDM_DISABLE": "1", "COURSE_CACHE": str(CACHE), "COURSE_WALLED": "plain",
    }  # fmt: skip


def test_bubblewrap_gets_these_options_and_binds_only_what_is_named(tmp_path):
    readable, scratch = tmp_path / "readable", tmp_path / "scratch"
    readable.mkdir(), scratch.mkdir()
    line = bubblewrap.wrap(["python", "-c", "1"], scratch, [readable], {"HOME": "/x"})
    flags, line = line[1:5], line[5:]
    assert sorted(flags) == ["--clearenv", "--die-with-parent", "--new-session", "--unshare-all"]
    assert line[:3] == ["--setenv", "HOME", "/x"]
    assert (
        line[3:7] == ["--proc", "/proc", "--dev", "/dev"] and line[7] == "--size" and line[9:11] == ["--tmpfs", "/tmp"]
    )
    bound = [line[i + 1] for i, word in enumerate(line) if word == "--ro-bind"]
    assert str(readable) in bound and str(ROOT) not in bound and str(scratch) not in bound
    system = [
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
        "/sys/devices/system/cpu",
    ]  # fmt: skip
    names = [name for place in map(Path, system) if place.exists() for name in (place.absolute(), place.resolve())]
    assert set(bound) == {str(name) for name in (*names, readable)}
    assert line[line.index("--bind") + 1 :][:2] == [str(scratch)] * 2
    assert line[-6:] == ["--chdir", str(scratch), "--", "python", "-c", "1"]


@pytest.mark.parametrize("place", ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"])
def test_the_systems_libraries_may_be_read(place):
    if Path(place).exists():
        assert {Path(place), Path(place).resolve()} <= set(walls.default_readable())


@pytest.mark.parametrize("kind", ["stdlib", "platstdlib", "purelib", "platlib"])
def test_pythons_folders_may_be_read(kind):
    assert any(Path(sysconfig.get_path(kind)).is_relative_to(place) for place in walls.default_readable())
