import pytest

from lib.files import atomic_path, atomic_write, sha256


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
