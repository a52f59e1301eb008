"""The engine's framing of output, however it is cut into pieces."""

import socket
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.stream import STDERR, STDOUT, Attachment


def read_all(attachment, seconds=5):
    deadline = time.monotonic() + seconds
    output = {STDOUT: b"", STDERR: b""}
    while (piece := attachment.read(deadline)) is not None:
        output[piece[0]] += piece[1]
    return output


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=300)), max_size=8),
    st.integers(min_value=1, max_value=50),
)
def test_frames_survive_any_cutting(frames, step):
    here, there = socket.socketpair()
    whole = b"".join(struct.pack(">BxxxL", kind, len(data)) + data for kind, data in frames)
    for start in range(0, len(whole), step):
        there.sendall(whole[start : start + step])
    there.close()
    attachment = Attachment(here)
    output = read_all(attachment)
    attachment.close()
    for kind in (STDOUT, STDERR):
        assert output[kind] == b"".join(data for which, data in frames if which == kind)


def test_waiting_ends_at_the_deadline():
    here, there = socket.socketpair()
    attachment = Attachment(here)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        attachment.read(time.monotonic() + 0.1)
    with pytest.raises(TimeoutError):
        attachment.send(b"x" * 10_000_000, time.monotonic() + 0.1)
    with pytest.raises(TimeoutError):
        attachment.read(time.monotonic() - 1)
    assert time.monotonic() - began < 2
    attachment.close()
    there.close()
