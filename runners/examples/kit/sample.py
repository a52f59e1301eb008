"""What the test asks the model about, and what an answer must look like."""

from model import ANSWER


def write_sample(path):
    path.write_bytes(b"")


def check(answer):
    assert answer.keys() == ANSWER.keys(), answer
    assert all(isinstance(number, int | float) for number in answer.values()), answer
