"""What stands in for a model: the first word of the case's file says how to behave."""

# Written in the style of such containers, not in ours.
# ruff: noqa: PTH123, PTH211, SIM115

import os
import sys
import time


def predict(path):
    """Score of a case, or the behaviour that its file names."""
    word = open(path).read().split()[0]
    if word == "crash":
        raise SystemExit(3)
    if word == "error":
        raise ValueError(word)
    if word == "slow":
        time.sleep(60)
    if word == "memory":
        held = [bytearray(1 << 20) for _ in range(4096)]
        print(len(held))
    if word == "noise":
        sys.stdout.write("x" * (8 << 20))
        sys.stdout.flush()
    return word


def leave(word, path):
    """Write the answer that goes with ``word``."""
    if word == "nothing":
        return
    if word == "link":
        os.symlink("/etc/passwd", path)
        return
    if word == "large":
        with open(path, "wb") as file:
            try:
                for _ in range(64):
                    file.write(bytes(1 << 20))
                    file.flush()
            except OSError:
                print("the output is full", file=sys.stderr)
        return
    with open(path, "w") as file:
        file.write({"range": "7.5", "garbage": "{", "text": '"high"'}.get(word, word))
