"""The journal after kills: whole lines count, a torn one is asked again, damage in the middle is told."""

import pytest

from sandbox.asking.journal import Ended, Journal
from sandbox.errors import EvaluationError


def ended(case, level=3):
    return Ended(case_id=case, levels=[level], failure=None, seconds=0.5, container="1.1")


def test_what_was_appended_is_there_again(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append(ended("a"))
        journal.append(ended("b", level=7))
    with Journal(tmp_path / "journal.jsonl") as journal:
        assert list(journal.ended) == ["a", "b"]
        assert journal.ended["b"] == ended("b", level=7)


def test_a_write_torn_at_any_byte_loses_that_case_alone(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append(ended("a"))
        first = path.stat().st_size
        journal.append(ended("b"))
    whole = path.read_bytes()
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        with Journal(path) as journal:
            assert list(journal.ended) == ["a"]
            journal.append(ended("b"))
        assert path.read_bytes() == whole


def test_a_damaged_line_is_told_with_its_number(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append(ended("a"))
        journal.append(ended("b"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0].replace(b'"levels":[3]', b'"lovels":[3]') + lines[1])
    with pytest.raises(EvaluationError, match="Line 1"):
        Journal(path)
