import errno
import multiprocessing
import os

import pytest

from lib.files import atomic_path, atomic_write, check_writable, file_lock, read_csv, sha256


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(target) as file:
        file.write("half of the n")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_success_replaces_and_is_readable_by_others(tmp_path):
    target = tmp_path / "new" / "a.bin"
    with atomic_write(target, "wb") as file:
        file.write(b"\x00\xff")
    assert target.read_bytes() == b"\x00\xff" and target.stat().st_mode & 0o444 == 0o444
    with atomic_path(target) as beside:
        beside.write_bytes(b"1")
        assert target.read_bytes() == b"\x00\xff" and beside.suffix == ".bin"
    assert target.read_bytes() == b"1"


def test_appending_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'a'"), atomic_write(tmp_path / "a", "a"):
        pass


def test_sha256_of_a_known_text(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_others_may_read_it_as_the_user_has_set_it(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "a") as file:
            file.write("é")
        assert os.umask(umask) == umask, "the setting of the process is as before"
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode and (tmp_path / "a").read_bytes() == b"\xc3\xa9"


@pytest.mark.parametrize(
    "error, file",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "a.txt"),
        (OSError(errno.ENOENT, "No such file", "/other"), "/other"),  # another file than ours
        (OSError("no number"), None),
    ],
)
def test_an_error_of_the_system_names_the_file(tmp_path, error, file):
    with pytest.raises(OSError) as raised, atomic_write(tmp_path / "a.txt"):
        raise error
    assert raised.value.filename == (str(tmp_path / file) if file == "a.txt" else file)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_made_and_tried_and_nothing_is_left_in_it(tmp_path, monkeypatch):
    check_writable(tmp_path / "deep" / "build")
    assert list((tmp_path / "deep" / "build").iterdir()) == []

    def refuse(dir):
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/tmpx7")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(PermissionError) as refused:
        check_writable(tmp_path)
    assert refused.value.filename == str(tmp_path)


def test_what_is_written_lies_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced, seen = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((tmp_path / "a").exists()) or seen(handle))
    with atomic_write(tmp_path / "a") as file:
        file.write("x")
    assert synced == [False]


def _try(path, free):
    import fcntl

    with open(path.with_name(path.name + ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free.value = 1
        except BlockingIOError:
            free.value = 0


def test_a_lock_is_held_against_other_processes_until_its_end(tmp_path):
    context = multiprocessing.get_context("fork")
    path, free = tmp_path / "deep" / "table.csv", context.Value("i", -1)

    def asked():
        process = context.Process(target=_try, args=(path, free))
        process.start()
        process.join()
        return free.value

    with file_lock(path):
        assert asked() == 0
    assert asked() == 1 and not path.exists()


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "t.csv is missing; restore it"),
        (b"", "t.csv must begin with a,b, got $"),
        (b"a,c\n1,2\n", "t.csv must begin with a,b, got a,c"),
        (b"b,a\n1,2\n", "t.csv must begin with a,b, got b,a"),
        (b"a,b\n", "t.csv has a header and no rows"),
        (b"a,b\n1,2\n1\n", "t.csv, line 3: expected 2 cells, got 1"),
        (b"a,b\n1,2,3\n1,2\n", "t.csv, line 2: expected 2 cells, got 3"),
        (b"a,b\n1,\xff\n", "t.csv is damaged: "),
        (b'a,b\n1,"2\n', "t.csv is damaged: "),
        (b'a,b\n1,"2"x\n', "t.csv is damaged: "),
    ],
)
def test_a_table_at_fault_is_named_with_its_line(tmp_path, content, said):
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_csv(tmp_path / "t.csv", ["a", "b"])


def test_rows_come_with_the_lines_where_they_end(tmp_path):
    (tmp_path / "t.csv").write_bytes('a,b\né,"x,\ny"\n,\n'.encode())
    assert read_csv(tmp_path / "t.csv", ["a", "b"]) == [(3, ["é", "x,\ny"]), (4, ["", ""])]
