"""The attacker of test_collected_output.py: the case's file names the attack and the host's folder to reach for."""

import os
import pathlib
import random
import socket
import stat
import sys
import time

ATTACK, HOST = pathlib.Path("/input/000001.dcm").read_text().split("\n")
OUTPUT = pathlib.Path("/output")
RESULT = OUTPUT / "result"
ANSWER = RESULT / "answer.json"


def answer():
    RESULT.mkdir(exist_ok=True)
    ANSWER.write_text("0.5")


def link_to(target):
    RESULT.mkdir()
    ANSWER.symlink_to(target)


def swap():
    """Let the answer's folder be a folder and a link by turns, faster than anyone looks twice, until killed."""
    answer()
    link, kept = OUTPUT / "link", OUTPUT / "kept"
    link.symlink_to(HOST)
    if os.fork() == 0:
        os.setsid()
        while True:
            RESULT.rename(kept)
            link.rename(RESULT)
            RESULT.rename(link)
            kept.rename(RESULT)
    time.sleep(random.random() / 10)


def many():
    for number in range(10**6):
        (OUTPUT / f"{number}").touch()


def fill():
    with (OUTPUT / "full").open("wb") as file:
        while True:
            file.write(bytes(1 << 20))
            file.flush()


def sparse(size):
    RESULT.mkdir()
    with ANSWER.open("wb") as file:
        file.truncate(size)


def odd_name(name):
    answer()
    os.close(os.open(b"/output/result/" + name, os.O_CREAT | os.O_WRONLY))


def second_link():
    answer()
    os.link(ANSWER, RESULT / "again.json")


def deep():
    answer()
    place = OUTPUT
    for _ in range(200):
        place = place / "d"
        place.mkdir()


def unreadable():
    answer()
    ANSWER.chmod(0)


def set_user_id():
    answer()
    ANSWER.chmod(0o6755)


def old():
    answer()
    os.utime(ANSWER, (0, 0))


def fifo():
    RESULT.mkdir()
    os.mkfifo(ANSWER)


def unix_socket():
    RESULT.mkdir()
    socket.socket(socket.AF_UNIX).bind(str(ANSWER))


def device():
    RESULT.mkdir()
    os.mknod(ANSWER, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def mount():
    import ctypes

    answer()
    if ctypes.CDLL(None).mount(b"none", b"/output", b"tmpfs", 0, b"") != 0:
        sys.exit(3)


ATTACKS = {
    "link_to_the_hosts_secret": lambda: link_to(f"{HOST}/secret.json"),
    "link_to_an_earlier_input": lambda: link_to("../../input/000001.dcm"),
    "link_by_proc_root": lambda: link_to(f"/proc/self/root{HOST}/secret.json"),
    "link_to_itself": lambda: link_to("answer.json"),
    "parent_is_a_link": lambda: RESULT.symlink_to(HOST),
    "parent_is_a_link_upwards": lambda: RESULT.symlink_to(".."),
    "parents_swapped_until_the_end": swap,
    "second_hard_link": second_link,
    "fifo": fifo,
    "unix_socket": unix_socket,
    "folder": lambda: ANSWER.mkdir(parents=True),
    "device": device,
    "sparse_beyond_the_cap": lambda: sparse(12 << 20),
    "sparse_terabyte": lambda: sparse(1 << 40),
    "a_million_files": many,
    "output_filled": fill,
    "name_with_escape": lambda: odd_name(b"\x1b[2Jowned.json"),
    "name_with_newline": lambda: odd_name(b"a\nb.json"),
    "name_in_invalid_utf8": lambda: odd_name(b"\xff\xfe.json"),
    "names_that_differ_in_case": lambda: odd_name(b"ANSWER.JSON"),
    "deep_folders": deep,
    "unreadable_answer": unreadable,
    "set_user_id_answer": set_user_id,
    "answer_of_the_past": old,
    "mount_over_the_output": mount,
}

ATTACKS[ATTACK]()
