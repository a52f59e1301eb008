"""Output that attacks the host which reads it: each trick by both ways of opening, none of them gets through."""

import os
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners import collector
from runners.collector import CollectionCode, CollectionRefused, collect, collect_one

SECRET = b"reference standard"


@pytest.fixture(params=["openat2", "steps"])
def way(request, monkeypatch):
    if request.param == "steps":
        monkeypatch.setattr(collector, "has_openat2", lambda: False)
    elif not collector.has_openat2():
        pytest.skip("this kernel has no openat2")
    return request.param


@pytest.fixture
def out(tmp_path, way):
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def code(root, name="a.json", cap=1000):
    with pytest.raises(CollectionRefused) as refused:
        collect(root, {name: cap})
    return refused.value.code


def only_code(root, folder="", suffix="a.json"):
    with pytest.raises(CollectionRefused) as refused:
        collect_one(root, folder, suffix, 1000)
    return refused.value.code


def test_wanted_files_are_read_and_others_are_not(out):
    (out / "deep" / "er").mkdir(parents=True)
    (out / "a.json").write_bytes(b"{}")
    (out / "deep" / "er" / "mask.mha").write_bytes(b"x" * 10)
    (out / "other").symlink_to("../secret")
    wanted = {"a.json": 2, "deep/er/mask.mha": 10, "missing.json": 5, "deep/missing/x": 5}
    assert collect(out, wanted) == {"a.json": b"{}", "deep/er/mask.mha": b"x" * 10}


def test_only_file_of_a_folder_is_read(out):
    (out / "deep").mkdir()
    assert collect_one(out, "deep", ".json", 10) is None
    assert collect_one(out, "missing", ".json", 10) is None
    (out / "deep" / "other.txt").write_bytes(b"x" * 100)
    (out / "deep" / "any-name.json").write_bytes(b"{}")
    assert collect_one(out, "deep", ".json", 10) == b"{}"
    (out / "deep" / "second.json").write_bytes(b"{}")
    assert only_code(out, "deep", ".json") is CollectionCode.TOO_MANY_FILES


@pytest.mark.parametrize(
    "target", ["../secret", "/etc/hostname", "/proc/self/environ", "b.json", "/dev/stdin", "missing"]
)
def test_symbolic_link(out, target):
    (out / "b.json").write_bytes(b"{}")
    (out / "a.json").symlink_to(target)
    assert code(out) is CollectionCode.LINK
    assert only_code(out) is CollectionCode.LINK


@pytest.mark.parametrize("target", ["..", "/", "/proc/self/root", "/proc/self/cwd", "."])
def test_symbolic_link_in_place_of_a_folder(out, target):
    (out / "deep").symlink_to(target)
    assert code(out, "deep/secret") is CollectionCode.LINK
    assert only_code(out, "deep", "secret") in (CollectionCode.LINK, CollectionCode.NOT_A_FILE)


def test_hard_link(out, tmp_path):
    os.link(tmp_path / "secret", out / "a.json")
    assert code(out) is CollectionCode.SECOND_LINK
    assert only_code(out) is CollectionCode.SECOND_LINK


def test_fifo_does_not_make_the_host_wait(out):
    os.mkfifo(out / "a.json")
    assert code(out) is CollectionCode.NOT_A_FILE
    assert only_code(out) is CollectionCode.NOT_A_FILE


def test_socket(out, monkeypatch):
    monkeypatch.chdir(out)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("a.json")
        assert code(out) is CollectionCode.NOT_A_FILE


def test_device(out):
    try:
        os.mknod(out / "a.json", 0o20600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("device nodes can only be made by root")
    assert code(out) is CollectionCode.NOT_A_FILE
    assert only_code(out) is CollectionCode.NOT_A_FILE


def test_folder_and_file_in_each_others_place(out):
    (out / "a.json").mkdir()
    (out / "deep").write_bytes(b"")
    assert code(out) is CollectionCode.NOT_A_FILE
    assert code(out, "deep/a.json") is CollectionCode.NOT_A_FILE


def test_sparse_file_is_refused_before_it_is_read(out):
    with (out / "a.json").open("wb") as file:
        file.truncate(10 << 30)
    assert code(out) is CollectionCode.TOO_LARGE
    assert only_code(out) is CollectionCode.TOO_LARGE


def test_one_byte_beyond_the_cap(out):
    (out / "a.json").write_bytes(b"x" * 1001)
    assert code(out) is CollectionCode.TOO_LARGE
    assert len(collect(out, {"a.json": 1001})["a.json"]) == 1001


def test_many_files(out):
    for number in range(1_001):
        (out / f"file-{number}").touch()
    assert only_code(out) is CollectionCode.TOO_MANY_FILES


@pytest.mark.parametrize(
    "name",
    [b"a\nb", b"a\x1b[31mb", b"\xff\xfe", b"a b", b"-rf", b".hidden", b"\xe2\x80\xaea", b"a" * 200, b"a\\b"],
)
def test_names_that_harm_whoever_reads_them(out, name):
    (out / os.fsdecode(name)).touch()
    assert only_code(out) is CollectionCode.NAME


def test_names_that_differ_in_case(out):
    (out / "A.json").touch()
    (out / "a.json").touch()
    assert only_code(out) is CollectionCode.CLASHING_NAMES


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "deep/../../secret", "", ".", "..", "a//b", "a/", "a\0b"]
)
def test_wanted_names_that_climb(out, name):
    assert code(out, name) is CollectionCode.NAME


def test_other_file_system_in_the_output(way):
    if not os.path.ismount("/proc"):
        pytest.skip("/proc is not mounted")
    with pytest.raises(CollectionRefused) as refused:
        collector.collect(collector.Path("/"), {"proc/version": 1000})
    assert refused.value.code is CollectionCode.OTHER_FILE_SYSTEM


def test_folder_swapped_for_a_link_while_it_is_collected(out, tmp_path):
    """Either the file inside is read, or nothing: never what the link points to."""
    inside = out / "deep"
    inside.mkdir()
    (inside / "secret").write_bytes(b"own")
    away, link = out / "away", out / "link"
    link.symlink_to("..")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            inside.rename(away)
            link.rename(inside)
            inside.rename(link)
            away.rename(inside)

    thread = threading.Thread(target=swap)
    thread.start()
    seen, codes = set(), set()
    try:
        for _ in range(3000):
            try:
                seen |= set(collect(out, {"deep/secret": 100}).values())
            except CollectionRefused as refused:
                codes.add(refused.code)
    finally:
        stop.set()
        thread.join()
    assert seen <= {b"own"}
    assert codes <= {CollectionCode.LINK, CollectionCode.NOT_A_FILE, CollectionCode.CHANGED}


def test_file_that_grows_while_it_is_read(out, monkeypatch):
    path = out / "a.json"
    path.write_bytes(b"x" * 10)
    original = os.read

    def growing(descriptor, size):
        with path.open("ab") as file:
            file.write(b"y")
        return original(descriptor, size)

    monkeypatch.setattr(os, "read", growing)
    assert code(out) is CollectionCode.CHANGED


def test_root_that_is_a_link(out, tmp_path):
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(OSError, match=r"link|directory"):
        collect(tmp_path / "link", {})


def test_messages_quote_nothing_of_the_container(out):
    (out / "patient-name\n").touch()
    with pytest.raises(CollectionRefused) as refused:
        collect_one(out, "", ".json", 1000)
    assert "patient" not in str(refused.value)
    assert all(each.sentence for each in CollectionCode)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.from_regex(r"[a-z0-9]{1,3}(/[a-z0-9]{1,3}){0,2}", fullmatch=True),
        st.binary(max_size=50),
        max_size=8,
    )
)
def test_both_ways_read_what_lies_there(tmp_path_factory, files):
    root = tmp_path_factory.mktemp("tree")
    kept = {}
    for name, content in files.items():
        try:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        kept[name] = content
    with pytest.MonkeyPatch.context() as patch:
        for steps in (False, True):
            if steps:
                patch.setattr(collector, "has_openat2", lambda: False)
            assert collect(root, dict.fromkeys(kept, 50)) == kept
